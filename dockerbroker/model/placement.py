"""Which hosts may take an instance, and which ports it gets there."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from attrs import frozen

from dockerbroker.errors import InvalidConfiguration, NoCapacity
from dockerbroker.model.hosts import DockerHost, HostReport

T = TypeVar("T")

#: Returns a random selection of that many of the items, in random order (`random.Random.sample`).
Sample = Callable[[Sequence[T], int], list[T]]


class Dispatcher(Protocol):
    """Decides in which order hosts are asked to take an instance."""

    def order(self, hosts: Sequence[DockerHost]) -> list[DockerHost]:
        """Return the hosts, the one to be tried first in front."""


@frozen
class SimpleDispatcher:
    """Tries the hosts in random order."""

    sample: Sample[DockerHost]

    def order(self, hosts: Sequence[DockerHost]) -> list[DockerHost]:
        """Return the hosts in random order."""
        return self.sample(hosts, len(hosts))


DISPATCHERS: dict[str, Callable[[Sample[DockerHost]], Dispatcher]] = {"SimpleDispatcher": SimpleDispatcher}


def dispatcher_named(name: str, sample: Sample[DockerHost]) -> Dispatcher:
    """Return the dispatcher that the configuration names; raises `InvalidConfiguration`."""
    if name not in DISPATCHERS:
        known = ", ".join(sorted(DISPATCHERS))
        raise InvalidConfiguration(f"dispatcher: {name!r} is not known; use {known}")
    return DISPATCHERS[name](sample)


def usable_hosts(reports: Iterable[HostReport]) -> list[DockerHost]:
    """Return the hosts that may take new instances; raises `NoCapacity` that says why there is none."""
    known = list(reports)
    usable = [report.host for report in known if report.is_usable]
    if not usable:
        raise NoCapacity(_why_none(known))
    return usable


def _why_none(reports: Sequence[HostReport]) -> str:
    if not reports:
        return "No Docker host is available: no agent has registered with the broker yet."
    silent = sum(not report.is_alive for report in reports)
    inactive = sum(report.is_alive and not report.host.is_active for report in reports)
    return (
        f"No Docker host is available: of {len(reports)} known, {silent} sent no ping lately "
        f"and {inactive} are set inactive."
    )


def choose_ports(
    host: DockerHost, wanted: Sequence[str], leased: Collection[int], sample: Sample[int]
) -> dict[str, int]:
    """Return a free port of the host for each container port such as `6379/tcp`, at random.

    Random, so that a port that was just given back seldom goes to the next instance at once: a stale client
    of the old one would reach the new. Raises `NoCapacity` when the range has too few free ports.
    """
    free = [port for port in host.ports if port not in leased]
    if len(free) < len(wanted):
        raise NoCapacity(
            f"The Docker host {host.key.service_host} has no free port: {len(wanted)} wanted, "
            f"{len(free)} of {host.ports.start} to {host.ports.stop - 1} free."
        )
    return dict(zip(wanted, sample(free, len(wanted)), strict=True))
