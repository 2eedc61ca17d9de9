"""SQLite as the persister uses it: settings, and faults that pass."""

from __future__ import annotations

import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.instances import Change, Step
from dockerbroker.persisters.databases import PATIENCE
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import SqliteDatabase, sqlite_engine
from dockerbroker.persisters.sqlite_opening import check_file
from tests.model.values import definition
from tests.persisters import values
from tests.persisters.files import SqliteFixture, mount_memory, open_here, temporary_folder


class SqliteTestCase(SynchronousTestCase):
    """Calls of a persister on a file."""

    def setUp(self) -> None:
        """Open a persister."""
        self.fixture = SqliteFixture.of(self)
        self.path = self.fixture.path
        self.persister = self.fixture.persister()

    def done(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def unavailable(self, call: Coroutine[Any, Any, Any]) -> str:
        """Check that the call raises `Unavailable`; returns the sentence."""
        error = self.failureResultOf(Deferred.fromCoroutine(call), Unavailable).value
        return str(error.description)

    def all_unavailable(self, *, reads: bool = True) -> set[str]:
        """Check that nothing is answered; returns the sentences."""
        sentences = {
            self.unavailable(self.persister.put_image(values.REDIS)),
            self.unavailable(self.persister.begin(values.deprovision("o"), owner="one", ttl=9, within=60)),
        }
        if reads:
            sentences |= {
                self.unavailable(self.persister.images()),
                self.unavailable(self.persister.instance("i1")),
            }
        return sentences


class SettingsTests(SqliteTestCase):
    """What is set on every connection."""

    def test_pragmas(self) -> None:
        """Write-ahead log, a sync at each commit, and foreign keys."""
        engine = sqlite_engine(self.path, connections=1)
        self.addCleanup(engine.dispose)
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 4000}
        with engine.connect() as connection:
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted}
        self.assertEqual(found, wanted)

    def test_transactions(self) -> None:
        """Every write begins as one, every read does not, and each is ended."""
        statements: list[str] = []
        engine = sqlite_engine(self.path, connections=1)
        self.addCleanup(engine.dispose)
        persister = SqlPersister(SqliteDatabase(engine, self.fixture.clock.seconds), execute)
        with engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
        driver.set_trace_callback(statements.append)
        self.done(persister.put_image(values.REDIS))
        self.done(persister.images())
        bounds = [words for words in statements if words.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]
        self.assertEqual(bounds, ["BEGIN IMMEDIATE", "COMMIT", "BEGIN DEFERRED", "COMMIT"])


class LockTests(SqliteTestCase):
    """Another process that holds the file's lock."""

    def setUp(self) -> None:
        """Hold the lock."""
        super().setUp()
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(self.other.close)
        self.other.execute("BEGIN IMMEDIATE")

    def impatient(self) -> SqlPersister:
        """Return a persister whose patience is over when its writes get their turn."""
        times = count(0, PATIENCE - 0.01)
        return open_here(self.path, lambda: next(times))

    def test_write(self) -> None:
        """A write that cannot begin in time has done nothing, and says why."""
        self.persister = self.impatient()
        self.addCleanup(self.persister.database.close)
        sentence = self.unavailable(self.persister.put_image(values.REDIS))
        self.assertEqual(sentence, "The broker's database is locked by another process; try again later.")
        self.other.execute("ROLLBACK")
        self.assertEqual(self.done(self.persister.images()), [])
        self.done(self.persister.put_image(values.REDIS))

    def test_read(self) -> None:
        """Reads do not wait for it."""
        self.assertEqual(self.done(self.persister.images()), [])


class FileTests(SqliteTestCase):
    """What can happen to the file while the broker runs."""

    def test_gone(self) -> None:
        """While the file is gone nothing is answered, and no empty one takes its place."""
        self.done(self.persister.put_image(values.STATIC))
        self.fixture.close()
        moved = self.path.rename(self.path.with_name("moved.db"))
        self.persister = self.fixture.persister()
        self.assertEqual(self.all_unavailable(), {"The broker's database cannot be opened; try again later."})
        self.assertFalse(self.path.exists())
        moved.rename(self.path)
        self.assertEqual(self.done(self.persister.images()), [values.STATIC])

    def test_removed_while_open(self) -> None:
        """A file that is removed while it is open is not written to any more."""
        self.done(self.persister.put_image(values.STATIC))
        self.path.unlink()
        self.all_unavailable()
        self.assertFalse(self.path.exists())

    def test_replaced(self) -> None:
        """A backup that takes the file's place is used at once."""
        self.done(self.persister.put_image(values.STATIC))
        backup = self.path.with_name("backup.db")
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("VACUUM INTO ?", (str(backup),))
        self.done(self.persister.put_image(values.REDIS))
        for path in self.path.parent.glob("broker.db*"):
            path.unlink()
        backup.rename(self.path)
        self.assertEqual(self.done(self.persister.images()), [values.STATIC])

    def test_damaged(self) -> None:
        """A file that is no database any more is told of."""
        self.fixture.close()
        self.path.write_bytes(b"no database" * 1000)
        self.persister = self.fixture.persister()
        self.assertEqual(
            self.all_unavailable(), {"The broker's database is not an SQLite database; try again later."}
        )

    def test_foreign(self) -> None:
        """A database without the tables is told of."""
        self.fixture.close()
        self.path.unlink()
        self.path.touch()
        self.persister = self.fixture.persister()
        self.all_unavailable()

    def test_unreadable_record(self) -> None:
        """A record that is damaged is told of, and the others are answered."""
        self.fixture.close()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("INSERT INTO images VALUES ('redis', '{', '{}')")
            connection.commit()
        self.persister = self.fixture.persister()
        self.assertIn("cannot be read", self.unavailable(self.persister.images()))
        self.assertIsNone(self.done(self.persister.instance("i1")))


class FileSystemTests(SqliteTestCase):
    """File systems that fill up or turn read-only, and recover."""

    def setUp(self) -> None:
        """Make a database on a file system of one megabyte."""
        self.mounted = mount_memory(self, temporary_folder(self) / "mounted")
        self.path = self.mounted.path / "broker.db"
        check_file(self.path)
        self.fixture = SqliteFixture(self.path)
        self.persister = self.fixture.persister()
        self.addCleanup(self.fixture.close)

    def image(self, number: int) -> ImageDefinition:
        """Return a definition that takes some room."""
        name = f"image{number}"
        return definition(name, "free", dashboard_url="x" * 20_000)

    def test_full(self) -> None:
        """On a full disk writes fail and reads do not; with room all goes on, and nothing was half done."""
        begun = self.done(
            self.persister.begin(
                values.provision("o1", values.instance("i1", 20001)), owner="one", ttl=9, within=60
            )
        )
        for number in range(10):
            self.done(self.persister.put_image(self.image(number)))
        self.mounted.fill()
        large = self.image(10)
        self.assertIn("database", self.unavailable(self.persister.put_image(large)))
        grown = values.instance("i1", 20001, context={"large": "x" * 100_000})
        self.unavailable(self.persister.commit(Change(operation=begun.at(Step.START), instance=grown)))
        self.assertEqual(self.done(self.persister.operation("o1")), begun)
        self.assertEqual(len(self.done(self.persister.images())), 10)
        self.mounted.empty()
        self.done(self.persister.put_image(large))
        self.done(self.persister.commit(Change(operation=begun.at(Step.START), instance=grown)))
        self.assertEqual(self.done(self.persister.operation("o1")), begun.at(Step.START))

    def test_read_only(self) -> None:
        """On a file system that turned read-only writes fail; when it is writable again all goes on."""
        self.fixture.close()
        self.mounted.remount("ro")
        self.persister = self.fixture.persister()
        self.all_unavailable(reads=False)
        self.mounted.remount("rw")
        self.done(self.persister.put_image(values.REDIS))
        self.assertEqual(self.done(self.persister.images()), [values.REDIS])
