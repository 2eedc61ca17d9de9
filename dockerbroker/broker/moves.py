"""The effects of a move's own steps: what leads from one Docker host to another."""

from typing import ClassVar, Final

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dockerbroker.broker.creations import Creations
from dockerbroker.broker.hosts import known_host
from dockerbroker.broker.removals import Removals
from dockerbroker.engines.interfaces import Engines, ICopies
from dockerbroker.errors import EngineError, LostLease, OperationFailed, Unavailable
from dockerbroker.model.containers import VolumePlace, container_name
from dockerbroker.model.hosts import DockerHost, HostKey, HostState
from dockerbroker.model.instances import Change, Operation, OperationKind, Step
from dockerbroker.model.moving import copied_paths
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister

#: How often it is recorded how much was copied, in seconds; who has lost the lease hears of it then.
RECORD_EVERY: Final = 5.0
#: How often a container is made anew since what it got could not be continued.
_MOST_NEW: Final = 10
#: The steps that a move leaves to the reaper when their host is dead.
_LEFT: Final = frozenset({Step.DISCARD, Step.RESTORE, Step.RETIRE})
#: After so many attempts what the new host has is left to the reaper, so that the former one serves again.
_PATIENT: Final = 6


@define(eq=False)
class Moves:
    """Makes containers on another host, copies volumes there, and clears up on either side."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    copies: ICopies
    removals: Removals
    clock: IReactorTime

    async def create(self, work: Work, host: DockerHost) -> Work:
        """Make the container there, with volumes that are empty; what an earlier try has left goes before."""
        await self._require_apart(work, host)
        await self.clear(work, host)
        container_id = await Creations(self.persister).create(self.engines(host), work)
        operation = evolve(work.operation, copied=0)
        return evolve(work, operation=operation, instance=evolve(work.instance, container_id=container_id))

    async def _is_there(self, work: Work, host: DockerHost) -> bool:
        """Return whether the former container is on that host: ids are unique, names of engines not."""
        assert work.former is not None, "what moves was something before"
        return await self.engines(host).inspect(work.former.container_id or "") is not None

    async def _is_apart(self, work: Work, host: DockerHost) -> bool:
        """Return whether what is removed there is nothing that the instance has on its former host.

        Only a container that is seen on the one and not on the other shows that there are two engines: now,
        or when the container there was made. One that does not answer while the other does is another one.
        """
        assert work.former is not None, "what moves was something before"
        if await self._is_there(work, host):
            return False
        if work.instance.container_id is not None:
            return True
        try:
            return await self._is_there(work, await known_host(self.persister, work.former.host))
        except EngineError:
            return True

    async def _require_apart(self, work: Work, host: DockerHost) -> None:
        assert work.former is not None, "what moves was something before"
        engine = self.engines(host)
        if await self._is_there(work, host):
            raise OperationFailed(f"The Docker Engine of {host.key.service_host} is the one that it is on.")
        if not await self._is_there(work, await known_host(self.persister, work.former.host)):
            raise OperationFailed("Its container is missing, so that its volumes cannot be read.")
        cluster_id = await self.persister.cluster_id()
        name = container_name(cluster_id, work.instance.id, work.instance.generation)
        found = await engine.inspect(name)
        if found is not None and found.is_kept:
            # Only a database that does not know of it, since it was restored, lets that happen.
            raise OperationFailed(f"The container {name} on {host.key.service_host} was finished already.")

    async def discard(self, work: Work, host: DockerHost) -> None:
        """Remove what was made there."""
        if await self._is_apart(work, host):
            await self.clear(work, host)

    async def clear(self, work: Work, host: DockerHost, *, grace: float = 0.0) -> None:
        """Remove from the host the container of the instance's generation, and all of its volumes."""
        await self.removals.containers(work, host, (work.instance.generation,), grace=grace)
        await self.removals.volumes(work, host)

    async def copy(self, work: Work, host: DockerHost, source: DockerHost) -> Work:
        """Copy all volumes, and compare; what an earlier try has begun is begun anew."""
        assert work.former is not None, "what moves was something before"
        here, there = work.former.container_id or "", work.instance.container_id or ""
        paths = copied_paths(work.former.volumes)
        targets = [VolumePlace(host=host, container_id=there, path=path) for path in paths]
        for target in targets:
            if not await self.copies.is_empty(target):
                why = f"The volumes on {host.key.service_host} cannot be emptied."
                return _begun_anew(work, Step.CREATE, why)
        operation = work.operation
        for target in targets:
            place = VolumePlace(host=source, container_id=here, path=target.path)
            operation = await _Copying(self, operation).copy(place, target)
        if await self._runs(source, here):
            why = f"Somebody starts the container on {source.key.service_host} that is to be moved."
            return _begun_anew(work, Step.HALT, why)
        return evolve(work, operation=operation)

    async def _runs(self, host: DockerHost, container_id: str) -> bool:
        """Return whether the container runs, so that its volumes may not be what was copied of them."""
        container = await self.engines(host).inspect(container_id)
        return container is not None and container.running

    async def is_left(self, operation: Operation, key: HostKey, error: EngineError) -> bool:
        """Return whether the step ends although its host does not answer; raises `Unavailable`.

        What stays on a host that is dead or forgotten the reaper removes when it returns.
        """
        if operation.kind is not OperationKind.MOVE or operation.step not in _LEFT:
            return False
        reports = {report.host.key: report.state for report in await self.persister.hosts()}
        is_away = reports.get(key, HostState.DEAD) is HostState.DEAD
        is_urgent = operation.step is Step.DISCARD and operation.attempt >= _PATIENT
        if is_away or is_urgent:
            self._log.warn(
                "{id} leaves what it has on {host} to the reaper: {why}",
                id=operation.id,
                host=key.service_host,
                why=error.description,
            )
        return is_away or is_urgent


def _begun_anew(work: Work, step: Step, why: str) -> Work:
    """Return the work as it goes back to that step; raises `OperationFailed` when it did so too often."""
    if work.operation.attempt > _MOST_NEW:
        raise OperationFailed(why)
    return evolve(work, back_to=step)


@define(eq=False)
class _Copying:
    """One volume on its way: every few seconds its progress is recorded, as long as the lease is held."""

    _log: ClassVar[Logger] = Logger()

    moves: Moves
    operation: Operation
    _copied: int = field(default=0, init=False)
    _lost: LostLease | None = field(default=None, init=False)

    async def copy(self, source: VolumePlace, target: VolumePlace) -> Operation:
        """Copy, and return the operation with what was copied."""
        copying = Deferred.fromCoroutine(self.moves.copies.copy(source, target, self._tell))
        recording = LoopingCall(lambda: Deferred.fromCoroutine(self._record(copying)))
        recording.clock = self.moves.clock
        recording.start(RECORD_EVERY, now=False)
        try:
            await copying
        except CancelledError:
            if self._lost is not None:
                raise self._lost from None
            raise
        finally:
            recording.stop()
        return self._progressed()

    def _tell(self, copied: int) -> None:
        self._copied = copied

    def _progressed(self) -> Operation:
        return evolve(self.operation, copied=self.operation.copied + self._copied)

    async def _record(self, copying: Deferred[None]) -> None:
        try:
            await self.moves.persister.commit(Change(operation=self._progressed()))
        except LostLease as error:
            # Whoever has the lease may copy anew already.
            self._lost = error
            copying.cancel()
        except Unavailable as error:
            self._log.warn("{id} goes on copying: {why}", id=self.operation.id, why=error.description)
