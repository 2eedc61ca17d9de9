"""The seam for whole databases: all records as rows, so that they can be moved to a database of another kind.

A row is a mapping from column names to values, as `records` has it. The rows of every database are the same:
those of an operation have no number, since their order tells that; those of a host have
nothing that a ping tells anew.
What nothing reserves anything of has no reservation.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from attrs import field, frozen
from zope.interface import Interface

from dockerbroker.model.audit import AuditEntry

Row = Mapping[str, Any]


class Kind(Enum):
    """The kinds of records, in an order in which they can be written."""

    IMAGE = "images"
    HOST = "hosts"
    CERTIFICATE = "certificates"
    CREDENTIAL = "credentials"
    INSTANCE = "instances"
    BINDING = "bindings"
    PORT_LEASE = "port leases"
    RESERVATION = "reservations"
    CONDITION = "conditions"
    OPERATION = "operations"
    TOMBSTONE = "tombstones"
    AUDIT = "audit records"


_HOST: Final = ("service_host", "docker_host", "docker_port")
#: The columns that identify a record. In their order, and that of the texts' bytes, records are read; but
#: operations in the order in which they were begun.
KEYS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.IMAGE: ("name",),
    Kind.HOST: _HOST,
    Kind.CERTIFICATE: ("host",),
    Kind.CREDENTIAL: ("id",),
    Kind.INSTANCE: ("id",),
    Kind.BINDING: ("instance_id", "id"),
    Kind.PORT_LEASE: (*_HOST, "port"),
    Kind.RESERVATION: _HOST,
    Kind.CONDITION: ("instance_id",),
    Kind.OPERATION: ("id",),
    Kind.TOMBSTONE: ("instance_id",),
    Kind.AUDIT: ("number",),
}

#: What shows that a database is in use.
COUNTED: Final = (Kind.IMAGE, Kind.INSTANCE, Kind.OPERATION)

#: Until when the operations of a closed database are leased, so that nobody takes them over.
NEVER: Final = 1e15
#: What a platform is told by a broker that still runs on a database that was moved.
CLOSED: Final = "The broker's database was moved; the operator must let this broker use the new one."

#: With this begins the name of a run that works no more.
_RELEASED: Final = "-"
#: What a run that moves records is told when another one has taken its place.
HELD: Final = "Another dockerbroker migrate-state works with this database; this one changes it no more."


class Closed(Enum):
    """Why no broker may use a database."""

    NO = ""
    FILLING = "filling"
    MOVING = "moving"
    MOVED = "moved"


_REASONS: Final = {
    Closed.FILLING: "was not filled to the end by dockerbroker migrate-state; run that again",
    Closed.MOVING: "is being moved to {where}; run dockerbroker migrate-state again, which has not finished",
    Closed.MOVED: "was moved to {where}; name that one",
}


def obstacle(closed: str, moved_to: str) -> str | None:
    """Return why no broker may use the database, as the end of a sentence, None if they may."""
    if not closed:
        return None
    return _REASONS[Closed(closed)].format(where=moved_to or "another one")


@frozen(kw_only=True)
class Identity:
    """What makes a database that of a deployment: `seeded` is whether its catalog was ever filled.

    `cluster_id` is what its containers bear as a label; `created_at` is in seconds since 1970. `sealing` says
    with which keys its secrets are sealed, as `sealing.Sealing.text` writes it.
    """

    cluster_id: str
    seeded: bool
    created_at: float
    sealing: str | None = None


@frozen(kw_only=True)
class Resealed:
    """A record whose secret is to stand there sealed anew, if it is still the one that was read."""

    row: Row
    secret: str = field(repr=False)


@frozen(kw_only=True)
class HeldLease:
    """A lease that has not lapsed, and in how many seconds it does."""

    operation_id: str
    owner: str
    seconds: float


@frozen(kw_only=True)
class Standing:
    """What a database holds, and whether brokers may use it.

    `moved_to` tells people where its records are now. `mover` is the run that moves records from or to it, or
    the one that did so last (`released`); none ever did when it is empty. `counts` has the
    images, instances and operations.
    `now` is by the clock of the leases; `leases` are some of those that somebody holds.
    """

    identity: Identity
    closed: Closed
    moved_to: str
    counts: Mapping[Kind, int]
    now: float
    leases: tuple[HeldLease, ...] = ()
    mover: str = ""

    @property
    def is_untouched(self) -> bool:
        """Whether it holds nothing that a platform or an operator has made."""
        return not any(self.counts.values())

    @property
    def is_held(self) -> bool:
        """Whether a run moves records from or to it, or was killed while it did."""
        return bool(self.mover) and not self.mover.startswith(_RELEASED)


def released(mover: str) -> str:
    """Return the name of a run that works no more; whoever has seen the database before sees that it did."""
    return f"{_RELEASED}{mover}"


class IArchive(Interface):
    """Reads and writes whole databases, while no broker works on them; only keys change while brokers do.

    Every method is one transaction, and raises `Unavailable` when the database does not answer. What changes
    something raises `Conflict` when another `mover` than the given one works with the database: each run that
    moves records has a name of its own, and the empty one is nobody's.
    """

    async def standing() -> Standing:
        """Return what the database holds, and whether brokers may use it."""

    async def page(kind: Kind, after: Row | None, limit: int) -> list[Row]:
        """Return at most `limit` records that come after that one, or the first ones.

        Only the key of that record counts (`KEYS`).
        """

    async def identify(identity: Identity, *, mover: str = "") -> None:
        """Take another identity; raises `Conflict` when the database holds instances or operations."""

    async def close(closed: Closed, moved_to: str, *, mover: str = "", former: str = "") -> None:
        """Let no broker use the database from now on; `Closed.NO` lets them use it again.

        `mover` takes it from `former`; of two who take it from the same one, the second is refused. To do
        the same once more changes nothing.

        Operations that are not over lose whoever carries them, as if they were taken over, but nobody takes
        them over while the database is closed. When it is not any more their leases have lapsed.
        """

    async def erase(*, mover: str = "") -> None:
        """Delete all records, but not the identity; raises `Conflict` unless it is `Closed.FILLING`."""

    async def write(kind: Kind, rows: Sequence[Row], *, mover: str = "") -> None:
        """Add records that are not there; raises `Conflict` unless the database is `Closed.FILLING`.

        The same records once more change nothing. Kinds must be written in the order of `Kind`.
        """

    async def change_sealing(before: str | None, after: str | None, entry: AuditEntry) -> bool:
        """Let the database say something else of its keys, with that record in the audit log.

        Returns whether it said what was thought; the same once more changes nothing.
        """

    async def reseal(kind: Kind, changes: Sequence[Resealed]) -> int:
        """Replace secrets that still stand there as they were read; returns how many do not.

        Brokers may work meanwhile: what they have written since stays.
        """
