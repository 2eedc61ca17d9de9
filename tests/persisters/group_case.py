"""A persister on a SQLite file whose writes wait for each other, for tests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import BrokerError
from dockerbroker.persisters.presence import Presence
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import SqliteDatabase, sqlite_engine
from tests.persisters import values
from tests.persisters.files import SqliteFixture
from tests.persisters.postponing import Postponing


class GroupCase(SynchronousTestCase):
    """A persister whose writes are postponed, so that they wait for each other."""

    def setUp(self) -> None:
        """Open a persister on a new file."""
        self.open(SqliteFixture.of(self))

    def open(self, fixture: SqliteFixture, presence: Presence | None = None) -> None:
        """Open a persister on the fixture's file; `reader` is another one that is never postponed."""
        self.fixture, self.clock = fixture, fixture.clock
        engine = sqlite_engine(fixture.path, connections=1)
        self.database = SqliteDatabase(engine, self.clock.seconds, presence)
        self.addCleanup(self.database.close)
        self.run_later = Postponing()
        self.persister = SqlPersister(self.database, self.run_later)
        self.reader = fixture.persister()
        with engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
        self.statements: list[str] = []
        driver.set_trace_callback(self.statements.append)

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """Make the call."""
        return Deferred.fromCoroutine(coroutine)

    def done(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return what a call of another persister returns."""
        return self.successResultOf(self.call(coroutine))

    def occupy(self) -> Deferred[Any]:
        """Begin a write, for which all that come later wait."""
        return self.call(self.persister.put_image(values.STATIC))

    def provision(self, number: int, *ports: int) -> Deferred[Any]:
        """Begin to provision an instance."""
        change = values.provision(f"o{number}", values.instance(f"i{number}", *ports))
        return self.call(self.persister.begin(change, owner="one", ttl=9, within=60))

    def refused(self, outcome: Deferred[Any], kind: type[BrokerError]) -> str:
        """Check that a call was refused; returns the sentence."""
        error = self.failureResultOf(outcome, kind).value
        assert isinstance(error, BrokerError)
        return error.description

    def stored(self) -> list[str]:
        """Return the ids of all operations that are stored, and check that their instances are."""
        found = self.done(self.reader.operations(unfinished=False, limit=1000))
        instances = self.done(self.reader.instances("", 1000))
        self.assertEqual({one.instance_id for one in found}, {instance.id for instance in instances})
        return [operation.id for operation in reversed(found)]

    def commits(self) -> int:
        """Return how many transactions were made durable."""
        return self.statements.count("COMMIT")


def insert_image(name: str) -> Callable[[Connection], str]:
    """Return a query that inserts an image of that name."""

    def insert(connection: Connection) -> str:
        connection.exec_driver_sql("INSERT INTO images VALUES (?, '{}', '{}')", (name,))
        return name

    return insert
