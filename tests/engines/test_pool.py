"""Blocking calls have deadlines and limits per host, whatever their threads do."""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.pool import Lane
from dockerbroker.errors import EngineUnreachable, NoImage, OutcomeUnknown


class _Clock(Clock):
    """A clock, to which there are no other threads."""

    def callFromThread(self, function: Callable[..., object], *args: Any) -> None:
        """Call at once."""
        function(*args)


@define(eq=False)
class _Threads:
    """Threads that do nothing until they are told to."""

    begun: list[tuple[Callable[[bool, Any], object], Callable[..., Any], tuple[Any, ...]]] = field(
        factory=list
    )

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], object] | None, func: Callable[..., Any], *args: Any
    ) -> None:
        """Keep the call."""
        assert onResult is not None
        self.begun.append((onResult, func, args))

    def end(self) -> None:
        """Let the oldest call be made and return."""
        returned, call, args = self.begun.pop(0)
        try:
            result = call(*args)
        except Exception:  # noqa: BLE001 - as a ThreadPool does
            returned(False, Failure())
        else:
            returned(True, result)


class LaneTests(SynchronousTestCase):
    """Two calls at a time."""

    def setUp(self) -> None:
        """Have a lane for two."""
        self.clock = _Clock()
        self.threads = _Threads()
        clock: Any = self.clock
        self.lane = Lane(clock, self.threads, 2, "host:2375")

    def begin(self, deadline: float = 10.0, result: Any = "result") -> Deferred[Any]:
        """Begin a call."""
        return ensureDeferred(self.lane.run(deadline, lambda remaining: (result, remaining)))

    def test_result(self) -> None:
        """A call's result is that of its function, which is told the seconds left."""
        call = self.begin()
        self.assertNoResult(call)
        self.threads.end()
        self.assertEqual(self.successResultOf(call), ("result", 10.0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_error(self) -> None:
        """A call's error is that of its function."""

        def fail(_remaining: float) -> None:
            raise NoImage("none")

        call = ensureDeferred(self.lane.run(10, fail))
        self.threads.end()
        self.failureResultOf(call, NoImage)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_limit(self) -> None:
        """A third call waits for a place, and its waiting counts against its deadline."""
        calls = [self.begin() for _ in range(3)]
        self.assertEqual(len(self.threads.begun), 2)
        self.clock.advance(4)
        self.threads.end()
        self.assertEqual(len(self.threads.begun), 2)
        self.threads.end()
        self.threads.end()
        self.assertEqual([self.successResultOf(call)[1] for call in calls], [10.0, 10.0, 6.0])

    def test_overdue(self) -> None:
        """A call past its deadline has an unknown outcome; it keeps its place, and its result is dropped."""
        calls = [self.begin(5), self.begin(5)]
        self.clock.advance(5)
        for call in calls:
            self.assertIn("host:2375", self.failureResultOf(call, OutcomeUnknown).value.description)
        third = self.begin(5)
        self.assertEqual(len(self.threads.begun), 2)
        self.threads.end()
        self.assertEqual(len(self.threads.begun), 2)
        self.threads.end()
        self.threads.end()
        self.successResultOf(third)

    def test_busy(self) -> None:
        """A call that gets no place before its deadline was never made."""
        self.begin(20)
        self.begin(20)
        third = self.begin(5)
        self.clock.advance(5)
        self.assertIn("busy", self.failureResultOf(third, EngineUnreachable).value.description)
        self.threads.end()
        self.assertEqual(len(self.threads.begun), 1)

    def test_places_come_back(self) -> None:
        """However calls end, all places are free afterwards."""
        calls = [self.begin(deadline) for deadline in (1, 20, 2, 20, 20)]
        self.clock.advance(3)
        while self.threads.begun:
            self.threads.end()
        for call in calls:
            call.addErrback(lambda failure: failure.trap(OutcomeUnknown, EngineUnreachable))
        again = [self.begin(), self.begin()]
        self.assertEqual(len(self.threads.begun), 2)
        self.assertEqual(len(again), 2)

    def test_cancelled(self) -> None:
        """Who no longer wants to wait leaves the queue; who no longer wants the result is not told it."""
        first, _second, third = self.begin(), self.begin(), self.begin()
        for call in (third, first):
            call.addErrback(lambda _failure: None)
            call.cancel()
        self.threads.end()
        self.threads.end()
        self.assertEqual(self.threads.begun, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
