"""The one database of each server, emptied for whoever wants a new one: making one takes longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import redis
from attrs import define, field
from sqlalchemy import Engine

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.redis.database import Commands
from dockerbroker.persisters.redis.opening import at_once, open_blocking
from dockerbroker.persisters.redis.persister import RedisPersister
from dockerbroker.persisters.redis.scripts import Script
from dockerbroker.persisters.sql import SqlPersister
from tests.persisters.redis_fixture import SCRIPTS
from tests.persisters.server_fixture import empty, open_here, server_engine, shared_database
from tests.servers import server

#: Redis's own database for this, whose other ones nobody empties.
_REDIS_DATABASE: Final = "9"

#: Engines that are kept, since a connection takes longer than emptying a database.
_engines: dict[str, Engine] = {}


class Emptied(Protocol):
    """A database that was empty when this was made."""

    def persister(self) -> Any:
        """Return one more persister on it, whose calls are made at once."""


@define(eq=False)
class EmptiedSql:
    """A database of MySQL or PostgreSQL."""

    configuration: ServerConfiguration
    seconds: Callable[[], float]
    engine: Engine

    def persister(self) -> SqlPersister:
        """Return one more persister on it."""
        return open_here(self.configuration, self.seconds, self.engine)


@define(eq=False)
class EmptiedRedis:
    """A database of Redis, which is told the time before each call."""

    configuration: ServerConfiguration
    seconds: Callable[[], float]
    client: redis.Redis
    _opened: list[RedisPersister] = field(factory=list)
    _told: float | None = None

    def begin(self, seconds: Callable[[], float]) -> None:
        """Close all connections of the brokers before, and let the database be a new one."""
        while self._opened:
            at_once(self._opened.pop().close())
        self.client.flushdb()
        self.seconds, self._told = seconds, None

    def persister(self) -> RedisPersister:
        """Return one more persister on it, with a connection of its own."""
        opened = at_once(open_blocking(self.configuration, SCRIPTS))
        self._opened.append(opened)
        return RedisPersister(_Timed(self, opened.commands), SCRIPTS)

    def tell(self) -> None:
        """Let the database know what time it is."""
        now = self.seconds()
        if now != self._told:
            self.client.hset(f"{{{self.configuration.prefix}}}:deployment", "test_clock", repr(now))
            self._told = now


@define(eq=False)
class _Timed:
    """Tells the time, and then calls."""

    database: EmptiedRedis
    commands: Commands

    async def call(self, script: Script, request: Any) -> list[Any]:
        """Return what the script answers."""
        self.database.tell()
        return await self.commands.call(script, request)

    async def close(self) -> None:
        """Close the connection."""
        await self.commands.close()


_redis: list[EmptiedRedis] = []


def emptied(driver: str, seconds: Callable[[], float]) -> Emptied:
    """Return the driver's database, empty and on that clock; who had it before is done with it."""
    if driver == "redis":
        return _emptied_redis(seconds)
    configuration = shared_database(driver)
    if driver not in _engines:
        _engines[driver] = server_engine(configuration)
    empty(_engines[driver])
    return EmptiedSql(configuration, seconds, _engines[driver])


def _emptied_redis(seconds: Callable[[], float]) -> EmptiedRedis:
    if not _redis:
        shared = server("redis")
        configuration = shared.new_database(database=_REDIS_DATABASE)
        _redis.append(EmptiedRedis(configuration, seconds, shared.connect(_REDIS_DATABASE)))
    _redis[0].begin(seconds)
    return _redis[0]
