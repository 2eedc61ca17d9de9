"""What `SqlPersister` needs of a SQL database: transactions, a clock, and nothing about its dialect."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

#: Runs in one transaction; whatever it raises rolls the transaction back.
Query = Callable[[Connection], T]

#: How many seconds a transaction waits for others before it says that the database does not answer. Cloud
#: Foundry is to get its answer within 5.
PATIENCE = 4.0


class Database(Protocol):
    """One database, called from threads.

    Its errors become `Unavailable`, but for `sqlalchemy.exc.IntegrityError`s that the query itself takes.
    """

    @property
    def writers(self) -> int:
        """How many writes may be under way at once in this process."""

    def seconds(self) -> float:
        """Return the time of a clock of this process that never goes back."""

    def now(self, connection: Connection) -> float:
        """Return the time by which leases and pings are judged, in seconds: the same for all brokers."""

    def read(self, query: Query[T]) -> T:
        """Return what the query finds."""

    def write(self, query: Query[T], *, deadline: float) -> T:
        """Run the query, make it durable and return what it returned.

        When it cannot begin before `deadline`, by `seconds`, it has done nothing. Once it has begun its
        outcome is awaited, however long that takes.
        """

    def ended_brokers(self) -> AbstractContextManager[Collection[str]]:
        """Return a context with the names of brokers that have certainly ended.

        They are forgotten at its end, unless that is an exception: by then their leases must have ended.
        """

    def close(self) -> None:
        """Close all connections."""
