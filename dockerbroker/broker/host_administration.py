"""What administrators ask of Docker hosts, and do about them."""

from collections.abc import Callable, Collection
from contextlib import suppress
from time import time
from typing import ClassVar, Final

from attrs import define, frozen
from twisted.logger import Logger

from dockerbroker.broker.comparing import pages
from dockerbroker.errors import Conflict, NotFound
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.draining import Drain, moved, refusal, standing_of
from dockerbroker.model.hosts import HostKey, HostReport
from dockerbroker.model.instances import Operation, OperationKind, Phase
from dockerbroker.model.moving import outdated
from dockerbroker.model.standing import host_id
from dockerbroker.persisters.interfaces import IPersister

#: How many instances of a host are named.
_MOST_NAMED: Final = 20
_MOST_OPERATIONS: Final = 10_000


@frozen(kw_only=True)
class KnownHost:
    """A host, and how many instances it has whose containers are the broker's."""

    report: HostReport
    instances: int


@define(eq=False)
class HostAdministration:
    """Shows hosts, cordons them, drains them, and forgets them.

    A host is named by its `host_id`, or by its service host alone where that is enough. `wall` returns
    seconds since 1970.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    wall: Callable[[], float] = time

    async def hosts(self) -> list[KnownHost]:
        """Return all hosts, in the order of their keys."""
        reserved = await self.persister.reserved()
        return [
            KnownHost(
                report=report,
                instances=reserved[report.host.key].instances if report.host.key in reserved else 0,
            )
            for report in await self.persister.hosts()
        ]

    async def conditions(self) -> dict[str, str]:
        """Return how instances are not as they should be, by their ids, as the last comparison has found."""
        return await self.persister.conditions()

    async def host(self, name: str) -> KnownHost:
        """Return one host; raises `NotFound`, or `Conflict` when several have that service host."""
        return named(name, await self.hosts())

    async def cordon(self, name: str, *, is_cordoned: bool, origin: Origin = ITSELF) -> KnownHost:
        """Let nothing be placed on a host, or let it again; raises as `host`."""
        key = (await self.host(name)).report.host.key
        await self.persister.cordon(key, is_cordoned=is_cordoned, origin=origin)
        self._log.info(
            "an administrator has {done} the Docker host {host}",
            done="cordoned" if is_cordoned else "uncordoned",
            host=key.service_host,
        )
        return await self.host(host_id(key))

    async def drain(self, name: str, *, is_draining: bool, origin: Origin = ITSELF) -> Drain:
        """Let all instances of a host move to others, or let those stay that have not begun to.

        Raises as `host`, and `Conflict` for a host that is dead.
        """
        report = (await self.host(name)).report
        if is_draining and (why := refusal(report)) is not None:
            raise Conflict(why)
        await self.persister.drain(report.host.key, is_draining=is_draining, origin=origin)
        self._log.info(
            "an administrator {wants} the Docker host {host} drained",
            wants="wants" if is_draining else "does not want",
            host=report.host.key.service_host,
        )
        return await self.drained(host_id(report.host.key))

    async def drained(self, name: str) -> Drain:
        """Return how the draining of a host stands; raises as `host`."""
        report = (await self.host(name)).report
        key, now = report.host.key, self.wall()
        found = {
            row.id: standing_of(row, await self.persister.last_operation(row.id), now, refusal(report))
            async for page in pages(self.persister, set())
            for row in page
            if row.host == key
        }
        for operation in await self.persister.operations(unfinished=False, limit=_MOST_OPERATIONS):
            if operation.instance_id not in found and _has_left(operation, key):
                instance = await self.persister.instance(operation.instance_id)
                if instance is not None:
                    bindings = outdated(await self.persister.bindings(instance.id), instance)
                    found[instance.id] = moved(operation, instance, bindings)
        return Drain(report=report, instances=[found[instance_id] for instance_id in sorted(found)])

    async def ports(self, name: str, *, after: int, limit: int) -> dict[int, str]:
        """Return leased ports of a host above that one, and whose they are; raises as `host`."""
        key = (await self.host(name)).report.host.key
        return await self.persister.port_leases(key, after=after, limit=limit)

    async def forget(self, name: str, *, forced: bool, origin: Origin = ITSELF) -> None:
        """Forget a host until it pings again; raises `Conflict` while it has instances, unless `forced`.

        Deletions that wait for it end.
        """
        key = (await self.host(name)).report.host.key
        waiting = await self._instances(key)
        if waiting and not forced:
            raise Conflict(_refusal(name, waiting))
        await self.persister.forget_host(key, origin=origin)
        self._log.warn("an administrator has forgotten the Docker host {host}", host=key.service_host)
        for operation in await self.persister.operations(unfinished=True, limit=_MOST_OPERATIONS):
            if operation.instance_id in waiting and operation.kind is OperationKind.DEPROVISION:
                # One that is being carried finds it out by itself.
                with suppress(Conflict, NotFound):
                    await self.persister.hasten(operation.id, origin=origin)

    async def _instances(self, key: HostKey) -> dict[str, None]:
        return {
            row.id: None async for page in pages(self.persister, set()) for row in page if row.host == key
        }


def _has_left(operation: Operation, key: HostKey) -> bool:
    is_moved = operation.kind is OperationKind.MOVE and operation.phase is Phase.SUCCEEDED
    return is_moved and operation.former_host == host_id(key)


def named(name: str, hosts: Collection[KnownHost]) -> KnownHost:
    """Return the host of that name; raises `NotFound`, or `Conflict` when several have that service host."""
    for known in hosts:
        if host_id(known.report.host.key) == name:
            return known
    found = [known for known in hosts if known.report.host.key.service_host == name]
    if not found:
        raise NotFound(f"The Docker host {name!r} is not known.")
    if len(found) > 1:
        names = " ".join(host_id(known.report.host.key) for known in found)
        raise Conflict(f"Several Docker hosts have the service host {name!r}; name one of: {names}.")
    return found[0]


def _refusal(name: str, instances: Collection[str]) -> str:
    named_ones = ", ".join(list(instances)[:_MOST_NAMED])
    more = len(instances) - _MOST_NAMED
    rest = f" and {more} more" if more > 0 else ""
    return (
        f"The Docker host {name} has {len(instances)} service instances: {named_ones}{rest}. Delete or move "
        "them first, or forget it by force: what it has is then lost to the broker until it pings again."
    )
