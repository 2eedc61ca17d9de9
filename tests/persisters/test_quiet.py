"""What is asked every second does not fill the log while the database is away."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sqlalchemy import Insert, Table, create_engine, insert
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred, execute
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from dockerbroker.persisters import troubles
from dockerbroker.persisters.databases import Trouble
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.redis.persister import RedisPersister
from dockerbroker.persisters.redis.scripts import Script, load
from dockerbroker.persisters.servers import ServerDatabase
from dockerbroker.persisters.sql import SqlPersister
from tests.persisters import values
from tests.persisters.files import SqliteFixture
from tests.persisters.test_servers import FakeDialect
from tests.pinging import pings


class NoCommands:
    """The way to a Redis server that does not answer."""

    async def call(self, script: Script, request: Any) -> list[Any]:
        """Fail."""
        raise Unavailable(f"No {script.name} of {request}.")

    async def close(self) -> None:
        """Do nothing."""


class AwayDialect(FakeDialect):
    """That of a server that cannot be reached."""

    def trouble(self, failure: DBAPIError) -> Trouble:
        """Say that nothing else is to be tried."""
        del failure
        return troubles.OTHER

    def upsert(self, table: Table) -> Insert:
        """Return a statement that is never run."""
        return insert(table)


class QuietTests(SynchronousTestCase):
    """A database that is away."""

    def lines(self, call: Coroutine[Any, Any, Any]) -> int:
        """Return how many lines the log gets of a call that fails."""
        with capturedLogs() as events:
            self.failureResultOf(Deferred.fromCoroutine(call), Unavailable)
        return len(events)

    def assert_quiet(self, persister: IPersister) -> None:
        """Check that the log is told when something else fails, but not of what comes every second."""
        self.assertEqual(self.lines(persister.record_pings(pings([values.host()]))), 1)
        self.assertEqual(self.lines(persister.observe()), 0)
        self.assertEqual(self.lines(persister.state()), 0)

    def test_sql(self) -> None:
        """A SQL database is away."""
        fixture = SqliteFixture.of(self)
        persister = fixture.persister()
        fixture.close()
        fixture.path.unlink()
        self.assert_quiet(persister)

    def test_server(self) -> None:
        """A SQL server is away: its writes do not wait for each other."""
        engine = create_engine("sqlite:////nowhere/there/is.none")
        self.addCleanup(engine.dispose)
        self.assert_quiet(SqlPersister(ServerDatabase(engine, AwayDialect()), execute))

    def test_redis(self) -> None:
        """A Redis server is away."""
        self.assert_quiet(RedisPersister(NoCommands(), load()))
