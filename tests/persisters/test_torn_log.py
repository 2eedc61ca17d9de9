"""What a loss of power leaves of a SQLite file: its log lacks the end, or has something else there."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters.sqlite_opening import check_file
from tests.persisters import values
from tests.persisters.files import SqliteFixture, open_here, temporary_folder

#: How many changes there are, and how often the log is torn.
_CHANGES: Final = 12
_TEARS: Final = 10


class TornLogTests(SynchronousTestCase):
    """Copies of a file that is being used, and of its log."""

    def setUp(self) -> None:
        """Make changes; `sizes` is how long the log was when each of them was acknowledged."""
        self.fixture = SqliteFixture.of(self)
        self.log = self.log_of(self.fixture.path)
        persister = self.fixture.persister()
        self.sizes: list[int] = []
        for number in range(_CHANGES):
            self.begin(persister, number)
            self.sizes.append(self.log.stat().st_size)

    def log_of(self, path: Path) -> Path:
        """Return the log beside a file."""
        return path.with_name(f"{path.name}-wal")

    def begin(self, persister: Any, number: int) -> None:
        """Begin the provision of that number."""
        change = values.provision(f"o{number}", values.instance(f"i{number}", 20000 + number))
        self.done(persister.begin(change, owner="one", ttl=9, within=60))

    def done(self, call: Any) -> Any:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def torn(self, size: int, rest: bytes) -> Path:
        """Return a copy of which the log has so many bytes, and then others."""
        path = temporary_folder(self) / "broker.db"
        shutil.copy(self.fixture.path, path)
        self.log_of(path).write_bytes(self.log.read_bytes()[:size] + rest)
        return path

    def test_torn(self) -> None:
        """Wherever the log is torn, each change before that is there, none after it, and a broker works."""
        random = Random(1)  # noqa: S311 (nothing secret is made of it)
        for _ in range(_TEARS):
            size = random.randrange(self.sizes[-1])
            whole = sum(acknowledged <= size for acknowledged in self.sizes)
            for rest in (b"", random.randbytes(5000)):
                path = self.torn(size, rest)
                check_file(path)
                persister = open_here(path, Clock().seconds)
                self.addCleanup(persister.database.close)
                found = [self.done(persister.instance(f"i{number}")) for number in range(_CHANGES)]
                self.assertEqual([bool(one) for one in found], [number < whole for number in range(_CHANGES)])
                self.begin(persister, _CHANGES)
                with closing(sqlite3.connect(path)) as connection:
                    self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
