"""What the contracts of archives share: an empty database for each test, and awaited calls."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import BrokerError
from dockerbroker.persisters.archive import COUNTED, Closed, Identity, Kind, Row
from tests.persisters.archives import Make, Opened, everything, memory
from tests.persisters.lives import Life

T = TypeVar("T")


class ArchiveTestCase(SynchronousTestCase):
    """Calls of archives, awaited."""

    make: Make

    def setUp(self) -> None:
        """Make an empty database."""
        self.opened = type(self).make(self, "source")
        self.archive, self.persister = self.opened.archive, self.opened.persister
        self.opened.clock.advance(1000)

    def done(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def refused(self, kind: type[BrokerError], call: Coroutine[Any, Any, Any]) -> str:
        """Check that the call raises that error, and return what it says."""
        error = self.failureResultOf(Deferred.fromCoroutine(call), kind).value
        assert isinstance(error, BrokerError)
        return error.description

    def lead(self, opened: Opened | None = None) -> Life:
        """Fill the database with something of everything."""
        chosen = opened or self.opened
        life = Life(chosen.persister, chosen.clock)
        self.done(life.lead())
        return life

    def in_memory(self) -> Opened:
        """Return a database in memory that is filled in the same way."""
        opened = memory(self, "other")
        opened.clock.advance(1000)
        self.lead(opened)
        return opened

    def fill(self, rows: dict[Kind, list[Row]]) -> None:
        """Write the rows into the empty database, and let brokers use it."""
        self.done(self.archive.close(Closed.FILLING, ""))
        for kind, some in rows.items():
            if some:
                self.done(self.archive.write(kind, some))
        self.done(self.archive.close(Closed.NO, ""))

    def everything(self) -> dict[Kind, list[Row]]:
        """Return all rows."""
        return self.done(everything(self.archive))

    def identity(self, **changes: Any) -> Identity:
        """Return the database's identity, with changes."""
        return evolve(self.done(self.archive.standing()).identity, **changes)

    def lengths(self, rows: dict[Kind, list[Row]]) -> dict[Kind, int]:
        """Return how many records there are of each kind."""
        return {kind: len(some) for kind, some in rows.items()}

    def assert_counted(self, rows: dict[Kind, list[Row]]) -> None:
        """Check that as many are counted as there are."""
        counts = self.done(self.archive.standing()).counts
        self.assertEqual(counts, {kind: len(rows[kind]) for kind in COUNTED})
