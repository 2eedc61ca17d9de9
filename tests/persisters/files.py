"""SQLite databases for tests."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters.opening import check
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import SqliteDatabase, sqlite_engine, sqlite_url
from tests.contracts.persister_case import Call

#: Memory, where each fsync costs nothing; what is tested here does not depend on it.
_FAST = Path("/dev/shm")


def temporary_folder(test: SynchronousTestCase) -> Path:
    """Return a folder that is removed when the test is over."""
    folder = Path(tempfile.mkdtemp(prefix="dockerbroker-", dir=_FAST if _FAST.is_dir() else None))
    test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder


def open_here(path: Path, clock: Callable[[], float], connections: int = 2) -> SqlPersister:
    """Return a persister whose calls are made at once, in the caller's thread."""
    return SqlPersister(SqliteDatabase(sqlite_engine(path, connections=connections), clock), execute)


@define(eq=False)
class SqliteFixture:
    """Persisters on one new file, each with connections of its own."""

    path: Path
    clock: Clock = field(factory=Clock)
    _opened: list[SqlPersister] = field(factory=list, init=False)

    @classmethod
    def of(cls, test: SynchronousTestCase, clock: Clock | None = None) -> SqliteFixture:
        """Return the fixture of a test, closed at its end."""
        fixture = cls(temporary_folder(test) / "broker.db", clock or Clock())
        check(sqlite_url(fixture.path))
        test.addCleanup(fixture.close)
        return fixture

    def persister(self) -> SqlPersister:
        """Return another persister on the same file."""
        opened = open_here(self.path, self.clock.seconds)
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        """Close all persisters."""
        while self._opened:
            self._opened.pop().database.close()

    def restart(self) -> SqlPersister:
        """Close all and open again, as a new process does."""
        self.close()
        check(sqlite_url(self.path))
        return self.persister()

    def race(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls at once, each in a thread of its own."""
        outcomes: list[Any] = [None] * len(calls)
        line = threading.Barrier(len(calls))

        def run(number: int) -> None:
            line.wait()
            Deferred.fromCoroutine(calls[number]()).addErrback(lambda failure: failure.value).addCallback(
                lambda outcome: outcomes.__setitem__(number, outcome)
            )

        threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes
