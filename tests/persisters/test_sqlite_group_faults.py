"""What can befall groups of writes on a SQLite file: deadlines, a full disk, death."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dockerbroker.errors import Unavailable
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.persisters.databases import PATIENCE, Query, Write
from dockerbroker.persisters.sqlite import SqliteDatabase, sqlite_engine
from dockerbroker.persisters.sqlite_opening import check_file
from tests.model.values import definition
from tests.persisters import values
from tests.persisters.files import SqliteFixture, mount_memory, temporary_folder
from tests.persisters.group_case import GroupCase, insert_image


class DeadlineTests(GroupCase):
    """Writes that must wait too long."""

    def test_too_late(self) -> None:
        """A write whose time is over when its turn comes does nothing; the others of its group are done."""
        first, late = self.occupy(), self.provision(1)
        self.clock.advance(1)
        other = self.provision(2)
        self.clock.advance(PATIENCE - 1)
        self.run_later.finish()
        self.refused(first, Unavailable)
        self.assertIn("too much to do", self.refused(late, Unavailable))
        self.successResultOf(other)
        self.assertEqual(self.stored(), ["o2"])

    def test_all_too_late(self) -> None:
        """When all are too late nothing is begun."""
        outcomes = [self.occupy(), self.provision(1), self.provision(2)]
        self.clock.advance(PATIENCE + 1)
        self.run_later.finish()
        for outcome in outcomes:
            self.refused(outcome, Unavailable)
        self.assertEqual(self.stored(), [])
        self.assertEqual(self.statements, [])

    def test_locked(self) -> None:
        """While another process has the file each write waits until its own deadline, and no longer."""
        other = sqlite3.connect(self.fixture.path, isolation_level=None, check_same_thread=False)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        # What asks for the time after the first try finds the file free.
        times = iter([0.0, 0.1])

        def seconds() -> float:
            time = next(times, 0.2)
            if time == 0.1:
                other.execute("ROLLBACK")
            return time

        self.database.clock = seconds
        asked: list[Write] = [Write(insert_image(name), until) for name, until in (("a", 0.05), ("b", 3.0))]
        late, patient = self.database.write_all(asked)
        self.assertIn("locked by another process", late.value.description)
        self.assertEqual(patient, "b")
        self.assertEqual(self.names(), ["b"])

    def names(self) -> list[str]:
        """Return the names of the images."""
        with closing(sqlite3.connect(self.fixture.path)) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM images ORDER BY name")]


class FullTests(GroupCase):
    """Groups on a disk that is full."""

    def setUp(self) -> None:
        """Make a database on a file system of one megabyte."""
        self.mounted = mount_memory(self, temporary_folder(self) / "mounted")
        path = self.mounted.path / "broker.db"
        check_file(path)
        fixture = SqliteFixture(path)
        self.addCleanup(fixture.close)
        self.open(fixture)

    def image(self, name: str, size: int) -> ImageDefinition:
        """Return a definition that takes so much room."""
        return definition(name, "free", dashboard_url="x" * size)

    def refuse(self, size: int, before: Callable[[], None] | None = None) -> None:
        """Let a group fail of which one write is that large; `before` happens right before it."""
        self.successResultOf(self.begun_alone())
        first = self.provision(1)
        group = [self.provision(2), self.call(self.persister.put_image(self.image("large", size)))]
        group.append(self.provision(3))
        self.run_later.step()
        self.successResultOf(first)
        if before is not None:
            before()
        self.run_later.step()
        for outcome in group:
            self.assertIn("no room left", self.refused(outcome, Unavailable))
        self.assertEqual(self.stored(), ["o1"])
        self.assertEqual(self.done(self.reader.images()), [values.STATIC])

    def begun_alone(self) -> Deferred[Any]:
        """Write something for which nobody waits."""
        outcome = self.occupy()
        self.run_later.finish()
        return outcome

    def recover(self) -> None:
        """Check that with room on the disk everything is done that was refused."""
        outcomes = [self.provision(number) for number in (2, 3)]
        self.run_later.finish()
        for outcome in outcomes:
            self.successResultOf(outcome)
        self.assertEqual(self.stored(), ["o1", "o2", "o3"])

    def test_commit(self) -> None:
        """When a group cannot be made durable all of it is refused; later, with room, all is done."""
        self.refuse(100_000, before=self.mounted.fill)
        self.mounted.empty()
        self.recover()

    def test_statement(self) -> None:
        """When the disk fills up before a group is made durable it is all the same."""
        self.refuse(5_000_000)
        self.recover()


class CrashTests(GroupCase):
    """Processes that die in the middle of a group."""

    def die_in(self, query: Query[Any]) -> None:
        """Let another process write a group, in which that is the second query."""
        self.fixture.close()
        if (child := os.fork()) == 0:
            try:
                database = SqliteDatabase(sqlite_engine(self.fixture.path, connections=1), Clock().seconds)
                queries: list[Query[Any]] = [insert_image("a"), query, insert_image("c")]
                database.write_all([Write(query, 1.0) for query in queries])
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        self.reader = self.fixture.restart()

    def names(self) -> list[str]:
        """Return the names of the images that are stored."""
        with closing(sqlite3.connect(self.fixture.path)) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM images ORDER BY name")]

    def test_before_commit(self) -> None:
        """Nothing of a group is there whose process has died before it was made durable."""

        def die(_: Connection) -> None:
            os._exit(0)

        self.die_in(die)
        self.assertEqual(self.names(), [])

    def test_after_commit(self) -> None:
        """All of a group is there whose process has died before anybody was told."""
        self.die_in(insert_image("b"))
        self.assertEqual(self.names(), ["a", "b", "c"])
