"""Opening a SQLite file: once to see that it can be used, before daemonizing, and once to use it."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.threadpool import ThreadPool

from dockerbroker.config.keys import KeySource
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters import schema
from dockerbroker.persisters.databases import refusal
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
from dockerbroker.persisters.vault import Vault
from dockerbroker.threads import run_in

#: How many seconds a start waits for others that start at the same time and migrate.
START_PATIENCE: Final = 30.0

_POLL = 0.02


def check_file(path: Path, *, closed: bool = False, keys: KeySource | None = None) -> None:
    """Make the database if it is absent, bring it to this version's schema, and see that it can be written.

    Blocks, and leaves no connection and no thread. Raises `InvalidConfiguration` with one sentence that
    names the file and says what to do, also when no broker may use it, unless it may be `closed`, and when
    `keys` lack one that sealed secrets need.
    """
    vault = Vault(keys or KeySource())
    _prepare_file(path)
    database = SqliteDatabase(sqlite_engine(path, connections=1))
    try:
        _use_log(path)
        with database.transaction("BEGIN IMMEDIATE", patience=START_PATIENCE) as connection:
            schema.upgrade(connection)
            if not closed:
                schema.require_open(connection)
            schema.settle_keys(connection, vault, closed=closed)
            schema.write_something(connection)
    except FAILURES as failure:
        found = trouble(failure)
        raise refused(f"the file {path} {found.predicate}; {found.advice}") from failure
    finally:
        database.close()


async def open_file(
    reactor: IReactorFromThreads,
    path: Path,
    pool: ThreadPool,
    *,
    broker: str,
    clock: Callable[[], float] = boot_time,
    keys: KeySource | None = None,
) -> SqlPersister:
    """Return the persister of a file that was checked, working in the threads of the pool.

    The `broker` has a name that no other ever had; it holds its leases under names that begin with that and a
    slash. The pool must have been started, and be stopped after the persister's `close`. Raises
    `Unavailable`.
    """
    run = partial(run_in, reactor, pool)
    presence = Presence(folder_beside(path))
    database = SqliteDatabase(sqlite_engine(path, connections=pool.max), clock, presence)

    def begin() -> None:
        database.expire_other_boot(boot_id())
        presence.begin(broker)

    await run(begin)
    return SqlPersister(database, run, vault=Vault(keys or KeySource()))


def refused(sentence: str) -> InvalidConfiguration:
    """Return what keeps a broker from using a file."""
    return refusal("database", sentence)


def _prepare_file(path: Path) -> None:
    """Make an empty file, which is an empty database, that nobody else can read; its log inherits that."""
    folder = path.parent
    if not folder.is_dir():
        raise refused(f"the folder {folder} does not exist; create it, or name a file in another one")
    if path.is_dir():
        raise refused(f"{path} is a folder; name a file")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise refused(f"the folder {folder} is not writable; give the broker's user the right to write it")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise refused(f"the file {path} cannot be made: {error.strerror}") from error


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
        raise refused(f"the file system of {path} cannot hold SQLite's write-ahead log; name a local one")
