"""Redis databases for tests, over txredisapi on the real reactor, or over a blocking connection."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import redis
from attrs import define, evolve, field
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.redis.blocking import BlockingLine
from dockerbroker.persisters.redis.lanes import Lane, Lanes
from dockerbroker.persisters.redis.lines import ReactorLine
from dockerbroker.persisters.redis.opening import at_once, open_blocking
from dockerbroker.persisters.redis.persister import RedisPersister
from dockerbroker.persisters.redis.scripts import Effect, Script, Scripts, load
from tests.contracts.persister_case import Call
from tests.polling import PATIENCE
from tests.servers import server

#: Lua for the time of a test's clock, which stands in the database.
_TIME: Final = "tonumber(field(deployment, 'test_clock') or '0')"
SCRIPTS: Final[Scripts] = load(_TIME)

_TURN: Final = 0.01

reactor: Any = _reactor


def turn_until(deferred: Deferred[Any]) -> None:
    """Let the real reactor work until there is an outcome."""
    deadline = time.monotonic() + PATIENCE
    while not deferred.called:
        reactor.iterate(_TURN)
        if time.monotonic() > deadline:
            raise AssertionError("no outcome in time")


class ToldClock(Clock):
    """A clock that a database is told of: the time by which its leases are judged."""

    def __init__(self, client: redis.Redis, configuration: ServerConfiguration) -> None:
        super().__init__()
        self._client = client
        self._key = f"{{{configuration.prefix}}}:deployment"

    def advance(self, amount: float) -> None:
        """Go on, and tell the database."""
        super().advance(amount)
        self._client.hset(self._key, "test_clock", repr(self.seconds()))


@define(eq=False)
class RedisFixture:
    """Persisters on one new database, each with connections of its own."""

    configuration: ServerConfiguration
    clock: Clock
    _opened: list[RedisPersister] = field(factory=list, init=False)

    @classmethod
    def of(cls, test: SynchronousTestCase) -> RedisFixture:
        """Return the fixture of a test, closed at its end."""
        shared = server("redis")
        configuration = shared.new_database(pool_size=2)
        client = shared.connect()
        test.addCleanup(client.close)
        fixture = cls(configuration, ToldClock(client, configuration))
        fixture.check()
        test.addCleanup(fixture.close)
        return fixture

    def check(self) -> None:
        """Make the database if it is absent."""
        at_once(at_once(open_blocking(self.configuration, SCRIPTS)).close())

    def persister(self) -> RedisPersister:
        """Return the persister of another broker."""
        line = ReactorLine(reactor, self.configuration)
        opened = RedisPersister(Lanes(line, self.configuration), SCRIPTS)
        self._opened.append(opened)
        return opened

    def restart(self) -> RedisPersister:
        """Close all connections and begin anew, as a new process does."""
        self.close()
        self.check()
        return self.persister()

    def race(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls at once, as far as one reactor can."""
        made = DeferredList([Deferred.fromCoroutine(call()) for call in calls], consumeErrors=True)
        self.wait(made)
        outcomes: list[Any] = []
        made.addCallback(outcomes.extend)
        return [found if success else found.value for success, found in outcomes]

    def wait(self, deferred: Deferred[Any]) -> None:
        """Let the reactor work until there is an outcome."""
        turn_until(deferred)

    def close(self) -> None:
        """Close all connections, and leave nothing to the reactor; whoever is asked again connects again."""
        for opened in self._opened:
            turn_until(Deferred.fromCoroutine(opened.close()))


@define(eq=False)
class BlockingRedisFixture(RedisFixture):
    """Persisters whose calls are over when they return."""

    def persister(self) -> RedisPersister:
        """Return the persister of another broker."""
        opened = at_once(open_blocking(self.configuration, SCRIPTS))
        self._opened.append(opened)
        return opened


class RepeatingLanes(Lanes):
    """Lanes that send every change twice, as if the first answer had been lost."""

    async def _attempt(self, lane: Lane, script: Script, asked: str, deadline: float) -> list[Any]:
        first = await super()._attempt(lane, script, asked, deadline)
        if script.effect is not Effect.CHANGES:
            return first
        second = await super()._attempt(lane, script, asked, deadline)
        if first[0] == "done" and first != second:
            raise AssertionError(f"{script.name} was answered by {first}, and then by {second}")
        return second


@define(eq=False)
class RepeatingRedisFixture(BlockingRedisFixture):
    """Persisters that never get the first answer to a change."""

    def persister(self) -> RedisPersister:
        """Return the persister of another broker."""
        single = evolve(self.configuration, pool_size=1)
        opened = RedisPersister(RepeatingLanes(BlockingLine(single), single), SCRIPTS)
        self._opened.append(opened)
        return opened
