"""The moves of instances to other Docker hosts, for which no platform asks."""

from typing import ClassVar, Final

from attrs import define, evolve
from twisted.logger import Logger

from dockerbroker.broker.beginning import Beginning
from dockerbroker.broker.hosts import known_host
from dockerbroker.broker.placing import Placing
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import (
    BrokerError,
    Busy,
    HostFull,
    NoCapacity,
    PortLeased,
)
from dockerbroker.model.containers import is_volume_ours
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import (
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceInstance,
    Step,
)
from dockerbroker.model.moving import stays, uncopied
from dockerbroker.model.standing import host_id
from dockerbroker.model.world import is_settled
from dockerbroker.persisters.interfaces import IPersister

#: How long finding a host may take, in seconds: nobody waits for an answer.
_PLACE: Final = 20.0
#: How often a race for a place or a port is run again.
_RACES: Final = 5


@define(eq=False)
class Moving:
    """Begins the moves of instances, or records why one cannot be moved."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    placing: Placing
    beginning: Beginning

    async def move(self, instance_id: str, host: HostKey) -> Operation | None:
        """Begin to move an instance from the host, and return the operation; None when it is not moved now.

        Why it cannot be moved is recorded as a move that has failed. Raises `Unavailable`.
        """
        for _ in range(_RACES):
            instance = await self.persister.instance(instance_id)
            if instance is None or instance.host != host or not is_settled(instance, frozenset()):
                return None
            last = await self.persister.last_operation(instance_id)
            try:
                return await self._begin(instance, last)
            except (HostFull, PortLeased):
                self.placing.view.distrust()
            except Busy:
                return None
            except BrokerError as error:
                await self._refuse(instance, last, error.description)
                return None
        return None

    async def _begin(self, instance: ServiceInstance, last: Operation | None) -> Operation:
        await self._require_movable(instance)
        # A port that turned out to be in use there would be so again.
        keeps_ports = not _is_failed(last)
        placed = await self.placing.elsewhere(instance, keeps_ports=keeps_ports, within=_PLACE)
        moving = evolve(instance, state=InstanceState.UPDATING, successor=placed.instance)
        within = self.beginning.limits.move
        work = await self.beginning.begin(
            OperationKind.MOVE,
            moving,
            None,
            within=within,
            after_id=_platforms_last(last),
            most=placed.most,
        )
        self._log.info(
            "moving {instance} from {host} to {other}",
            instance=instance.id,
            host=instance.host.service_host,
            other=placed.instance.host.service_host,
        )
        self.beginning.launch(work, within)
        return work.operation

    async def _require_movable(self, instance: ServiceInstance) -> None:
        """Raise `NoCapacity` when something of the instance would be lost, or cannot be copied."""
        if (why := stays(instance)) is not None:
            raise NoCapacity(why)
        host = await known_host(self.persister, instance.host)
        engine, cluster_id = self.engines(host), await self.persister.cluster_id()
        container = await engine.inspect(instance.container_id or "")
        if container is None:
            raise NoCapacity("Its container is missing, so that its volumes cannot be read.")
        volumes = await engine.volumes(cluster_id)
        own = [one.name for one in volumes if is_volume_ours(one, cluster_id, instance)]
        if (why := uncopied(instance, container, own)) is not None:
            raise NoCapacity(why)

    async def _refuse(self, instance: ServiceInstance, last: Operation | None, why: str) -> None:
        if _is_failed(last) and last is not None and last.description == why:
            return
        self._log.warn("{instance} is not moved: {why}", instance=instance.id, why=why)
        now = self.beginning.wall()
        operation = Operation(
            id=self.beginning.new_id(),
            kind=OperationKind.MOVE,
            instance_id=instance.id,
            step=Step.CREATE,
            description=why,
            after_id=_platforms_last(last),
            former_host=host_id(instance.host),
            created_at=now,
            step_at=now,
        )
        try:
            await self.beginning.refuse(operation)
        except Busy:
            # Somebody else works on it.
            return


def _is_failed(last: Operation | None) -> bool:
    return last is not None and last.kind is OperationKind.MOVE and last.phase is Phase.FAILED


def _platforms_last(last: Operation | None) -> str | None:
    """Return the operation on the instance for which a platform has asked last."""
    if last is None or last.kind is not OperationKind.MOVE:
        return None if last is None else last.id
    return last.after_id
