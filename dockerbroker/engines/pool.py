"""Threads for blocking calls, with a limit per host and a deadline that does not depend on the thread."""

from collections import deque
from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

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


def _daemon_thread(*args: Any, **kwargs: Any) -> Thread:
    return Thread(*args, **kwargs, daemon=True)


class DaemonThreadPool(ThreadPool):
    """A thread pool that never holds up the end of the process: a call may hang for ever."""

    threadFactory = staticmethod(_daemon_thread)  # type: ignore[assignment]

    def stop(self) -> None:
        """Let idle threads end, and leave those alone that are in a call."""
        self.threads.clear()
        super().stop()


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

    async def run(self, deadline: float, call: Callable[[float], T]) -> T:
        """Return what the call returns; it is given the seconds that are left, and runs in a thread.

        Raises what it raises, `EngineUnreachable` when no place became free within `deadline` seconds, or
        `OutcomeUnknown` when it did not return within them.
        """
        end = self.reactor.seconds() + deadline
        await self._place(deadline)
        remaining = end - self.reactor.seconds()
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
        place.errback(
            EngineUnreachable(
                f"The Docker host {self.name} is busy: none of its {self.limit} running calls "
                f"ended within {deadline:g} s."
            )
        )

    def _overdue(self, outcome: Deferred[Any], deadline: float) -> None:
        if not outcome.called:
            outcome.errback(
                OutcomeUnknown(f"The Docker host {self.name} did not answer within {deadline:g} s.")
            )

    def _returned(self, outcome: Deferred[Any], timer: IDelayedCall, success: bool, result: Any) -> None:
        if self._waiting:
            self._waiting.popleft().callback(None)
        else:
            self._taken -= 1
        if timer.active():
            timer.cancel()
        if outcome.called:
            return
        if success:
            outcome.callback(result)
        else:
            assert isinstance(result, Failure)
            outcome.errback(result)
