"""What is told of operations, and how those that were over long ago are forgotten."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, delete, false, select

from dockerbroker.model.instances import Operation
from dockerbroker.persisters import records
from dockerbroker.persisters.tables import operations

#: How many identifiers one statement names; every database takes as many.
_AT_ONCE: Final = 100


def find_operation(connection: Connection, operation_id: str) -> Operation | None:
    """Return the operation, over or not."""
    row = connection.execute(select(operations).where(operations.c.id == operation_id)).mappings().first()
    return None if row is None else records.read_operation(row)


def find_last_operation(connection: Connection, instance_id: str, binding_id: str | None) -> Operation | None:
    """Return the operation on the instance itself, or on the one binding, that was begun last."""
    # `== None` is `IS NULL`.
    wanted = (operations.c.instance_id == instance_id, operations.c.binding_id == binding_id)
    last = select(operations).where(*wanted).order_by(operations.c.number.desc()).limit(1)
    row = connection.execute(last).mappings().first()
    return None if row is None else records.read_operation(row)


def find_operations(connection: Connection, *, unfinished: bool, limit: int) -> list[Operation]:
    """Return at most `limit` operations, those begun last first."""
    wanted = select(operations).order_by(operations.c.number.desc()).limit(limit)
    if unfinished:
        wanted = wanted.where(operations.c.is_over == false())
    return [records.read_operation(row) for row in connection.execute(wanted).mappings()]


def find_known_operations(connection: Connection, operation_ids: Iterable[str]) -> frozenset[str]:
    """Return which of the operations are known."""
    known: set[str] = set()
    for some in _portions(sorted(set(operation_ids))):
        known.update(connection.execute(select(operations.c.id).where(operations.c.id.in_(some))).scalars())
    return frozenset(known)


def forget(connection: Connection, before: float, limit: int) -> int:
    """Delete operations that were over before that time; see `IPersister.forget`."""
    old = (
        operations.c.kept_for.is_(None),
        operations.c.finished_at < before,
        operations.c.lease_until.is_(None),
    )
    oldest = (
        select(operations.c.id)
        .where(*old)
        .order_by(operations.c.finished_at, operations.c.number)
        .limit(limit)
    )
    deleted = 0
    for some in _portions(list(connection.execute(oldest).scalars())):
        deleted += connection.execute(delete(operations).where(operations.c.id.in_(some))).rowcount
    return deleted


def _portions(identifiers: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(identifiers), _AT_ONCE):
        yield identifiers[start : start + _AT_ONCE]
