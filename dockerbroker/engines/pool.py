"""Blocking calls in threads, with a limit per host and a deadline that does not depend on the thread."""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure

from dockerbroker.errors import EngineUnreachable, OutcomeUnknown

T = TypeVar("T")


class Reactor(IReactorTime, IReactorFromThreads):
    """What of a reactor is needed to wait for threads."""


class Threads(Protocol):
    """What of a `ThreadPool` is needed."""

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], object] | None, func: Callable[..., Any], *args: Any
    ) -> object:
        """Call the function in a thread, then `onResult` with its success and its result, there as well."""


@define(eq=False)
class Lane:
    """Runs blocking calls for one host, at most `limit` at a time.

    A thread cannot be cancelled: a call that passes its deadline keeps its place until it returns, and its
    late outcome is dropped. So a host that hangs takes its own places, and no more.
    """

    reactor: Reactor
    threads: Threads
    limit: int
    name: str
    _taken: int = field(default=0, init=False)
    _waiting: deque[Deferred[None]] = field(factory=deque, init=False)

    async def run(self, deadline: float, call: Callable[[float], T], *, patience: float | None = None) -> T:
        """Return what the call returns; it is given the seconds that are left, and runs in a thread.

        Waiting for a place counts against the deadline, unless there is a `patience` of its own for that, in
        seconds. Raises what the call raises, `EngineUnreachable` when no place became free in time, or
        `OutcomeUnknown` when it did not return in time.
        """
        end = self.reactor.seconds() + deadline
        await self._place(deadline if patience is None else patience)
        remaining = deadline if patience is not None else end - self.reactor.seconds()
        if remaining <= 0:
            self._give_back()
            raise self._is_busy(deadline)
        outcome: Deferred[T] = Deferred()
        timer = self.reactor.callLater(remaining, self._overdue, outcome, deadline)

        def returned(success: bool, result: Any) -> None:
            self.reactor.callFromThread(self._returned, outcome, timer, success, result)

        self.threads.callInThreadWithCallback(returned, call, remaining)
        return await outcome

    async def _place(self, deadline: float) -> None:
        if self._taken < self.limit:
            self._taken += 1
            return
        place: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(place)
        timer = self.reactor.callLater(deadline, self._busy, place, deadline)

        def stop(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            return result

        await place.addBoth(stop)

    def _busy(self, place: Deferred[None], deadline: float) -> None:
        self._waiting.remove(place)
        place.errback(self._is_busy(deadline))

    def _is_busy(self, deadline: float) -> EngineUnreachable:
        return EngineUnreachable(
            f"The Docker host {self.name} is busy: none of its {self.limit} running calls "
            f"ended within {deadline:g} s."
        )

    def _give_back(self) -> None:
        if self._waiting:
            self._waiting.popleft().callback(None)
        else:
            self._taken -= 1

    def _overdue(self, outcome: Deferred[Any], deadline: float) -> None:
        if not outcome.called:
            outcome.errback(
                OutcomeUnknown(f"The Docker host {self.name} did not answer within {deadline:g} s.")
            )

    def _returned(self, outcome: Deferred[Any], timer: IDelayedCall, success: bool, result: Any) -> None:
        self._give_back()
        if timer.active():
            timer.cancel()
        if outcome.called:
            return
        if success:
            outcome.callback(result)
        else:
            assert isinstance(result, Failure)
            outcome.errback(result)
