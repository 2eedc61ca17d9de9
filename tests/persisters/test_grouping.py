"""Writes that wait for their turn are done together, and each has its own outcome."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Busy, Unavailable
from dockerbroker.persisters.databases import Write
from dockerbroker.persisters.grouping import MOST, Groups
from tests.persisters.postponing import Postponing


@define(eq=False)
class Ledger:
    """Does writes by noting them; those whose deadline is odd are refused."""

    groups: list[list[int]] = field(factory=list)
    fails: bool = False

    def write_all(self, writes: Sequence[Write]) -> list[Any]:
        """Note the writes."""
        if self.fails:
            raise Unavailable("Down.")
        numbers = [int(write.deadline) for write in writes]
        self.groups.append(numbers)
        return [Failure(Busy(f"{number}.")) if number % 2 else number for number in numbers]


class GroupsTests(SynchronousTestCase):
    """The bookkeeping of groups."""

    def setUp(self) -> None:
        """Begin without writes, and with one turn at a time."""
        self.ledger = Ledger()
        self.run_later = Postponing()
        self.turns = DeferredSemaphore(1)
        self.groups = Groups(self.ledger.write_all, self.run_later, self.turns)

    def add(self, number: int) -> Deferred[Any]:
        """Add a write with a number, which is its result."""
        return self.groups.add(Write(lambda _: number, float(number)))

    def outcome(self, number: int, outcome: Deferred[Any]) -> None:
        """Check that the write was done, or refused, with its own outcome."""
        if number % 2:
            self.assertEqual(str(self.failureResultOf(outcome, Busy).value), f"{number}.")
        else:
            self.assertEqual(self.successResultOf(outcome), number)

    def test_alone(self) -> None:
        """A write that finds nobody before it begins at once."""
        outcome = self.add(2)
        self.assertNoResult(outcome)
        self.run_later.step()
        self.outcome(2, outcome)

    def test_together(self) -> None:
        """Writes that come while others are being done are the next group, in their order."""
        outcomes = [self.add(number) for number in range(17)]
        self.run_later.finish()
        self.assertEqual(self.ledger.groups, [[0], list(range(1, 17))])
        for number, outcome in enumerate(outcomes):
            self.outcome(number, outcome)

    def test_again_at_once(self) -> None:
        """Whoever writes again when told of the outcome is in the next group with all others who do."""
        for number in range(0, 34, 2):
            self.add(number).addCallback(lambda done: self.add(done + 100))
        self.run_later.finish()
        self.assertEqual(self.ledger.groups, [[0], [*range(2, 34, 2), 100], list(range(102, 134, 2))])

    def test_bounded(self) -> None:
        """No group is larger than the bound; the rest is done next."""
        outcomes = [self.add(number) for number in range(1 + 2 * MOST + 3)]
        self.run_later.finish()
        self.assertEqual([len(group) for group in self.ledger.groups], [1, MOST, MOST, 3])
        for number, outcome in enumerate(outcomes):
            self.outcome(number, outcome)

    def test_failure(self) -> None:
        """What befalls a group as a whole befalls each of it, and no other."""
        self.ledger.fails = True
        outcomes = [self.add(number) for number in range(5)]
        self.run_later.step()
        self.failureResultOf(outcomes[0], Unavailable)
        self.run_later.step()
        for outcome in outcomes[1:]:
            self.failureResultOf(outcome, Unavailable)
        self.ledger.fails = False
        last = self.add(6)
        self.run_later.finish()
        self.outcome(6, last)

    def test_cancelled(self) -> None:
        """A write of which nobody wants to hear any more is done all the same."""
        self.add(2)
        outcome = self.add(4)
        outcome.cancel()
        self.failureResultOf(outcome)
        self.run_later.finish()
        self.assertEqual(self.ledger.groups, [[2], [4]])

    def test_turns(self) -> None:
        """What needs the writer for itself takes its turn between groups, and nothing is done meanwhile."""
        first, others, alone = self.add(2), [self.add(4), self.add(6)], Deferred[None]()
        waiting = self.turns.run(lambda: alone)
        later = self.add(8)
        self.run_later.step()
        self.outcome(2, first)
        self.run_later.step()
        for number, outcome in zip((4, 6, 8), (*others, later), strict=True):
            self.outcome(number, outcome)
        last = self.add(10)
        self.assertEqual(self.run_later.under_way, 0)
        alone.callback(None)
        self.successResultOf(waiting)
        self.run_later.finish()
        self.outcome(10, last)

    @given(st.lists(st.sampled_from(["add", "alone", "step"]), max_size=60))
    def test_any_order(self, moves: list[str]) -> None:
        """However writes come and end, each is done once, in order, and nothing is done beside a group."""
        self.setUp()
        outcomes: list[Deferred[Any]] = []
        for move in moves:
            if move == "add":
                outcomes.append(self.add(len(outcomes)))
            elif move == "alone":
                self.turns.run(self.run_later, lambda: None)
            elif self.run_later.under_way:
                self.run_later.step()
            self.assertLessEqual(self.run_later.under_way, 1)
        self.run_later.finish()
        self.assertEqual(list(chain.from_iterable(self.ledger.groups)), list(range(len(outcomes))))
        for number, outcome in enumerate(outcomes):
            self.outcome(number, outcome)
