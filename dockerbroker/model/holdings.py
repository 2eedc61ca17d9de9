"""What an instance holds of hosts: of its own, and while it moves also of the one to which it moves."""

from attrs import evolve, frozen

from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import ServiceInstance, digest
from dockerbroker.model.reservations import Reserved


@frozen(kw_only=True)
class Holding:
    """What an instance holds of one host: what it reserves, and the ports that it leases.

    `lonely_place` is what no other instance has that must not be on that host with this one, if there is such
    a thing.
    """

    host: HostKey
    reserved: Reserved
    ports: frozenset[int]
    lonely_place: str | None = None


def holding(instance: ServiceInstance) -> Holding:
    """Return what the instance holds of its present host."""
    return Holding(
        host=instance.host,
        reserved=instance.reserved,
        ports=instance.leased_ports,
        lonely_place=_lonely_place(instance),
    )


def holding_there(instance: ServiceInstance) -> Holding | None:
    """Return what an instance that moves holds of the host to which it moves, None if it does not."""
    if not instance.is_moving or instance.successor is None:
        return None
    return holding(evolve(instance.successor, successor=None))


def holdings(instance: ServiceInstance) -> list[Holding]:
    """Return what the instance holds of each host."""
    there = holding_there(instance)
    return [holding(instance)] if there is None else [holding(instance), there]


def _lonely_place(instance: ServiceInstance) -> str | None:
    distance = instance.distance
    if distance is None or not distance.is_alone:
        return None
    host = instance.host
    return digest(str(instance.neighbourhood), host.service_host, host.docker_host, str(host.docker_port))
