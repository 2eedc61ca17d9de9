"""Brokers die at each call of a move, and each call fails: the data is there once."""

from __future__ import annotations

import os
from random import Random
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.databases import Databases
from tests.crash.moves import Move, Trouble
from tests.crash.test_campaign import SEED, SEED_VARIABLE, VARIABLE

#: How many trials there are of each kind, beside those on memory with one death or fault at each point.
_DOUBLE: Final = 12
_ON_FILES: Final = 8


class MoveTests(SynchronousTestCase):
    """An instance that moves while brokers die, or calls fail."""

    def setUp(self) -> None:
        """Have databases, and numbers by chance that are the same every time."""
        self.databases = Databases()
        self.addCleanup(self.databases.close)
        self.random = Random(int(os.environ.get(SEED_VARIABLE, str(SEED))))  # noqa: S311
        self.trials = int(os.environ.get(VARIABLE, "1"))

    def moved(self, trouble: Trouble, database: str = "memory") -> Move:
        """Let the instance move in spite of the trouble, and check all that must hold."""
        move = Move.under(trouble, self.databases, database)
        move.drain()
        died = [life.died_at for life in move.world.lives if life.died_at]
        self.assertEqual(move.complaints(), [], f"{trouble}, died at {died}, fault at {move.mishap.met}")
        return move

    def points(self) -> int:
        """Return at how many points something may happen until the instance has moved."""
        move = Move.under(Trouble(), self.databases)
        move.drain()
        points = move.points()
        self.assertEqual(move.complaints(), [])
        return points

    def test_deaths(self) -> None:
        """A broker dies at each point of a move; the next one brings it to its end."""
        for point in range(1, self.points() + 1):
            self.moved(Trouble(deaths=(point,)))

    def test_faults(self) -> None:
        """Each call of a move fails once, be it made or not; it comes to its end all the same."""
        # One before which and one after which it fails lie side by side, so that an odd stride finds both.
        for point in range(1, self.points() + 1, 1 if self.trials > 1 else 3):
            self.moved(Trouble(fault=point))

    def test_two_deaths(self) -> None:
        """The broker that takes over dies, too."""
        points = self.points()
        for _ in range(_DOUBLE * self.trials):
            deaths = self.random.randint(1, points), self.random.randint(1, points)
            self.moved(Trouble(deaths=deaths))

    def test_death_and_fault(self) -> None:
        """A broker dies, and a call of the next one fails."""
        points = self.points()
        for _ in range(_DOUBLE * self.trials):
            death, later = self.random.randint(1, points), self.random.randint(1, points)
            self.moved(Trouble(deaths=(death,), fault=death + later))

    def test_on_files(self) -> None:
        """On SQLite it is the same."""
        points = self.points()
        for _ in range(_ON_FILES * self.trials):
            self.moved(Trouble(deaths=(self.random.randint(1, points),)), "sqlite")
