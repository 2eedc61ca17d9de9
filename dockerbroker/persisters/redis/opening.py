"""Opening a Redis database: once to see that it can be used, and then to use it."""

from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from attrs import evolve

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.redis import checking
from dockerbroker.persisters.redis.blocking import BlockingLine
from dockerbroker.persisters.redis.lanes import Lanes
from dockerbroker.persisters.redis.lines import Line, ReactorLine
from dockerbroker.persisters.redis.persister import RedisPersister
from dockerbroker.persisters.redis.scripts import Scripts, load
from dockerbroker.persisters.vault import Vault

T = TypeVar("T")


def check_redis(configuration: ServerConfiguration, *, closed: bool = False) -> None:
    """Make the database if it is absent, and see that it can be used.

    Blocks, needs no reactor, and leaves no connection. Raises `InvalidConfiguration` with one sentence that
    says what to do, also when no broker may use it, unless it may be `closed`, and `Unavailable` when the
    server does not answer.
    """
    at_once(open_blocking(configuration, closed=closed))


async def open_redis(
    reactor: Any, configuration: ServerConfiguration, *, closed: bool = False
) -> RedisPersister:
    """Return the persister of a database, with connections of the reactor; raises as `check_redis`."""
    return await open_on(ReactorLine(reactor, configuration), configuration, load(), closed=closed)


async def open_blocking(
    configuration: ServerConfiguration, scripts: Scripts | None = None, *, closed: bool = False
) -> RedisPersister:
    """Return a persister whose calls are over when they return; raises as `check_redis`."""
    single = evolve(configuration, pool_size=1)
    return await open_on(BlockingLine(single), single, scripts or load(), closed=closed)


async def open_on(
    line: Line, configuration: ServerConfiguration, scripts: Scripts, *, closed: bool = False
) -> RedisPersister:
    """Return the persister of the database at the end of a line, when it has been checked."""
    lanes, vault = Lanes(line, configuration), Vault(configuration.keys)
    await checking.check(line, configuration, lanes.base, scripts, vault, closed=closed)
    return RedisPersister(lanes, scripts, vault)


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """Return what a call returns, or raise what it raises, that waits for nothing but a blocking line."""
    try:
        call.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("the call waits for something else")
