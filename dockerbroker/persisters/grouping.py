"""Writes that wait for a database's one writer are done together: one transaction, one sync of the disk."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from dockerbroker.persisters.databases import Write

T = TypeVar("T")

#: How many writes are done together at most, so that none waits long for the others.
MOST: Final = 64


class RunInThread(Protocol):
    """Calls a function, usually in a thread, and returns what it returns or raises."""

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Return a Deferred of the function's result."""


@frozen
class _Waiting:
    write: Write
    outcome: Deferred[Any]


@define(eq=False)
class Groups:
    """Collects writes until it is their turn, and does them together, in the order in which they came.

    While one group is being written the next one comes together, so that nobody waits for others to come.
    `write_all` returns an outcome for each write: what it returned, or a Failure. What it raises becomes of
    all of them. `turns` are shared with whatever else needs the writer.
    """

    _write_all: Callable[[Sequence[Write]], Sequence[Any]]
    _run: RunInThread
    _turns: DeferredSemaphore
    _waiting: list[_Waiting] = field(factory=list, init=False)

    def add(self, write: Write) -> Deferred[Any]:
        """Return a Deferred of the outcome. A write goes on when its Deferred is cancelled."""
        waiting = _Waiting(write, Deferred())
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            self._ask()
        return waiting.outcome

    def _ask(self) -> None:
        self._turns.run(self._begin)

    def _begin(self) -> Deferred[None]:
        """Write what has come so far; the rest asks for another turn."""
        group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        if self._waiting:
            self._ask()
        writes = [waiting.write for waiting in group]
        outcomes = self._run(lambda: self._write_all(writes))
        return outcomes.addCallbacks(partial(_deliver, group), partial(_fail, group))


def _deliver(group: Sequence[_Waiting], outcomes: Sequence[Any]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=True):
        waiting.outcome.callback(outcome)


def _fail(group: Sequence[_Waiting], failure: Failure) -> None:
    for waiting in group:
        waiting.outcome.errback(failure)
