"""Opening the database of a configuration: once to see that it can be used, and once to use it."""

from typing import Any, Final

from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from dockerbroker.config.persister import PersisterConfiguration, SqliteConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters.archive import IArchive
from dockerbroker.persisters.archive_sql import SqlArchive
from dockerbroker.persisters.redis.persister import RedisPersister
from dockerbroker.persisters.sealing import PLAIN
from dockerbroker.persisters.server_opening import check_server, open_server
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite_opening import check_file, open_file
from dockerbroker.persisters.vault import Vault

#: An `IPersister` with `close`, which ends its connections; no call may be under way then.
Persister = SqlPersister | RedisPersister

_log: Final = Logger()


def check(configuration: PersisterConfiguration, *, closed: bool = False) -> None:
    """Bring the database to this version's schema, and see that it can be used.

    Blocks, and leaves no connection and no thread. Raises `InvalidConfiguration` with one sentence that says
    what the operator must do, also when no broker may use it, unless it may be `closed`, and `Unavailable`
    when a server does not answer now. A key that its secrets need and that is lacking is an obstacle, too.
    """
    if isinstance(configuration, SqliteConfiguration):
        check_file(configuration.database, closed=closed, keys=configuration.keys)
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
    persister = await _open(reactor, configuration, pool, broker=broker, closed=closed)
    try:
        _require_keys((await persister.state()).locked, closed=closed)
    except BaseException:
        await persister.close()
        raise
    _tell_of_keys(persister.vault)
    return persister


async def _open(
    reactor: Any, configuration: PersisterConfiguration, pool: ThreadPool, *, broker: str, closed: bool
) -> Persister:
    if isinstance(configuration, SqliteConfiguration):
        return await open_file(reactor, configuration.database, pool, broker=broker, keys=configuration.keys)
    if configuration.driver == "redis":
        from dockerbroker.persisters.redis.opening import open_redis  # noqa: PLC0415 (likewise)

        return await open_redis(reactor, configuration, closed=closed)
    return await open_server(reactor, configuration, pool, closed=closed)


def _require_keys(locked: str | None, *, closed: bool) -> None:
    if locked is not None and not closed:
        raise InvalidConfiguration(f"keys: the database {locked}.")


def _tell_of_keys(vault: Vault) -> None:
    sealing = vault.sealing
    if sealing.primary == PLAIN:
        _log.warn(
            "The secrets in the database are not encrypted; {advice}dockerbroker keys rotate encrypts them",
            advice=""
            if vault.newest()
            else "make keys (dockerbroker keys generate), name them by keys, then ",
        )
    elif not sealing.is_settled:
        _log.warn("A change of keys has not ended; dockerbroker keys rotate ends it")


def archive_of(persister: "Persister") -> IArchive:
    """Return the whole of the persister's database, on its connections."""
    if isinstance(persister, SqlPersister):
        return SqlArchive(persister.database, persister.run)
    from dockerbroker.persisters.redis.archive import RedisArchive  # noqa: PLC0415 (most need it not)

    return RedisArchive(persister.commands, persister.scripts)
