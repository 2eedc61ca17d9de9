"""Deadlines that cost next to nothing while they are kept."""

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime


@define(eq=False)
class Deadline:
    """Calls `passed` when the time is over; it may be put off, or lifted, as often as requests come.

    So its timer is left as it is then, and looks when it fires whether it is needed any more.
    """

    clock: IReactorTime
    passed: Callable[[], None]
    _due: float | None = field(default=None, init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)

    def set(self, seconds: float | None) -> None:
        """Let the deadline be so many seconds from now, or lift it with None."""
        if seconds is None:
            self._due = None
            return
        self._due = self.clock.seconds() + seconds
        if self._timer is not None and self._timer.getTime() > self._due:
            self._stop_timer()
        if self._timer is None:
            self._timer = self.clock.callLater(seconds, self._fire)

    def end(self) -> None:
        """Lift the deadline for good."""
        self._due = None
        self._stop_timer()

    def _stop_timer(self) -> None:
        """Let the timer fire no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._due is None:
            return
        left = self._due - self.clock.seconds()
        if left > 0:
            self._timer = self.clock.callLater(left, self._fire)
        else:
            self._due = None
            self.passed()
