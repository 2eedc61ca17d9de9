"""SQL databases that are servers: connections may be lost at any moment, transactions are tried again."""

import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Final, Protocol, TypeVar

from attrs import define, field
from sqlalchemy import Connection, Engine, Insert, Table, TextClause
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from twisted.logger import Logger

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.databases import PATIENCE, CommitUnknown, Query, Trouble, unavailable

T = TypeVar("T")

# What SQLAlchemy's pool says of connections that are gone the broker says as well, in a line and not with a
# traceback. Without a handler it would go to stderr.
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())

#: What the driver and SQLAlchemy raise when it is the database's fault.
FAILURES: Final = (DBAPIError, PoolTimeoutError)

#: Seconds after which a call is given up whose thread is still waiting: Cloud Foundry is answered within 5.
LIMIT: Final = PATIENCE + 0.5

#: Seconds after which the server ends a transaction whose broker does nothing, so that one that hangs does
#: not hold up the others.
IDLE_TRANSACTION: Final = 5

#: Pauses before a transaction is tried again, in seconds: the first, the longest.
_SHORTEST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5

_BUSY: Final = Trouble(
    predicate="is busy", advice="raise persister.poolsize, or find out what keeps the server busy"
)


class Dialect(Protocol):
    """What is peculiar to one kind of server."""

    @property
    def now(self) -> TextClause:
        """The query for the server's time in seconds."""

    @property
    def reading(self) -> Mapping[str, Any]:
        """The options of connections that read."""

    def engine(self, configuration: ServerConfiguration, *, connections: int) -> Engine:
        """Return an engine of at most that many connections; none is made yet."""

    def trouble(self, failure: DBAPIError) -> Trouble:
        """Return what a failure means."""

    def upsert(self, table: Table) -> Insert:
        """Return the statement that inserts rows of the table, or replaces those of the same primary key."""

    def too_old(self, connection: Connection) -> str | None:
        """Return the name of the server's version when it is too old."""

    def lock_migrations(self, connection: Connection) -> bool:
        """Wait until no other broker migrates, and return whether none does.

        The lock goes with the connection, or with its transaction.
        """


class CommitLost(Exception):
    """The connection was lost while a transaction was being committed."""


def _jitter(longest: float) -> float:
    return random.uniform(longest / 2, longest)  # noqa: S311 (nothing secret)


@define(eq=False)
class ServerDatabase:
    """The transactions of a database server.

    A transaction whose connection is lost, or which the server ends for the sake of others, is run again as
    long as its deadline allows; only when the connection is lost while it is being committed, nobody knows
    what came of it. `clock` stands for the server's clock in tests; `monotonic` and `sleep` are this
    process's own, and `jitter` a random part of a pause: the threads of several brokers are not to collide
    again.
    """

    _log: ClassVar[Logger] = Logger()

    engine: Engine
    dialect: Dialect
    clock: Callable[[Connection], float] | None = None
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float], float] = _jitter
    limit: float | None = field(default=LIMIT, init=False)
    writers: None = field(default=None, init=False)
    write_all: None = field(default=None, init=False)

    def seconds(self) -> float:
        """Return the time of this process."""
        return self.monotonic()

    def now(self, connection: Connection) -> float:
        """Return the time of the server."""
        if self.clock is not None:
            return self.clock(connection)
        return float(connection.exec_driver_sql(self.dialect.now.text).scalar_one())

    def upsert(self, table: Table) -> Insert:
        """Return the statement that inserts rows of the table or replaces them."""
        return self.dialect.upsert(table)

    def read(self, query: Query[T], *, deadline: float) -> T:
        """Run the query on what is committed."""

        def attempt() -> T:
            with self._connected() as connection:
                return query(connection.execution_options(**self.dialect.reading))

        return self._attempts(attempt, deadline)

    def write(self, query: Query[T], *, deadline: float) -> T:
        """Run the query and commit."""
        try:
            return self._attempts(lambda: self._transaction(query), deadline)
        except CommitLost as lost:
            raise CommitUnknown(
                "The connection to the broker's database was lost; try again later."
            ) from lost.__cause__

    def ended_brokers(self) -> AbstractContextManager[Collection[str]]:
        """Return a context with none: the leases of those that have ended lapse."""
        return nullcontext(())

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        pool = self.engine.pool
        try:
            with self.engine.connect() as connection:
                yield connection
        finally:
            if self.engine.pool is not pool:
                # It was given up meanwhile, and would keep open what has come back to it.
                pool.dispose()

    def _transaction(self, query: Query[T]) -> T:
        with self._connected() as connection:
            transaction = connection.begin()
            try:
                result = query(connection)
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except DBAPIError as failure:
                # Whatever it is that the connection is in the middle of now: nobody is to go on with it.
                connection.invalidate()
                if failure.connection_invalidated or self.dialect.trouble(failure).is_lost:
                    raise CommitLost from failure
                raise
            return result

    def _attempts(self, attempt: Callable[[], T], deadline: float) -> T:
        pause = _SHORTEST_PAUSE
        if self.seconds() > deadline:
            raise unavailable(_BUSY)
        while True:
            pool = self.engine.pool
            try:
                return attempt()
            except FAILURES as failure:
                trouble = self._trouble(failure)
                if trouble.is_lost and self.engine.pool is pool:
                    # The others lead to the same server, which is gone or has another role now.
                    self.engine.dispose()
                if not trouble.passes or self.seconds() + pause > deadline:
                    raise unavailable(trouble) from failure
            self.sleep(self.jitter(pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _trouble(self, failure: Exception) -> Trouble:
        if isinstance(failure, IntegrityError):
            # Two have inserted the same at once, and the query has not foreseen that: it finds it next time.
            return Trouble(predicate="contradicts itself", advice="restore it from a backup", passes=True)
        if not isinstance(failure, DBAPIError):
            return _BUSY
        return self.dialect.trouble(failure)
