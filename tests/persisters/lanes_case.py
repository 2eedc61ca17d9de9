"""Lanes to a Redis server that is a fake one, for tests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.errors import Unavailable
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.redis.lanes import Lanes
from dockerbroker.persisters.redis.scripts import load
from tests.persisters.fake_redis import FakeLine, FakeRedis, bulk

CONFIGURATION = ServerConfiguration(
    driver="redis",
    host="redis.example.org",
    port=6379,
    user="broker",
    password=Secret("p4ss"),
    database="3",
    pool_size=2,
    connect_within=1.0,
    answer_within=2.0,
)
SCRIPTS = load()
DONE = bulk('["done","7"]')
TURN = 0.001
TURNS = 8


class LanesTestCase(SynchronousTestCase):
    """Two lanes to a fake server."""

    def setUp(self) -> None:
        """Make the lanes."""
        self.server = FakeRedis()
        self.lanes = Lanes(FakeLine(self.server), CONFIGURATION)

    def begin(self, name: str = "commit", **request: Any) -> Deferred[list[Any]]:
        """Let a script be run."""
        call = Deferred.fromCoroutine(self.lanes.call(SCRIPTS[name], request))
        self.turn()
        return call

    def turn(self) -> None:
        """Let what goes on by itself go on, which takes hardly any time."""
        self.server.clock.pump([TURN] * TURNS)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.server.clock.pump([0.01] * round(100 * seconds))

    def unavailable(self, call: Deferred[Any], words: str) -> None:
        """Check that the call fails, by a sentence that has the words."""
        error = self.failureResultOf(call, Unavailable).value
        self.assertEqual(error.description, f"The broker's database {words}; try again later.")

    def lane_and_number(self, script: list[str]) -> tuple[str, str]:
        """Return by what the server knows the change."""
        return script[-3], script[-2]
