"""Takes a snapshot of a living deployment."""

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime

from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import BrokerError
from dockerbroker.invariants.snapshot import HostView, Snapshot
from dockerbroker.model.hosts import HostReport
from dockerbroker.model.instances import ServiceBinding, ServiceInstance
from dockerbroker.model.reservations import NOTHING
from dockerbroker.persisters.interfaces import IPersister

#: How long a host gets to tell of its containers and volumes, in seconds.
HOST_DEADLINE = 25.0
_PAGE = 500
_MOST_OPERATIONS = 1_000_000


async def gather(persister: IPersister, engines: Engines, clock: IReactorTime) -> Snapshot:
    """Return what is seen of Docker, and then of the database, in this order; raises `Unavailable`.

    A row is written before its container is made, so that a container without a row has none indeed.
    """
    cluster_id = await persister.cluster_id()
    reports = await persister.hosts()
    looking = [Deferred.fromCoroutine(_view(engines, clock, one, cluster_id)) for one in reports]
    views = [await one for one in looking]
    instances = await _instances(persister)
    bindings: list[ServiceBinding] = []
    for instance in instances:
        bindings += await persister.bindings(instance.id)
    leased = [await persister.leased_ports(view.host.key) for view in views]
    reserved = await persister.reserved()
    return Snapshot(
        cluster_id=cluster_id,
        now=await persister.now(),
        instances=tuple(instances),
        bindings=tuple(bindings),
        operations=tuple(await persister.operations(unfinished=False, limit=_MOST_OPERATIONS)),
        conditions=await persister.conditions(),
        hosts=tuple(
            evolve(one, leased_ports=ports, reserved=reserved.get(one.host.key, NOTHING))
            for one, ports in zip(views, leased, strict=True)
        ),
    )


async def _view(engines: Engines, clock: IReactorTime, report: HostReport, cluster_id: str) -> HostView:
    view = HostView(host=report.host, is_alive=report.is_heard)

    async def look() -> HostView:
        engine = engines(report.host)
        containers = await engine.containers(cluster_id)
        volumes = await engine.volumes(cluster_id)
        return evolve(view, containers=tuple(containers), volumes=tuple(volumes))

    try:
        return await Deferred.fromCoroutine(look()).addTimeout(HOST_DEADLINE, clock)
    except BrokerError as error:
        return evolve(view, complaint=error.description)
    except DeadlinePassed:
        return evolve(view, complaint=f"It did not answer within {HOST_DEADLINE:g} s.")


async def _instances(persister: IPersister) -> list[ServiceInstance]:
    found: list[ServiceInstance] = []
    while page := await persister.instances(found[-1].id if found else "", _PAGE):
        found += page
    return found
