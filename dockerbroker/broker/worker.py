"""What this broker carries, and those who wait for it."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.broker.absence import DEFAULT_WAIT, Absence
from dockerbroker.broker.carriage import Carriage
from dockerbroker.broker.steps import Steps
from dockerbroker.errors import Unavailable
from dockerbroker.model.instances import Operation
from dockerbroker.model.polling import is_parked
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister

#: How often an operation that another broker carries is looked at, in seconds.
LOOK_EVERY = 0.5


@define(eq=False)
class Worker:
    """Carries operations of which this broker, the `owner`, holds the lease.

    Whatever happens to an operation is in its record; in here are only the wake-up calls of those who wait.
    `wall` returns seconds since 1970; `jitter` a random part of a pause. `wait_for_host` is for how many
    seconds a deletion waits for a host that is dead.

    The leases are held under names of their own, `holder`, and only those of what is carried are renewed:
    an operation that was written or claimed without this broker learning of it lapses, and is taken over.
    """

    _log: ClassVar[Logger] = Logger()

    owner: str
    persister: IPersister
    steps: Steps
    reactor: IReactorTime
    wall: Callable[[], float]
    jitter: Callable[[float], float]
    wait_for_host: float = DEFAULT_WAIT
    _running: dict[str, Carriage] = field(factory=dict, init=False)
    _holders: int = field(default=0, init=False)

    def holder(self) -> str:
        """Return a new name under which to hold leases."""
        self._holders += 1
        return f"{self.owner}/{self._holders}"

    def holders(self) -> list[str]:
        """Return the names that hold the leases of what is being carried."""
        return sorted({carriage.holder for carriage in self._running.values()})

    def launch(self, work: Work, until: float) -> None:
        """Carry the operation to its end, in the background.

        What has not gone forward to its end by `until`, on the reactor's clock, is undone. Before a deletion
        that has halted a creation of this broker begins, what of that was under way is waited for.
        """
        operation = work.operation
        assert operation.owner is not None
        carriage = Carriage(
            self.persister,
            self.steps,
            Absence(self.persister, self.wait_for_host),
            self.reactor,
            self.wall,
            self.jitter,
            work,
            until,
            operation.owner,
        )
        halted = self._running.get(operation.halted_id or "")
        self._running[operation.id] = carriage
        carrying = Deferred.fromCoroutine(self._carry(carriage, halted))
        carrying.addErrback(lambda failure: self._log.failure("carrying {id}", failure, id=operation.id))
        carrying.addCallback(lambda _: self._ended(operation.id, carriage))

    async def _carry(self, carriage: Carriage, halted: Carriage | None) -> None:
        if halted is not None:
            halted.halt()
            await _follow(halted.done)
        await carriage.carry()

    def _ended(self, operation_id: str, carriage: Carriage) -> None:
        # After a lapse of the lease this broker may have taken its own operation over a second time.
        if self._running.get(operation_id) is carriage:
            del self._running[operation_id]
        carriage.done.callback(None)

    def cancel(self, operation_ids: Iterable[str]) -> None:
        """Undo these operations, as far as they are carried here."""
        for operation_id in operation_ids:
            if (carriage := self._running.get(operation_id)) is not None:
                carriage.cancel()

    async def outcome(self, operation_id: str, deadline: float, *, attempt: int = 0) -> Operation | None:
        """Return the operation when it is over or is parked; None when that takes too long.

        `deadline` is by the reactor's clock; that the operation was parked after that attempt is known.

        Whoever carries it, the record tells; a local wake-up only makes it sooner.
        """
        while True:
            remaining = deadline - self.reactor.seconds()
            running = operation_id in self._running
            if running:
                await self._wake(operation_id, remaining)
            try:
                operation = await self.persister.operation(operation_id)
            except Unavailable as error:
                # It was begun, and goes on: that it cannot be looked at now is no outcome.
                self._log.warn("looking at {id}: {why}", id=operation_id, why=error.description)
                running = False
            else:
                if (
                    operation is None
                    or operation.is_over
                    or (is_parked(operation) and operation.attempt > attempt)
                ):
                    return operation
            remaining = deadline - self.reactor.seconds()
            if remaining <= 0:
                return None
            if not running:
                await deferLater(self.reactor, min(LOOK_EVERY, remaining))

    async def finished(self) -> None:
        """Return when nothing is being carried any more; who cancels this waits no longer."""
        while self._running:
            carriage = next(iter(self._running.values()))
            await _follow(carriage.done)

    def _wake(self, operation_id: str, within: float) -> Deferred[None]:
        waiting = _follow(self._running[operation_id].done)
        return waiting.addTimeout(max(within, 0), self.reactor, onTimeoutCancel=lambda *_: None)


def _follow(done: Deferred[None]) -> Deferred[None]:
    """Return a Deferred that fires when the other does, and may be cancelled alone."""
    follower: Deferred[None] = Deferred()

    def fire(result: None) -> None:
        if not follower.called:
            follower.callback(None)
        return result

    done.addCallback(fire)
    return follower
