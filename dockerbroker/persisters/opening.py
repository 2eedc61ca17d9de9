"""Opening the database of a configuration: once to see that it can be used, and once to use it."""

from typing import Any

from twisted.python.threadpool import ThreadPool

from dockerbroker.config.persister import PersisterConfiguration, SqliteConfiguration
from dockerbroker.persisters.archive import IArchive
from dockerbroker.persisters.archive_sql import SqlArchive
from dockerbroker.persisters.redis.persister import RedisPersister
from dockerbroker.persisters.server_opening import check_server, open_server
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite_opening import check_file, open_file

#: An `IPersister` with `close`, which ends its connections; no call may be under way then.
Persister = SqlPersister | RedisPersister


def check(configuration: PersisterConfiguration, *, closed: bool = False) -> None:
    """Bring the database to this version's schema, and see that it can be used.

    Blocks, and leaves no connection and no thread. Raises `InvalidConfiguration` with one sentence that says
    what the operator must do, also when no broker may use it, unless it may be `closed`, and `Unavailable`
    when a server does not answer now.
    """
    if isinstance(configuration, SqliteConfiguration):
        check_file(configuration.database, closed=closed)
    elif configuration.driver == "redis":
        from dockerbroker.persisters.redis.opening import check_redis  # noqa: PLC0415 (most need it not)

        check_redis(configuration, closed=closed)
    else:
        check_server(configuration, closed=closed)


async def open_persister(
    reactor: Any,
    configuration: PersisterConfiguration,
    pool: ThreadPool,
    *,
    broker: str,
    closed: bool = False,
) -> Persister:
    """Return the persister of the database; raises as `check`, which is done for servers once more.

    SQL is worked with in the threads of the pool, which must have been started, and be stopped after the
    persister's `close`. The `broker` has a name that no other ever had; it holds its leases under names that
    begin with that and a slash.
    """
    if isinstance(configuration, SqliteConfiguration):
        return await open_file(reactor, configuration.database, pool, broker=broker)
    if configuration.driver == "redis":
        from dockerbroker.persisters.redis.opening import open_redis  # noqa: PLC0415 (likewise)

        return await open_redis(reactor, configuration, closed=closed)
    return await open_server(reactor, configuration, pool, closed=closed)


def archive_of(persister: "Persister") -> IArchive:
    """Return the whole of the persister's database, on its connections."""
    if isinstance(persister, SqlPersister):
        return SqlArchive(persister.database, persister.run)
    from dockerbroker.persisters.redis.archive import RedisArchive  # noqa: PLC0415 (most need it not)

    return RedisArchive(persister.commands, persister.scripts)
