"""What `SqlPersister` needs of a SQL database: transactions, a clock, and nothing about its dialect."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

from attrs import frozen
from sqlalchemy import Connection, Insert, Table

from dockerbroker.errors import InvalidConfiguration, Unavailable

T = TypeVar("T")

#: Runs in one transaction; whatever it raises rolls the transaction back.
Query = Callable[[Connection], T]

#: How many seconds a transaction waits for others before it says that the database does not answer. Cloud
#: Foundry is to get its answer within 5.
PATIENCE: Final = 4.0


@frozen(eq=False)
class Write:
    """A query whose work is to be made durable, if that begins before `deadline`, by `Database.seconds`."""

    query: Query[Any]
    deadline: float


class CommitUnknown(Unavailable):
    """The connection was lost while the transaction was being made durable: it may or may not be."""


@frozen(kw_only=True)
class Trouble:
    """What is wrong with a database, as the end of a sentence, and what the operator can do about it.

    With `key` it is the configuration's member of that name, or a right, that must be mended before the
    broker can start. With `passes` it is worth while to try again at once, in a new connection if `is_lost`.
    """

    predicate: str
    advice: str
    key: str | None = None
    passes: bool = False
    is_lost: bool = False


def unavailable(trouble: Trouble) -> Unavailable:
    """Return what a user of the platform is told."""
    return Unavailable(f"The broker's database {trouble.predicate}; try again later.")


def refusal(key: str, sentence: str) -> InvalidConfiguration:
    """Return what keeps a broker from starting; `sentence` says what to do."""
    return InvalidConfiguration(f"persister.{key}: {sentence}.")


class Database(Protocol):
    """One database, called from threads.

    Its errors become `Unavailable`, but for `sqlalchemy.exc.IntegrityError`s that the query itself takes.
    """

    @property
    def writers(self) -> int | None:
        """How many writes may be under way at once in this process; None for as many as there are threads."""

    @property
    def limit(self) -> float | None:
        """After how many seconds a call is given up though its outcome is not known; None is never."""

    def seconds(self) -> float:
        """Return the time of a clock of this process that never goes back."""

    def now(self, connection: Connection) -> float:
        """Return the time by which leases and pings are judged, in seconds: the same for all brokers."""

    def upsert(self, table: Table) -> Insert:
        """Return the statement that inserts rows of the table, or replaces those of the same primary key."""

    def read(self, query: Query[T], *, deadline: float) -> T:
        """Return what the query finds; when it cannot begin before `deadline`, by `seconds`, it fails."""

    def write(self, query: Query[T], *, deadline: float) -> T:
        """Run the query, make it durable and return what it returned.

        When it cannot begin before `deadline`, by `seconds`, it has done nothing. It may be run more than
        once, but not after it was made durable. Raises `CommitUnknown` when that is not known.
        """

    @property
    def write_all(self) -> Callable[[Sequence[Write]], Sequence[Any]] | None:
        """Makes several writes durable at once; None where the database does so by itself.

        Returns what each of them returned, or the Failure of what it raised: those are undone, each by
        itself. When the others cannot be made durable none of them has done anything.
        """

    def ended_brokers(self) -> AbstractContextManager[Collection[str]]:
        """Return a context with the names of brokers that have certainly ended.

        They are forgotten at its end, unless that is an exception: by then their leases must have ended.
        """

    def close(self) -> None:
        """Close all connections."""
