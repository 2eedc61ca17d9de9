"""Opening the database: once to see that it can be used, before daemonizing, and once to use it."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, delete, insert
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters import schema
from dockerbroker.persisters.presence import Presence, folder_beside
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import (
    FAILURES,
    SqliteDatabase,
    boot_id,
    boot_time,
    connect,
    sqlite_engine,
    trouble,
)
from dockerbroker.persisters.tables import hosts

T = TypeVar("T")

#: How many seconds a start waits for others that start at the same time and migrate.
START_PATIENCE: Final = 30.0

_POLL = 0.02


def check(url: URL) -> None:
    """Make the database if it is absent, bring it to this version's schema, and see that it can be written.

    Blocks, and leaves no connection and no thread. Raises `InvalidConfiguration` with one sentence that
    names the file and says what to do.
    """
    path = _path(url)
    _prepare_file(path)
    database = SqliteDatabase(sqlite_engine(path, connections=1))
    try:
        _use_log(path)
        with database.transaction("BEGIN IMMEDIATE", patience=START_PATIENCE) as connection:
            schema.upgrade(connection)
            _write_something(connection)
    except FAILURES as failure:
        found = trouble(failure)
        raise _refusal(f"the file {path} {found.predicate}; {found.advice}") from failure
    finally:
        database.close()


async def open_persister(
    reactor: IReactorFromThreads,
    url: URL,
    pool: ThreadPool,
    *,
    broker: str,
    clock: Callable[[], float] = boot_time,
) -> SqlPersister:
    """Return the persister of a database that was checked, working in the threads of the pool.

    The `broker` has a name that no other ever had; it holds its leases under names that begin with that and a
    slash. The pool must have been started, and be stopped after the persister's `close`. Raises
    `Unavailable`.
    """
    run = partial(_run, reactor, pool)
    path = _path(url)
    presence = Presence(folder_beside(path))
    database = SqliteDatabase(sqlite_engine(path, connections=pool.max), clock, presence)

    def begin() -> None:
        database.expire_other_boot(boot_id())
        presence.begin(broker)

    await run(begin)
    return SqlPersister(database, run)


def _run(reactor: Any, pool: ThreadPool, function: Callable[[], T]) -> Deferred[T]:
    return deferToThreadPool(reactor, pool, function)


def _refusal(sentence: str) -> InvalidConfiguration:
    return InvalidConfiguration(f"persister.database: {sentence}.")


def _path(url: URL) -> Path:
    if url.get_backend_name() != "sqlite":
        raise InvalidConfiguration(
            f"persister.driver: {url.get_backend_name()} is not supported yet; use sqlite."
        )
    if not url.database or url.database == ":memory:":
        raise _refusal("must name the file of the SQLite database")
    return Path(url.database).absolute()


def _prepare_file(path: Path) -> None:
    """Make an empty file, which is an empty database, that nobody else can read; its log inherits that."""
    folder = path.parent
    if not folder.is_dir():
        raise _refusal(f"the folder {folder} does not exist; create it, or name a file in another one")
    if path.is_dir():
        raise _refusal(f"{path} is a folder; name a file")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise _refusal(f"the folder {folder} is not writable; give the broker's user the right to write it")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise _refusal(f"the file {path} cannot be made: {error.strerror}") from error


def _use_log(path: Path) -> None:
    """Switch the database to a write-ahead log, which it then keeps.

    SQLite does not wait when others do the same at that moment, so this does.
    """
    deadline = time.monotonic() + START_PATIENCE
    with closing(connect(path)) as connection:
        while True:
            try:
                mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            except sqlite3.OperationalError as failure:
                if failure.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL)
            else:
                break
    if mode != "wal":
        raise _refusal(f"the file system of {path} cannot hold SQLite's write-ahead log; name a local one")


def _write_something(connection: Connection) -> None:
    """Leave everything as it is, but let the database write; some obstacles show only then."""
    nobody = {"service_host": "", "docker_host": "", "docker_port": 0}
    connection.execute(insert(hosts).values(document="{}", **nobody))
    connection.execute(delete(hosts).filter_by(**nobody))
