"""Threads of a persister that wait until a test lets them go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, execute

T = TypeVar("T")


@define(eq=False)
class Postponing:
    """Keeps what is to be run in a thread until it is told to run it, in the test's own.

    `begun` counts what was ever to be run.
    """

    begun: int = field(default=0, init=False)
    _calls: deque[tuple[Callable[[], Any], Deferred[Any]]] = field(factory=deque, init=False)

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Keep the function; the Deferred fires when it was run."""
        done: Deferred[T] = Deferred()
        self._calls.append((function, done))
        self.begun += 1
        return done

    @property
    def under_way(self) -> int:
        """How many wait to be run."""
        return len(self._calls)

    def step(self) -> None:
        """Run what has waited longest."""
        function, done = self._calls.popleft()
        execute(function).chainDeferred(done)

    def finish(self) -> None:
        """Run everything, also what follows from it."""
        while self._calls:
            self.step()
