"""Carries operations forward, step by step, and undoes those that fail."""

from collections.abc import Callable

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.broker.steps import Limits, Steps
from dockerbroker.errors import BrokerError, LostLease, OperationFailed, Unavailable
from dockerbroker.model.instances import Change, Operation, Phase, Step
from dockerbroker.model.transitions import failing, next_step
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


@define(eq=False)
class Worker:
    """Carries operations of which this broker, the `owner`, holds the lease.

    Whatever happens to an operation is in its record; in here are only the wake-up calls of those who wait.
    `wall` returns seconds since 1970, for people only.
    """

    owner: str
    persister: IPersister
    steps: Steps
    limits: Limits
    reactor: IReactorTime
    wall: Callable[[], float]
    _running: dict[str, Deferred[None]] = field(factory=dict, init=False)
    _log: Logger = field(factory=Logger, init=False)

    def launch(self, work: Work) -> None:
        """Carry the operation to its end, in the background."""
        done: Deferred[None] = Deferred()
        self._running[work.operation.id] = done
        carried = Deferred.fromCoroutine(self._carry(work))
        carried.addErrback(lambda failure: self._log.failure("carrying {id}", failure, id=work.operation.id))
        carried.addCallback(lambda _: self._ended(work.operation.id, done))

    def _ended(self, operation_id: str, done: Deferred[None]) -> None:
        # After a lapse of the lease this broker may have taken its own operation over a second time.
        if self._running.get(operation_id) is done:
            del self._running[operation_id]
        done.callback(None)

    async def outcome(self, operation_id: str, within: float) -> Operation | None:
        """Return the operation when it is over or waits to be undone; None when that takes too long.

        Whoever carries it, the record tells; a local wake-up only makes it sooner.
        """
        deadline = self.reactor.seconds() + within
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
            waits = [_follow(done) for done in self._running.values()]
            await DeferredList(waits)

    def _wake(self, operation_id: str, within: float) -> Deferred[None]:
        waiting = _follow(self._running[operation_id])
        return waiting.addTimeout(max(within, 0), self.reactor, onTimeoutCancel=lambda *_: None)

    async def _carry(self, work: Work) -> None:
        deadline = self.reactor.seconds() + self.limits.forward
        try:
            while not work.operation.is_over:
                work = await self._step(work, deadline)
        except LostLease:
            self._log.warn("operation {id} was taken over by another broker", id=work.operation.id)
            return
        self._log.info(
            "{kind} of {instance} {phase} {description}",
            kind=work.operation.kind.value,
            instance=work.instance.id,
            phase=work.operation.phase.value,
            description=work.operation.description,
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
        try:
            doing = Deferred.fromCoroutine(self.steps.do(work, remaining))
            return await doing.addTimeout(max(remaining, 0), self.reactor)
        except DeferredTimeoutError:
            operation = work.operation
            raise OperationFailed(
                f"The {operation.kind.value} took too long: it was stopped in the step "
                f"{operation.step.value!r}."
            ) from None

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
        undone = failing(work.operation, work.instance, error.description)
        if undone is None:
            operation = evolve(work.operation, phase=Phase.FAILING, description=error.description)
            work = evolve(work, operation=operation)
            return await self._end(work, ending(work, self.wall(), clean=False))
        await self._write(Change(operation=undone))
        return evolve(work, operation=undone)

    async def _undoing_failed(self, work: Work, error: BrokerError) -> Work:
        """Park what cannot be removed now; tell of what an executable could not clean up."""
        self._log.warn("undoing {id}: {why}", id=work.operation.id, why=error.description)
        if work.operation.step is Step.REMOVE:
            operation = work.operation.again(Step.REMOVE)
            await self._write(Change(operation=operation))
            delay = min(2.0**operation.attempt, LONGEST_DELAY)
            await self.persister.release(operation, delay=delay)
            raise LostLease("The operation waits to be undone.")
        text = f"{work.operation.description} Cleaning up failed as well: {error.description}"
        work = evolve(work, operation=evolve(work.operation, description=text))
        return await self._end(work, ending(work, self.wall(), clean=False))

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
