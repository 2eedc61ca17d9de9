"""The effects of an operation's steps: each is done again without harm, whatever of it was done before."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from attrs import define, evolve
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dockerbroker.broker.creations import Creations
from dockerbroker.broker.executions import GONE, Executions
from dockerbroker.broker.hosts import known_host
from dockerbroker.broker.limits import Limits
from dockerbroker.broker.moves import Moves
from dockerbroker.broker.readiness import Readiness, Service
from dockerbroker.broker.relocating import Relocation
from dockerbroker.broker.removals import Removals
from dockerbroker.broker.survivors import Survivors
from dockerbroker.engines.interfaces import Engines, Executors
from dockerbroker.errors import (
    BrokerError,
    EngineError,
    EngineUnreachable,
    HostPortTaken,
    NotThere,
    OperationFailed,
    OutcomeUnknown,
)
from dockerbroker.model.executables import Action, hidden_texts
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import BindingState, Change, OperationKind, Phase, Step
from dockerbroker.model.survivors import takes_container
from dockerbroker.model.work import Work, focused, widened
from dockerbroker.persisters.interfaces import IPersister

#: How long a container may take to stop before it is killed, in seconds: a service writes its data out.
STOP_GRACE = 10.0
#: How long a container that runs again is waited for, in seconds: a request that waits must be answered.
RESTORED_WITHIN = 5.0
#: What is kept of the time of an operation for ending an executable that passes its deadline, in seconds.
ENDING = 4.0


@define(eq=False)
class Steps:
    """Does the steps."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    executors: Executors
    executions: Executions
    readiness: Readiness
    removals: Removals
    moves: Moves
    relocation: Relocation
    limits: Limits
    clock: IReactorTime

    async def do(self, work: Work, remaining: float) -> Work:
        """Do the operation's present step and return the records as they are then.

        `remaining` is how many seconds of the operation are left. Raises a `BrokerError` when the step
        failed.
        """
        on_one = focused(work)
        try:
            return widened(work, await self._done(on_one, remaining))
        except (EngineUnreachable, OutcomeUnknown) as error:
            if await self.moves.is_left(work.operation, on_one.instance.host, error):
                return work
            raise

    async def _done(self, work: Work, remaining: float) -> Work:
        host = await known_host(self.persister, work.instance.host)
        if takes_container(work.operation, work.instance):
            settled = await Survivors(self.persister, self.engines).settled(work, host)
            if settled is not None:
                return settled
        return await self._effects()[work.operation.step](work, host, remaining)

    def _effects(self) -> dict[Step, Callable[[Work, DockerHost, float], Awaitable[Work]]]:
        return {
            Step.CREATE: self._create,
            Step.HALT: self._halt,
            Step.COPY: self._copy,
            Step.START: self._start,
            Step.READY: self._await_ready,
            Step.EXECUTE: self._execute,
            Step.KEEP: self._keep,
            Step.RETIRE: self._retire,
            Step.UNBIND: self._unbind_all,
            Step.UNDO: self._undo,
            Step.DISCARD: self._discard,
            Step.RESTORE: self._restore,
            Step.REMOVE: self._remove,
        }

    async def _create(self, work: Work, host: DockerHost, remaining: float) -> Work:
        del remaining
        if work.operation.kind is OperationKind.MOVE:
            return await self.moves.create(work, host)
        try:
            container_id = await Creations(self.persister).create(self.engines(host), work)
        except EngineError as error:
            return await self.relocation.other_host(work, error)
        return evolve(work, instance=evolve(work.instance, container_id=container_id))

    async def _halt(self, work: Work, host: DockerHost, remaining: float) -> Work:
        """Stop the present container, which leaves its ports to its successor; it may be gone already.

        For a move it may not: nothing of it could be copied.
        """
        del remaining
        try:
            await self.engines(host).stop(_container_of(work), grace=STOP_GRACE)
        except NotThere:
            if work.operation.kind is OperationKind.MOVE:
                raise
            self._log.warn("the container of {instance}, to be replaced, is gone", instance=work.instance.id)
        return work

    async def _copy(self, work: Work, host: DockerHost, remaining: float) -> Work:
        del remaining
        assert work.former is not None, "what moves was something before"
        return await self.moves.copy(work, host, await known_host(self.persister, work.former.host))

    async def _start(self, work: Work, host: DockerHost, remaining: float) -> Work:
        del remaining
        engine = self.engines(host)
        container_id = _container_of(work)
        try:
            await engine.start(container_id)
        except HostPortTaken as error:
            return await self.relocation.other_ports(work, host, error)
        except NotThere:
            if work.operation.kind is not OperationKind.PROVISION:
                raise
            # It was removed to be made with other ports, and that was not recorded.
            return evolve(work, back_to=Step.CREATE, instance=evolve(work.instance, container_id=None))
        except OutcomeUnknown:
            found = await engine.inspect(container_id)
            if found is None or not found.running:
                raise
        return work

    async def _await_ready(self, work: Work, host: DockerHost, remaining: float) -> Work:
        if work.operation.attempt > 1 and work.instance.owns_container:
            # Docker itself may have been stopped meanwhile.
            await self.engines(host).start(_container_of(work))
        within = min(self.limits.ready_within, remaining)
        await self.readiness.wait(await self._service(work, host), within)
        return work

    async def _service(self, work: Work, host: DockerHost) -> Service:
        hidden = hidden_texts(work.instance, work.binding)
        if work.former is not None:
            hidden |= hidden_texts(work.former, None)
        if work.operation.kind is not OperationKind.PROVISION:
            for binding in await self.persister.bindings(work.instance.id):
                hidden |= hidden_texts(work.instance, binding)
        return Service(
            engine=self.engines(host),
            executor=self.executors(host),
            instance=work.instance,
            hidden=hidden,
        )

    async def _keep(self, work: Work, host: DockerHost, remaining: float) -> Work:
        del remaining
        policy = work.instance.plan.options.restart
        await self.engines(host).keep_running(_container_of(work), policy)
        return work

    async def _retire(self, work: Work, host: DockerHost, remaining: float) -> Work:
        """Remove the container that was replaced; the volumes go on in its successor, or were copied."""
        del remaining
        if work.operation.kind is OperationKind.MOVE:
            await self.moves.clear(work, host, grace=STOP_GRACE)
            return work
        await self.removals.containers(work, host, (work.instance.generation,), grace=STOP_GRACE)
        return work

    async def _discard(self, work: Work, host: DockerHost, remaining: float) -> Work:
        del remaining
        if work.operation.kind is OperationKind.MOVE:
            await self.moves.discard(work, host)
            return work
        await self.removals.containers(work, host, (work.instance.generation,), grace=0)
        return work

    async def _restore(self, work: Work, host: DockerHost, remaining: float) -> Work:
        engine = self.engines(host)
        container_id = _container_of(work)
        try:
            await engine.start(container_id)
        except NotThere:
            if work.operation.kind is not OperationKind.MOVE:
                raise
            self._log.warn("the container of {instance} is gone", instance=work.instance.id)
            return work
        await engine.keep_running(container_id, work.instance.plan.options.restart)
        try:
            service = await self._service(work, host)
            await self.readiness.wait(service, min(RESTORED_WITHIN, self.limits.ready_within, remaining))
        except OperationFailed as error:
            # It is what it was, and may have been no better then.
            self._log.warn("{instance} runs again: {why}", instance=work.instance.id, why=error.description)
        return work

    async def _execute(self, work: Work, host: DockerHost, remaining: float) -> Work:
        within = max(min(self.limits.execute_within, remaining - ENDING), 1.0)
        match work.operation.kind:
            case OperationKind.PROVISION:
                if work.operation.attempt > 1:
                    await self._revive(work, host, within)
                return await self.executions.provision(work, host, within)
            case OperationKind.UPDATE:
                await self._revive(work, host, within)
                return await self.executions.update(work, host, within)
            case OperationKind.BIND:
                deadline = self.clock.seconds() + remaining - ENDING
                await self._revive(work, host, min(self.limits.ready_within, remaining))
                within = min(self.limits.execute_within, deadline - self.clock.seconds())
                return await self.executions.bind(work, host, max(within, 1.0))
            case OperationKind.UNBIND | OperationKind.DEPROVISION:
                await self.executions.clean(Action(work.operation.kind.value), work, host, within)
                return work
            case OperationKind.MOVE:
                raise AssertionError("a move executes nothing")

    async def _revive(self, work: Work, host: DockerHost, within: float) -> None:
        """Start the container again if somebody stopped it, so that a binding gets a service that runs."""
        if not work.instance.owns_container:
            return
        engine = self.engines(host)
        container = await engine.inspect(_container_of(work))
        if container is None:
            raise OperationFailed(GONE)
        if not container.running:
            await engine.start(container.id)
            await self.readiness.wait(await self._service(work, host), within)

    async def _unbind_all(self, work: Work, host: DockerHost, remaining: float) -> Work:
        """Unbind what is still bound; an own container goes anyway, so that its refusal is only logged."""
        until = self.clock.seconds() + remaining
        for binding in await self.persister.bindings(work.instance.id):
            bound = evolve(work, binding=binding)
            # A deprovision that fails half-way must not leave a binding that looks usable.
            begun = evolve(binding, state=BindingState.DIRTY)
            await self.persister.commit(Change(operation=work.operation, binding=begun))
            try:
                within = min(self.limits.execute_within, until - self.clock.seconds())
                await self.executions.clean(Action.UNBIND, bound, host, max(within, 1.0))
            except BrokerError as error:
                if not work.instance.owns_container:
                    raise
                self._log.warn(
                    "unbinding {binding} before the deprovision failed: {why}",
                    binding=binding.id,
                    why=error.description,
                )
            await self.persister.commit(Change(operation=work.operation, remove_binding=binding.id))
        return work

    async def _undo(self, work: Work, host: DockerHost, remaining: float) -> Work:
        if work.operation.kind is OperationKind.UPDATE:
            await self.executions.leave(work, host)
            return work
        action = Action.DEPROVISION if work.operation.kind is OperationKind.PROVISION else Action.UNBIND
        if work.instance.container_id is None:
            return work
        await self.executions.clean(action, work, host, min(self.limits.execute_within, remaining))
        return work

    async def _remove(self, work: Work, host: DockerHost, remaining: float) -> Work:
        del remaining
        if not work.instance.owns_container:
            return work
        generation = work.instance.generation
        grace = STOP_GRACE if work.operation.phase is Phase.FORWARD else 0.0
        # An update that could not be undone has left a second one.
        generations = (generation, generation + 1)
        await self.removals.containers(work, host, generations, grace=grace)
        await self.removals.volumes(work, host)
        return work


def _container_of(work: Work) -> str:
    if work.instance.container_id is None:
        raise EngineError("The container of the service instance has not been created.")
    return work.instance.container_id
