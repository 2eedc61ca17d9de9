"""One operation on its way: step after step, begun again where that may help, undone where it does not."""

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.broker.absence import Absence
from dockerbroker.broker.recording import Recording
from dockerbroker.broker.steps import Steps
from dockerbroker.errors import (
    BrokerError,
    DiskFull,
    EngineError,
    EngineUnreachable,
    ExecutableOverrun,
    HostPortTaken,
    LostLease,
    OperationFailed,
    OutcomeUnknown,
    Unavailable,
)
from dockerbroker.model.executables import printable
from dockerbroker.model.instances import Change, Operation, OperationKind, Phase, Step
from dockerbroker.model.steps import (
    MOST_ATTEMPTS,
    cancelled,
    failing,
    is_deletion,
    is_final,
    next_step,
    remainder,
)
from dockerbroker.model.work import Work, ending, progress
from dockerbroker.persisters.interfaces import IPersister

#: How long one step may take that undoes, or that is not undone any more, in seconds.
UNDO_WITHIN = 60.0
#: The pause before a step is tried again: the first at most, and the longest, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
#: What may be otherwise the next time. All else that Docker or an executable says is an answer.
_TRANSIENT = (EngineUnreachable, OutcomeUnknown, Unavailable)
#: The steps that may be left at any moment: the others are waited for, so that nothing comes late.
_INTERRUPTIBLE = frozenset({Step.READY, Step.EXECUTE, Step.COPY})


@define(eq=False)
class Carriage:
    """Carries one operation to its end.

    `until` is by the reactor's clock: what has not gone forward to its end by then is undone. `jitter`
    returns a random part of a pause. `done` fires when this broker does no more for the operation.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    steps: Steps
    absence: Absence
    reactor: IReactorTime
    wall: Callable[[], float]
    jitter: Callable[[float], float]
    work: Work
    until: float
    holder: str
    done: Deferred[None] = field(factory=Deferred, init=False)
    _record: Recording = field(init=False)
    _doing: Deferred[Any] | None = field(default=None, init=False)
    _is_pausing: bool = field(default=False, init=False)
    _stop: str = field(default="", init=False)
    _is_halted: bool = field(default=False, init=False)

    @_record.default
    def _of_this(self) -> Recording:
        return Recording(self.persister, self.reactor)

    async def carry(self) -> None:
        """Do step after step until the operation is over, is parked, or somebody else has it."""
        try:
            while not self.work.operation.is_over and not self._is_halted:
                self.work = await self._step(self.work)
        except LostLease as error:
            self._log.warn("{id} is left: {why}", id=self.work.operation.id, why=error.description)
            return
        self._tell()

    def cancel(self) -> None:
        """Undo the operation as soon as its present step allows."""
        self._stop = cancelled(self.work.operation.kind)
        self._interrupt()

    def halt(self) -> None:
        """Do nothing more: another operation has taken the place of this one."""
        self._is_halted = True
        self._interrupt()

    def _interrupt(self) -> None:
        operation = self.work.operation
        if self._doing is None or operation.phase is not Phase.FORWARD:
            return
        if operation.step in _INTERRUPTIBLE or self._is_pausing:
            self._doing.cancel()

    def _tell(self) -> None:
        operation = self.work.operation
        self._log.info(
            "{kind} of {instance} {phase}{why}",
            kind=operation.kind.value,
            instance=printable(self.work.instance.id),
            phase="halted" if self._is_halted else operation.phase.value,
            why=f": {operation.description}" if operation.description else "",
        )

    async def _step(self, work: Work) -> Work:
        """Do one step and record it; returns the work about to do the next, or over."""
        try:
            done = await self._within(self._remaining(work.operation), work)
        except LostLease:
            raise
        except BrokerError as error:
            return await self._failed(self.work, error)
        except Exception:  # noqa: BLE001  a defect of ours must not leave the operation for ever
            self._log.failure("operation {id}, step {step}", id=work.operation.id, step=work.operation.step)
            text = f"The broker failed unexpectedly; its log tells more under operation {work.operation.id}."
            return await self._failed(self.work, OperationFailed(text))
        return work if self._is_halted else await self._advance(done)

    def _remaining(self, operation: Operation) -> float:
        if operation.phase is Phase.FAILING or is_final(operation):
            return UNDO_WITHIN
        remaining = self.until - self.reactor.seconds()
        # What is to be deleted is deleted, however late: nobody may ask for it a second time.
        return UNDO_WITHIN if remaining <= 0 and is_deletion(operation.kind) else remaining

    async def _within(self, remaining: float, work: Work) -> Work:
        operation = work.operation
        step = operation.step.value
        if self._stop and operation.phase is Phase.FORWARD and not is_final(operation):
            raise OperationFailed(self._stop)
        text = f"The {operation.kind.value} took too long: it was stopped in the step {step!r}."
        if remaining <= 0:
            raise OperationFailed(text)
        try:
            return await self._waiting(Deferred.fromCoroutine(self.steps.do(work, remaining)), remaining)
        except (DeferredTimeoutError, CancelledError):
            if self._is_halted:
                return work
            return await self._left(work, self._stop or text)

    async def _waiting(self, doing: Deferred[Work], remaining: float) -> Work:
        self._doing = doing
        try:
            return await doing.addTimeout(remaining, self.reactor)
        finally:
            self._doing = None

    async def _left(self, work: Work, text: str) -> NoReturn:
        """Raise what it means that a step was left while it was being done."""
        operation = work.operation
        if operation.step is Step.CREATE or is_deletion(operation.kind):
            raise OutcomeUnknown(text)
        if operation.step is Step.EXECUTE:
            try:
                stored = await self.persister.operation(operation.id)
            except Unavailable:
                raise ExecutableOverrun(text, ended=False) from None
            if stored is not None:
                # What is being run is to be ended before it is undone.
                self.work = evolve(work, operation=evolve(operation, exec_id=stored.exec_id))
        raise OperationFailed(text)

    async def _advance(self, work: Work) -> Work:
        if work.back_to is not None:
            operation = work.operation.again(work.back_to)
        elif (following := next_step(work.operation, work.instance)) is not None:
            operation = work.operation.at(following)
        else:
            return await self._end(work, ending(work, self.wall()))
        operation = evolve(operation, step_at=self.wall())
        await self._record.write(progress(work, operation))
        return evolve(work, operation=operation, back_to=None)

    async def _failed(self, work: Work, error: BrokerError) -> Work:
        operation = work.operation
        if operation.phase is Phase.FAILING:
            return await self._undoing_failed(work, error)
        if operation.step is Step.CREATE and isinstance(error, OutcomeUnknown):
            work = evolve(work, operation=evolve(operation, may_create=True))
        if _may_pass(operation, error) and await self._is_given_up(work):
            return await self._end(work, ending(work, self.wall()))
        if self._may_help(operation, error):
            return await self._again(work, error)
        if is_final(operation) or (is_deletion(operation.kind) and _may_pass(operation, error)):
            await self._wait(operation, error)
        is_unended = isinstance(error, ExecutableOverrun) and not error.ended
        undone = failing(work.operation, work.instance, error.description, is_unended=is_unended)
        if undone is None:
            return await self._not_undone(work, error, is_unended=is_unended)
        # What was asked to be undone is undone, be it finished or not.
        stopped = undone.is_cancelled or bool(self._stop)
        undone = evolve(undone, step_at=self.wall(), is_cancelled=stopped)
        await self._record.write(Change(operation=undone))
        return evolve(work, operation=undone)

    async def _is_given_up(self, work: Work) -> bool:
        """Return whether a deletion succeeds although its host is away: what it leaves is removed later."""
        try:
            is_given_up = await self.absence.ends(work.operation, work.instance)
        except Unavailable:
            return False
        if is_given_up:
            self._log.warn(
                "{id} ends, though {host} is away: what {instance} has there is removed when it returns",
                id=work.operation.id,
                host=work.instance.host.service_host,
                instance=printable(work.instance.id),
            )
        return is_given_up

    async def _not_undone(self, work: Work, error: BrokerError, *, is_unended: bool) -> Work:
        kind = work.operation.kind
        text = error.description + (remainder(kind) if is_unended else "")
        work = evolve(work, operation=evolve(work.operation, phase=Phase.FAILING, description=text))
        return await self._end(work, ending(work, self.wall(), clean=False))

    def _may_help(self, operation: Operation, error: BrokerError) -> bool:
        """Whether the step is to be tried again: the error may pass, and there is time."""
        in_time = self.reactor.seconds() + _pause(operation.attempt) < self.until
        return (
            _may_pass(operation, error) and in_time and not self._stop and operation.attempt < MOST_ATTEMPTS
        )

    async def _again(self, work: Work, error: BrokerError) -> Work:
        operation = work.operation
        self._log.info("{id} tries again: {why}", id=operation.id, why=error.description)
        stored = await self._record.stored(operation)
        # What is being run may still run.
        operation = evolve(operation.again(operation.step), exec_id=stored.exec_id)
        await self._record.write(progress(work, operation))
        self._is_pausing = True
        self._doing = deferLater(self.reactor, self.jitter(_pause(operation.attempt - 1)))
        try:
            await self._doing
        except CancelledError:
            pass
        finally:
            self._doing, self._is_pausing = None, False
        return evolve(work, operation=operation)

    async def _undoing_failed(self, work: Work, error: BrokerError) -> Work:
        """Park what cannot be removed now; tell of what an executable could not clean up."""
        self._log.warn("undoing {id}: {why}", id=work.operation.id, why=error.description)
        if work.operation.step in {Step.REMOVE, Step.DISCARD} or _is_undone_later(work.operation, error):
            await self._record.park(work.operation)
        following = next_step(work.operation, work.instance)
        if work.operation.step is Step.UNDO and work.instance.owns_container and following is not None:
            # An own container takes with it whatever its executable failed to clean up.
            operation = evolve(work.operation.at(following), step_at=self.wall())
            await self._record.write(Change(operation=operation))
            return evolve(work, operation=operation)
        text = f"{work.operation.description} Cleaning up failed as well: {error.description}"
        work = evolve(work, operation=evolve(work.operation, description=text))
        return await self._end(work, ending(work, self.wall(), clean=False))

    async def _wait(self, operation: Operation, error: BrokerError) -> NoReturn:
        """Leave the operation, which only goes forward, for a while, and record why."""
        self._log.warn("{id} waits: {why}", id=operation.id, why=error.description)
        stored = await self._record.stored(operation)
        waiting = evolve(operation, description=error.description, exec_id=stored.exec_id)
        await self._record.write(Change(operation=waiting))
        await self._record.park(waiting)

    async def _end(self, work: Work, change: Change) -> Work:
        await self._record.write(change)
        return evolve(work, operation=change.operation)


def _may_pass(operation: Operation, error: BrokerError) -> bool:
    """Whether the same step may succeed at another time."""
    keeps_ports = operation.kind is OperationKind.UPDATE or operation.step is Step.RESTORE
    if keeps_ports and isinstance(error, HostPortTaken):
        # An update keeps its ports; the container that was stopped may not have let go of them yet.
        return True
    if isinstance(error, DiskFull):
        # Nothing is gained by taking more of the disk; what takes none, or gives it back, may succeed.
        return operation.step not in {Step.CREATE, Step.START}
    return isinstance(error, _TRANSIENT) or type(error) is EngineError


def _is_undone_later(operation: Operation, error: BrokerError) -> bool:
    """Whether what changes an instance waits to be undone: it is to be what it was, not to be deleted."""
    changes = operation.kind in {OperationKind.UPDATE, OperationKind.MOVE}
    if not changes or not _may_pass(operation, error):
        return False
    return isinstance(error, EngineUnreachable) or operation.attempt < MOST_ATTEMPTS


def _pause(attempt: int) -> float:
    """Return the longest pause after that attempt, in seconds."""
    return min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE)
