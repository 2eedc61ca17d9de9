"""Carries operations forward, step by step, and undoes those that fail."""

from collections.abc import Callable
from typing import ClassVar, NoReturn

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.broker.steps import Steps
from dockerbroker.errors import (
    BrokerError,
    ExecutableOverrun,
    LostLease,
    OperationFailed,
    OutcomeUnknown,
    Unavailable,
)
from dockerbroker.model.instances import Change, Operation, Phase, Step
from dockerbroker.model.transitions import failing, next_step, remainder
from dockerbroker.model.work import Work, ending, progress
from dockerbroker.persisters.interfaces import IPersister

#: How long one step of undoing may take, in seconds.
UNDO_WITHIN = 60.0
#: The longest pause before an undoing that failed is tried again, in seconds.
LONGEST_DELAY = 60.0
#: How often an operation that another broker carries is looked at, in seconds.
LOOK_EVERY = 0.5
#: The longest pause between two tries to write to a database that does not answer, in seconds.
LONGEST_WRITE_PAUSE = 5.0


@frozen
class _Carried:
    """An operation that is being carried: the holder of its lease, and what fires at its end."""

    holder: str
    done: Deferred[None]


@define(eq=False)
class Worker:
    """Carries operations of which this broker, the `owner`, holds the lease.

    Whatever happens to an operation is in its record; in here are only the wake-up calls of those who wait.
    `wall` returns seconds since 1970, for people only.

    The leases are held under names of their own, `holder`, and only those of what is carried are renewed:
    an operation that was written or claimed without this broker learning of it lapses, and is taken over.
    """

    _log: ClassVar[Logger] = Logger()

    owner: str
    persister: IPersister
    steps: Steps
    reactor: IReactorTime
    wall: Callable[[], float]
    _running: dict[str, _Carried] = field(factory=dict, init=False)
    _holders: int = field(default=0, init=False)

    def holder(self) -> str:
        """Return a new name under which to hold leases."""
        self._holders += 1
        return f"{self.owner}/{self._holders}"

    def holders(self) -> list[str]:
        """Return the names that hold the leases of what is being carried."""
        return sorted({carried.holder for carried in self._running.values()})

    def launch(self, work: Work, until: float) -> None:
        """Carry the operation to its end, in the background.

        What has not gone forward to its end by `until`, on the reactor's clock, is undone.
        """
        assert work.operation.owner is not None
        carried = _Carried(work.operation.owner, Deferred())
        self._running[work.operation.id] = carried
        carrying = Deferred.fromCoroutine(self._carry(work, until))
        carrying.addErrback(lambda failure: self._log.failure("carrying {id}", failure, id=work.operation.id))
        carrying.addCallback(lambda _: self._ended(work.operation.id, carried))

    def _ended(self, operation_id: str, carried: _Carried) -> None:
        # After a lapse of the lease this broker may have taken its own operation over a second time.
        if self._running.get(operation_id) is carried:
            del self._running[operation_id]
        carried.done.callback(None)

    async def outcome(self, operation_id: str, deadline: float) -> Operation | None:
        """Return the operation when it is over or waits to be undone; None when that takes too long.

        `deadline` is by the reactor's clock.

        Whoever carries it, the record tells; a local wake-up only makes it sooner.
        """
        while True:
            remaining = deadline - self.reactor.seconds()
            running = operation_id in self._running
            if running:
                await self._wake(operation_id, remaining)
            operation = await self.persister.operation(operation_id)
            if operation is None or operation.is_over or _is_parked(operation):
                return operation
            remaining = deadline - self.reactor.seconds()
            if remaining <= 0:
                return None
            if not running:
                await deferLater(self.reactor, min(LOOK_EVERY, remaining), lambda: None)

    async def finished(self) -> None:
        """Return when nothing is being carried any more."""
        while self._running:
            waits = [_follow(carried.done) for carried in self._running.values()]
            await DeferredList(waits)

    def _wake(self, operation_id: str, within: float) -> Deferred[None]:
        waiting = _follow(self._running[operation_id].done)
        return waiting.addTimeout(max(within, 0), self.reactor, onTimeoutCancel=lambda *_: None)

    async def _carry(self, work: Work, deadline: float) -> None:
        try:
            while not work.operation.is_over:
                work = await self._step(work, deadline)
        except LostLease as error:
            self._log.warn("operation {id} is left: {why}", id=work.operation.id, why=error.description)
            return
        self._log.info(
            "{kind} of {instance} {phase}{why}",
            kind=work.operation.kind.value,
            instance=work.instance.id,
            phase=work.operation.phase.value,
            why=f": {work.operation.description}" if work.operation.description else "",
        )

    async def _step(self, work: Work, deadline: float) -> Work:
        """Do one step and record it; returns the work about to do the next, or over."""
        forward = work.operation.phase is Phase.FORWARD
        remaining = deadline - self.reactor.seconds() if forward else UNDO_WITHIN
        try:
            done = await self._within(remaining, work)
        except LostLease:
            raise
        except BrokerError as error:
            return await self._failed(work, error)
        except Exception:  # noqa: BLE001  a defect of ours must not leave the operation for ever
            self._log.failure("operation {id}, step {step}", id=work.operation.id, step=work.operation.step)
            text = f"The broker failed unexpectedly; its log tells more under operation {work.operation.id}."
            return await self._failed(work, OperationFailed(text))
        return await self._advance(done)

    async def _within(self, remaining: float, work: Work) -> Work:
        operation = work.operation
        text = (
            f"The {operation.kind.value} took too long: it was stopped in the step {operation.step.value!r}."
        )
        if remaining <= 0:
            raise OperationFailed(text)
        try:
            doing = Deferred.fromCoroutine(self.steps.do(work, remaining))
            return await doing.addTimeout(remaining, self.reactor)
        except DeferredTimeoutError:
            if operation.step is Step.EXECUTE:
                raise ExecutableOverrun(text, ended=False) from None
            if operation.step is Step.CREATE:
                raise OutcomeUnknown(text) from None
            raise OperationFailed(text) from None

    async def _advance(self, work: Work) -> Work:
        if work.back_to is not None:
            operation = work.operation.again(work.back_to)
        elif (following := next_step(work.operation, work.instance)) is not None:
            operation = work.operation.at(following)
        else:
            return await self._end(work, ending(work, self.wall()))
        await self._write(progress(work, operation))
        return evolve(work, operation=operation, back_to=None)

    async def _failed(self, work: Work, error: BrokerError) -> Work:
        if work.operation.phase is Phase.FAILING:
            return await self._undoing_failed(work, error)
        is_unended = isinstance(error, ExecutableOverrun) and not error.ended
        if work.operation.step is Step.CREATE and isinstance(error, OutcomeUnknown):
            work = evolve(work, operation=evolve(work.operation, may_create=True))
        undone = failing(work.operation, work.instance, error.description, is_unended=is_unended)
        if undone is None:
            text = error.description + (remainder(work.operation.kind) if is_unended else "")
            operation = evolve(work.operation, phase=Phase.FAILING, description=text)
            work = evolve(work, operation=operation)
            return await self._end(work, ending(work, self.wall(), clean=False))
        await self._write(Change(operation=undone))
        return evolve(work, operation=undone)

    async def _undoing_failed(self, work: Work, error: BrokerError) -> Work:
        """Park what cannot be removed now; tell of what an executable could not clean up."""
        self._log.warn("undoing {id}: {why}", id=work.operation.id, why=error.description)
        if work.operation.step is Step.REMOVE:
            await self._park(work.operation)
        if work.instance.owns_container and (following := next_step(work.operation, work.instance)):
            # An own container takes with it whatever its executable failed to clean up.
            operation = work.operation.at(following)
            await self._write(Change(operation=operation))
            return evolve(work, operation=operation)
        text = f"{work.operation.description} Cleaning up failed as well: {error.description}"
        work = evolve(work, operation=evolve(work.operation, description=text))
        return await self._end(work, ending(work, self.wall(), clean=False))

    async def _park(self, operation: Operation) -> NoReturn:
        """Leave the operation, which is recorded as it is, to whoever takes it over after a while."""
        try:
            await self.persister.release(operation, delay=_pause(operation.attempt))
        except Unavailable as error:
            # Its lease lapses by itself.
            self._log.warn("parking {id}: {why}", id=operation.id, why=error.description)
        raise LostLease("It waits to be undone.")

    async def _end(self, work: Work, change: Change) -> Work:
        await self._write(change)
        return evolve(work, operation=change.operation)

    async def _write(self, change: Change) -> None:
        """Write, however long the database takes to answer again: what was done must be recorded."""
        pause = 0.1
        while True:
            try:
                await self.persister.commit(change)
            except Unavailable as error:
                self._log.warn("recording {id}: {why}", id=change.operation.id, why=error.description)
                await deferLater(self.reactor, pause, lambda: None)
                pause = min(pause * 2, LONGEST_WRITE_PAUSE)
            else:
                return


def _pause(attempt: int) -> float:
    """Return the seconds until the next try; a host may be away for days, and the attempts many."""
    return min(2.0 ** min(attempt, 10), LONGEST_DELAY)


def _is_parked(operation: Operation) -> bool:
    return operation.phase is Phase.FAILING and operation.owner is None


def _follow(done: Deferred[None]) -> Deferred[None]:
    """Return a Deferred that fires when the other does, and may be cancelled alone."""
    follower: Deferred[None] = Deferred()

    def fire(result: None) -> None:
        if not follower.called:
            follower.callback(None)
        return result

    done.addCallback(fire)
    return follower
