"""What a record becomes in another database, and how what is there differs from that."""

from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from dockerbroker.model.audit import AuditEntry, AuditHead
from dockerbroker.persisters.archive import KEYS, Kind, Row

#: The lease of an operation that nobody carries: by every clock it has lapsed.
LAPSED: Final = 0.0

#: How much of an identifier is told.
_SHOWN: Final = 100


@frozen(kw_only=True)
class Shift:
    """The times of two clocks at one moment, in seconds: that of the source's leases, and the target's."""

    source: float
    target: float


def appended(end: AuditHead, entry: AuditEntry, at: float) -> Row:
    """Return the audit record that follows on the end of the log; `at` is in seconds since 1970."""
    record = end.append(entry.content(at))
    return {
        "number": record.number,
        "id": entry.id,
        "document": record.content,
        "previous": record.previous,
        "hash": record.hash,
    }


def carried(kind: Kind, row: Row, shift: Shift) -> Row:
    """Return what the source's record is in the target, whose clock judges its times.

    Whoever carried an operation does so no more, and may be followed at once; how much time it has left is
    the same by the other clock.
    """
    if kind is Kind.TOMBSTONE:
        return {**row, "at": row["at"] - shift.source + shift.target}
    if kind is not Kind.OPERATION:
        return row
    return {
        **row,
        "owner": None,
        "lease_until": None if row["is_over"] else LAPSED,
        "deadline": row["deadline"] - shift.source + shift.target,
    }


def differences(kind: Kind, wanted: Sequence[Row], found: Sequence[Row]) -> Iterator[str]:
    """Yield a sentence for each record that is not as wanted, and for the first one out of its place.

    Both are in the order of the kind. What stands in a record is not told, since it may be secret.
    """
    for one, other in zip(wanted, found, strict=False):
        if _key(kind, one) != _key(kind, other):
            yield f"{kind.value}: {_name(kind, other)} stands where {_name(kind, one)} should."
            return
        if one != other:
            columns = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
            yield f"{kind.value}: {_name(kind, one)} differs in {', '.join(columns)}."
    for row in wanted[len(found) :]:
        yield f"{kind.value}: {_name(kind, row)} is missing."
    for row in found[len(wanted) :]:
        yield f"{kind.value}: {_name(kind, row)} is too much."


def _key(kind: Kind, row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in KEYS[kind])


def _name(kind: Kind, row: Row) -> str:
    return " ".join(str(part)[:_SHOWN] for part in _key(kind, row))
