"""What is asked every second does not fill the log while the database is away."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.redis.persister import RedisPersister
from dockerbroker.persisters.redis.scripts import Script, load
from tests.persisters import values
from tests.persisters.files import SqliteFixture
from tests.pinging import pings


class NoCommands:
    """The way to a Redis server that does not answer."""

    async def call(self, script: Script, request: Any) -> list[Any]:
        """Fail."""
        raise Unavailable(f"No {script.name} of {request}.")

    async def close(self) -> None:
        """Do nothing."""


class QuietTests(SynchronousTestCase):
    """A database that is away."""

    def lines(self, call: Coroutine[Any, Any, Any]) -> int:
        """Return how many lines the log gets of a call that fails."""
        with capturedLogs() as events:
            self.failureResultOf(Deferred.fromCoroutine(call), Unavailable)
        return len(events)

    def assert_quiet(self, persister: IPersister) -> None:
        """Check that the log is told when something else fails, but not of a beat."""
        self.assertEqual(self.lines(persister.record_pings(pings([values.host()]))), 1)
        self.assertEqual(self.lines(persister.observe()), 0)

    def test_sql(self) -> None:
        """A SQL database is away."""
        fixture = SqliteFixture.of(self)
        persister = fixture.persister()
        fixture.close()
        fixture.path.unlink()
        self.assert_quiet(persister)

    def test_redis(self) -> None:
        """A Redis server is away."""
        self.assert_quiet(RedisPersister(NoCommands(), load()))
