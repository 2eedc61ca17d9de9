"""SQLite: one file that the brokers of one machine share, with one writer at a time."""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import define, field
from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, delete, event, null, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool
from twisted.python.failure import Failure

from dockerbroker.persisters.databases import PATIENCE, Query, Trouble, Write, unavailable
from dockerbroker.persisters.presence import Presence
from dockerbroker.persisters.sql_audit import Waiting, together
from dockerbroker.persisters.tables import deployment, hosts, observation, operations, tombstones

T = TypeVar("T")

#: What the database's driver and SQLAlchemy raise when it is the database's fault.
FAILURES: Final = (DBAPIError, PoolTimeoutError, sqlite3.Error)

#: FULL: what is committed survives a loss of power, at the price of one fsync. What is deleted is overwritten
#: with zeros, as soon as the log is taken over into the file. What is sorted or undone is in no other file.
_PRAGMAS: Final = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
)

#: How many seconds an operation that was under way when the machine was started anew may still go forward.
#: How much of its time was left is not known, so that it gets as much as one that begins now.
AFTER_BOOT: Final = 600.0

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


_OTHER: Final = Trouble(predicate="does not answer as expected", advice="look at its file system")
_BUSY: Final = Trouble(predicate="has too much to do", advice="use a faster disk, or a database server")
_LOCKED: Final = Trouble(
    predicate="is locked by another process", advice="end the process that holds its lock"
)
_TROUBLES: Final = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_CANTOPEN: Trouble(
        predicate="cannot be opened", advice="give the broker's user the right to write it and its folder"
    ),
    sqlite3.SQLITE_CORRUPT: Trouble(predicate="is damaged", advice="restore it from a backup"),
    sqlite3.SQLITE_FULL: Trouble(predicate="has no room left on its disk", advice="make room there"),
    sqlite3.SQLITE_IOERR: Trouble(
        predicate="cannot be read or written (input/output error)", advice="look at its disk"
    ),
    sqlite3.SQLITE_NOTADB: Trouble(
        predicate="is not an SQLite database", advice="name another file, or restore it from a backup"
    ),
    sqlite3.SQLITE_READONLY: Trouble(
        predicate="is read-only", advice="give the broker's user the right to write it and its folder"
    ),
}


def trouble(failure: Exception) -> Trouble:
    """Return what a failure means."""
    error = failure.orig if isinstance(failure, DBAPIError) else failure
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the kind of error; the others tell where it arose.
    return _OTHER if code is None else _TROUBLES.get(code & 0xFF, _OTHER)


def sqlite_url(path: Path) -> URL:
    """Return the URL of a database file."""
    return URL.create("sqlite", database=str(path.absolute()))


def boot_time() -> float:
    """Return the seconds since the machine started: the same for all its processes, suspended or not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return what distinguishes this boot of the machine from all others."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, which must exist: a file that was removed is not silently begun anew."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def sqlite_engine(path: Path, *, connections: int) -> Engine:
    """Return an engine of at most that many connections; none is made yet."""
    engine = create_engine(
        sqlite_url(path),
        creator=partial(connect, path),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=PATIENCE,
        # What the statements write are secrets, among others; errors shall not show them.
        hide_parameters=True,
        execution_options={"begin": "BEGIN DEFERRED", "patience": PATIENCE},
    )
    event.listen(engine, "begin", _begin)
    event.listen(engine, "connect", partial(_remember_file, path))
    event.listen(engine, "checkout", partial(_check_file, path))
    return engine


@define(eq=False)
class SqliteDatabase:
    """The transactions of a SQLite file.

    `clock` is the one of the leases, and must go on while no broker runs. Reads do not wait for a writer
    (write-ahead log). Writes are begun as such: SQLite refuses at once, whatever the timeout, to turn a
    transaction that has read into one that writes when another has written meanwhile. `presence` tells which
    of the brokers that use the file have ended.
    """

    engine: Engine
    clock: Callable[[], float] = boot_time
    presence: Presence | None = None
    #: What has begun is awaited: the file's disk is this machine's.
    limit: float | None = field(default=None, init=False)

    @property
    def writers(self) -> int:
        """One: the others would only poll for the file's lock."""
        return 1

    def seconds(self) -> float:
        """Return the time of the clock."""
        return self.clock()

    def now(self, connection: Connection) -> float:  # noqa: ARG002  (other databases are asked)
        """Return the time of the clock."""
        return self.clock()

    def upsert(self, table: Table) -> Insert:
        """Return the statement that inserts rows of the table or replaces them."""
        return _upsert(table)

    def read(self, query: Query[T], *, deadline: float) -> T:
        """Run the query on a snapshot."""
        patience = deadline - self.clock()
        with _explained(), self.transaction("BEGIN DEFERRED", patience=patience) as connection:
            return query(connection)

    def write(self, query: Query[T], *, deadline: float) -> T:
        """Run the query as the only writer."""
        [outcome] = self.write_all([Write(query, deadline)])
        if isinstance(outcome, Failure):
            outcome.raiseException()
        result: T = outcome
        return result

    def write_all(self, writes: Sequence[Write]) -> list[Any]:
        """Run the queries as the only writer, in one transaction, each in a savepoint of its own.

        Returns what each of them returned, or the Failure of what it raised. Each waits for other writers
        until its own deadline.
        """
        outcomes: dict[Write, Any] = {}
        while waiting := [write for write in writes if write not in outcomes]:
            deadline = min(write.deadline for write in waiting)
            late = [write for write in waiting if write.deadline <= deadline]
            if (patience := deadline - self.clock()) <= 0:
                outcomes |= {write: Failure(unavailable(_BUSY)) for write in late}
                continue
            try:
                outcomes |= self._write_together(waiting, patience)
            except FAILURES as failure:
                failed = late if trouble(failure) is _LOCKED else waiting
                outcomes |= {write: _failure(failure) for write in failed}
        return [outcomes[write] for write in writes]

    def _write_together(self, writes: Sequence[Write], patience: float) -> dict[Write, Any]:
        with (
            self.transaction("BEGIN IMMEDIATE", patience=patience) as connection,
            together(connection) as told,
        ):
            return {write: _apart(connection, write.query, told) for write in writes}

    @contextmanager
    def transaction(self, begin: str, *, patience: float) -> Iterator[Connection]:
        """Begin a transaction, waiting for locks up to `patience` seconds; raises `FAILURES`."""
        with self.engine.connect() as connection:
            options = connection.execution_options(begin=begin, patience=patience)
            with options.begin():
                yield options

    def expire_other_boot(self, current: str) -> None:
        """End all leases and age all pings infinitely when they were written in another boot.

        The deadlines, by a clock that is no more, are set anew.
        """

        def expire(connection: Connection) -> None:
            moved = update(deployment).where(deployment.c.boot_id != current).values(boot_id=current)
            if connection.execute(moved).rowcount:
                leased = operations.c.lease_until.is_not(None)
                anew = {"lease_until": 0.0, "deadline": self.clock() + AFTER_BOOT}
                connection.execute(update(operations).where(leased).values(anew))
                unheard = {"pinged_at": null(), "sessions": null(), "state_at": null()}
                connection.execute(update(hosts).values(unheard))
                connection.execute(delete(observation))
                connection.execute(delete(tombstones))

        self.write(expire, deadline=self.clock() + PATIENCE)

    def ended_brokers(self) -> AbstractContextManager[Collection[str]]:
        """Return a context with the brokers whose processes have ended."""
        return nullcontext(()) if self.presence is None else self.presence.ended()

    def close(self) -> None:
        """Close all connections, and tell the others that this broker has ended."""
        self.engine.dispose()
        if self.presence is not None:
            self.presence.end()


@cache
def _upsert(table: Table) -> Insert:
    adding = insert(table)
    new = {column.name: adding.excluded[column.name] for column in table.c if not column.primary_key}
    return adding.on_conflict_do_update(index_elements=list(table.primary_key), set_=new)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except FAILURES as failure:
        raise unavailable(trouble(failure)) from failure


def _apart(connection: Connection, query: Query[Any], told: Waiting) -> Any:
    """Run the query; returns what it returned, or the Failure of what it raised, with its work undone.

    What it has `told` the audit log is not told then.
    """
    before = len(told)
    driver = _driver(connection)
    driver.execute("SAVEPOINT apart")
    try:
        outcome = query(connection)
    except Exception as error:
        if not driver.in_transaction:
            # SQLite has undone the work of all: its disk is full, or worse.
            raise
        driver.execute("ROLLBACK TO apart")
        del told[before:]
        outcome = _failure(error)
    # This raises, too, when SQLite has undone the work of all.
    driver.execute("RELEASE apart")
    return outcome


def _driver(connection: Connection) -> sqlite3.Connection:
    """Return what takes bare statements: by way of SQLAlchemy they take ten times as long."""
    driver: Any = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "it is a connection of SQLite"
    return driver


def _failure(error: Exception) -> Failure:
    """Return what whoever asked for a write is told."""
    if not isinstance(error, FAILURES):
        return Failure(error)
    explained = unavailable(trouble(error))
    explained.__cause__ = error
    return Failure(explained)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    milliseconds = max(0, int(options["patience"] * 1000))
    driver = _driver(connection)
    driver.execute("PRAGMA busy_timeout=%d" % milliseconds)  # noqa: UP031  (PRAGMA takes no parameters)
    driver.execute(options["begin"])


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _remember_file(path: Path, _: Any, record: Any) -> None:
    record.info["file"] = _identity(path)


def _check_file(path: Path, _: Any, record: Any, __: Any) -> None:
    # SQLite goes on with a file that was removed or replaced, and what it writes there is lost.
    if record.info["file"] != _identity(path):
        raise DisconnectionError("the file was removed or replaced")
