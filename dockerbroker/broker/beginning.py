"""How a request becomes an operation, and how it waits for that."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from attrs import define, evolve, frozen
from twisted.internet.interfaces import IReactorTime

from dockerbroker.broker.limits import LEASE, Limits
from dockerbroker.broker.worker import Worker
from dockerbroker.errors import (
    AlreadyExists,
    Busy,
    ConcurrencyError,
    Conflict,
    HostFull,
    NotFound,
    OperationFailed,
    PortLeased,
)
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.instances import (
    Change,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
)
from dockerbroker.model.plans import Plan
from dockerbroker.model.polling import is_parked
from dockerbroker.model.requests import Accepted, DeleteRequest
from dockerbroker.model.reservations import Most
from dockerbroker.model.standing import host_id
from dockerbroker.model.steps import forward_steps
from dockerbroker.model.transitions import require_asynchronous
from dockerbroker.model.work import Work, ending
from dockerbroker.persisters.interfaces import IPersister

T = TypeVar("T")

#: How often a request looks again after losing a race against another one.
RACES = 10


@frozen(kw_only=True)
class Begun:
    """An operation that a request waits for: its own, or that of an equal request.

    `attempt` is that of an operation which was parked when the request came: it is about to be tried again.
    """

    operation_id: str
    is_own: bool
    attempt: int = 0
    instance: ServiceInstance | None = None


@define(eq=False)
class Beginning:
    """Writes the operations of requests, hands them to the worker, and waits for their outcome.

    `new_id` makes operation ids; `wall` returns seconds since 1970.
    """

    persister: IPersister
    worker: Worker
    limits: Limits
    clock: IReactorTime
    new_id: Callable[[], str]
    wall: Callable[[], float]

    async def running(self, instance: ServiceInstance | None) -> Operation | None:
        """Return the operation that holds the instance; raises `Busy` when it has ended meanwhile."""
        if instance is None or instance.operation_id is None:
            return None
        running = await self.persister.operation(instance.operation_id)
        if running is None or running.is_over:
            raise Busy("The operation has just ended, so that the instance is not what it was.")
        return running

    def deadline(self) -> float:
        """Return when a request that came now is answered at the latest, on the reactor's clock."""
        return self.clock.seconds() + self.limits.request

    async def settle(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Decide and begin; whoever loses a race looks again at what the winner wrote.

        Nothing is begun so late that it could not be undone before the request must be answered.
        """
        latest = deadline - self.limits.undoing - self.limits.place
        for _ in range(RACES):
            if self.clock.seconds() > latest:
                break
            try:
                return await attempt()
            except (AlreadyExists, Busy, HostFull, PortLeased):
                continue
        raise ConcurrencyError("Too many requests for the same service instance at once; try again.")

    async def begin(
        self,
        kind: OperationKind,
        instance: ServiceInstance,
        binding: ServiceBinding | None,
        *,
        within: float,
        halts: Operation | None = None,
        after_id: str | None = None,
        most: Most | None = None,
        origin: Origin = ITSELF,
    ) -> Work:
        """Write the intent in one transaction, and return what is to be launched.

        An intent whose writing has an unknown outcome is nobody's: it is taken over when its lease has
        lapsed. What it halts may still be under way at Docker. `most` is what may be reserved on the
        instance's host in all; `after_id` is the platform's last operation before one of the broker's own,
        and `origin` whoever asks.
        """
        now = self.wall()
        steps = forward_steps(kind, instance)
        operation = Operation(
            id=self.new_id(),
            kind=kind,
            instance_id=instance.id,
            binding_id=binding.id if binding is not None else None,
            step=steps[0],
            halted_id=halts.id if halts is not None else None,
            after_id=after_id,
            former_host=None if kind is not OperationKind.MOVE else host_id(instance.host),
            may_create=halts is not None and halts.kind is OperationKind.PROVISION,
            within=within,
            created_at=now,
            step_at=now,
            origin=origin,
        )
        instance = evolve(instance, operation_id=operation.id)
        change = Change(
            operation=operation,
            instance=instance,
            binding=binding,
            supersedes=operation.halted_id,
            most=most,
        )
        begun = await self.persister.begin(change, owner=self.worker.holder(), ttl=LEASE, within=within)
        return Work(operation=begun, instance=instance, binding=binding)

    async def record(self, instance: ServiceInstance, origin: Origin) -> None:
        """Write an update of which nothing has to be done, with its record, as one that has succeeded."""
        now = self.wall()
        operation = Operation(
            id=self.new_id(),
            kind=OperationKind.UPDATE,
            instance_id=instance.id,
            step=forward_steps(OperationKind.PROVISION, instance)[0],
            created_at=now,
            origin=origin,
        )
        change = ending(Work(operation=operation, instance=instance), now)
        await self.persister.begin(change, owner=self.worker.holder(), ttl=LEASE, within=0)

    async def refuse(self, operation: Operation) -> None:
        """Write an operation that has failed before it was begun; raises `Busy` as `begin`."""
        failed = operation.over(Phase.FAILED, self.wall())
        await self.persister.begin(Change(operation=failed), owner=self.worker.holder(), ttl=LEASE, within=0)

    def launch(self, work: Work, within: float) -> Begun:
        """Let the worker carry what was begun."""
        self.worker.launch(work, self.clock.seconds() + within)
        return Begun(operation_id=work.operation.id, is_own=True, instance=work.instance)

    async def join(
        self, running: Operation | None, origin: Origin, instance: ServiceInstance | None = None
    ) -> Begun:
        """Wait for the operation of an equal request; one that is parked is tried again at once."""
        assert running is not None, "a request joins an operation that runs"
        attempt = 0
        if is_parked(running):
            attempt = running.attempt
            with suppress(Conflict, NotFound):
                await self.persister.hasten(running.id, origin=origin)
        return Begun(operation_id=running.id, is_own=False, attempt=attempt, instance=instance)

    async def require_asynchronous(self, request: DeleteRequest, stored: ServiceInstance | None) -> None:
        """Raise `AsyncRequired` for a deletion before it is looked whether there is anything to delete.

        That is the order that every conformance suite wants; `stored` is the instance, if it exists.
        """
        if request.accepts_incomplete:
            return
        if stored is not None:
            require_asynchronous(stored.plan, accepts_incomplete=False)
            return
        for definition in await self.persister.images():
            narrowed = definition.narrowed(request.plan_id)
            if narrowed is not None and definition.service_id == request.service_id:
                require_asynchronous(narrowed.plan, accepts_incomplete=False)

    def within(self, deadline: float, plan: Plan, *, asynchronous: bool) -> float:
        """Return how long an operation on an instance of the plan may go forward from now, in seconds."""
        if asynchronous:
            return self.limits.polled(plan.maximum_polling_duration)
        return min(self.limits.forward, deadline - self.limits.undoing - self.clock.seconds())

    async def outcome(self, begun: Begun, deadline: float, *, asynchronous: bool) -> Accepted | None:
        """Return None when the operation has succeeded, and `Accepted` when it goes on after the answer.

        A request that allows that waits for its own operation as long as an answer may take, and not at all
        for that of an equal request. Raises `OperationFailed` with the operation's description.
        """
        accepted = Accepted(operation_id=begun.operation_id, instance=begun.instance)
        if asynchronous:
            if not begun.is_own or self.limits.answer <= 0:
                return accepted
            deadline = min(deadline, self.clock.seconds() + self.limits.answer)
        operation = await self.worker.outcome(begun.operation_id, deadline, attempt=begun.attempt)
        if asynchronous and (operation is None or _goes_on(operation)):
            return accepted
        if operation is None:
            raise self._too_late(begun)
        if operation.phase is not Phase.SUCCEEDED:
            raise _failed(operation)
        return None

    def _too_late(self, begun: Begun) -> ConcurrencyError | OperationFailed:
        if not begun.is_own:
            return ConcurrencyError("An equal request is still being carried out; try again later.")
        return OperationFailed(
            f"The operation was not finished within {self.limits.request:g} s; "
            "the broker undoes it, or finishes what cannot be undone."
        )


def _goes_on(operation: Operation) -> bool:
    """Whether the operation is not undone, but tried again later."""
    return operation.phase is Phase.FORWARD and is_parked(operation)


def _failed(operation: Operation) -> OperationFailed:
    if _goes_on(operation) and operation.kind is OperationKind.UPDATE:
        return OperationFailed(
            "The update is made, but what it has replaced could not be removed yet: "
            f"{operation.description} The broker goes on trying.",
            instance_usable=True,
            update_repeatable=True,
        )
    suffix = "" if operation.is_over else " What it made could not be removed yet; the broker goes on."
    if _goes_on(operation):
        suffix = " The broker goes on trying."
    is_unsettled = operation.kind is OperationKind.UPDATE and not operation.is_over
    return OperationFailed(
        operation.description + suffix,
        # Until the former container runs again.
        instance_usable=False if is_unsettled else operation.instance_usable,
        update_repeatable=operation.update_repeatable,
    )
