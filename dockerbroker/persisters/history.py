"""What is told of operations, and how those that were over long ago are forgotten."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, false, select

from dockerbroker.model.instances import Operation
from dockerbroker.persisters import records
from dockerbroker.persisters.tables import operations

#: How many identifiers one statement names; every database takes as many.
_AT_ONCE: Final = 100

# Statements are made once: making one costs several times as much as running it.
_FIND: Final = select(operations).where(operations.c.id == bindparam("operation"))
_LAST: Final = (
    select(operations)
    .where(operations.c.instance_id == bindparam("instance"))
    .order_by(operations.c.number.desc())
    .limit(1)
)
_LAST_OF_INSTANCE: Final = _LAST.where(operations.c.binding_id.is_(None))
_LAST_OF_BINDING: Final = _LAST.where(operations.c.binding_id == bindparam("binding"))
_ALL: Final = select(operations).order_by(operations.c.number.desc()).limit(bindparam("most"))
_UNFINISHED: Final = _ALL.where(operations.c.is_over == false())
_ON: Final = _ALL.where(operations.c.instance_id == bindparam("instance"))
_ON_INSTANCE: Final = _ON.where(operations.c.binding_id.is_(None))
_ON_BINDING: Final = _ON.where(operations.c.binding_id == bindparam("binding"))
_FIND_NUMBER: Final = select(operations.c.number).where(operations.c.id == bindparam("operation"))
_SOME: Final = operations.c.id.in_(bindparam("operations", expanding=True))
_FIND_KNOWN: Final = select(operations.c.id).where(_SOME)
_DELETE: Final = delete(operations).where(_SOME)
_FIND_OLD: Final = (
    select(operations.c.id)
    .where(
        operations.c.kept_for.is_(None),
        operations.c.finished_at < bindparam("before"),
        operations.c.lease_until.is_(None),
    )
    .order_by(operations.c.finished_at, operations.c.number)
    .limit(bindparam("most"))
)


def find_operation(connection: Connection, operation_id: str) -> Operation | None:
    """Return the operation, over or not."""
    row = connection.execute(_FIND, {"operation": operation_id}).mappings().first()
    return None if row is None else records.read_operation(row)


def find_last_operation(connection: Connection, instance_id: str, binding_id: str | None) -> Operation | None:
    """Return the operation on the instance itself, or on the one binding, that was begun last."""
    if binding_id is None:
        found = connection.execute(_LAST_OF_INSTANCE, {"instance": instance_id})
    else:
        found = connection.execute(_LAST_OF_BINDING, {"instance": instance_id, "binding": binding_id})
    row = found.mappings().first()
    return None if row is None else records.read_operation(row)


@cache
def _earlier(wanted: Select[Any]) -> Select[Any]:
    return wanted.where(operations.c.number < bindparam("number"))


def find_operations(
    connection: Connection, *, unfinished: bool, limit: int, before: str | None = None
) -> list[Operation]:
    """Return at most `limit` operations, those begun last first; see `IPersister.operations`."""
    return _find_some(connection, _UNFINISHED if unfinished else _ALL, {"most": limit}, before)


def find_operations_on(
    connection: Connection, instance_id: str, binding_id: str | None, *, limit: int, before: str | None
) -> list[Operation]:
    """Return at most `limit` operations on an instance itself, or on the one binding."""
    on = {"instance": instance_id, "most": limit}
    if binding_id is None:
        return _find_some(connection, _ON_INSTANCE, on, before)
    return _find_some(connection, _ON_BINDING, {**on, "binding": binding_id}, before)


def _find_some(
    connection: Connection, wanted: Select[Any], parameters: dict[str, Any], before: str | None
) -> list[Operation]:
    if before is not None:
        number = connection.execute(_FIND_NUMBER, {"operation": before}).scalar()
        if number is None:
            return []
        wanted, parameters = _earlier(wanted), {**parameters, "number": number}
    return [records.read_operation(row) for row in connection.execute(wanted, parameters).mappings()]


def find_known_operations(connection: Connection, operation_ids: Iterable[str]) -> frozenset[str]:
    """Return which of the operations are known."""
    known: set[str] = set()
    for some in _portions(sorted(set(operation_ids))):
        known.update(connection.execute(_FIND_KNOWN, {"operations": some}).scalars())
    return frozenset(known)


def forget(connection: Connection, before: float, limit: int) -> int:
    """Delete operations that were over before that time; see `IPersister.forget`."""
    oldest = connection.execute(_FIND_OLD, {"before": before, "most": limit})
    deleted = 0
    for some in _portions(list(oldest.scalars())):
        deleted += connection.execute(_DELETE, {"operations": some}).rowcount
    return deleted


def _portions(identifiers: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(identifiers), _AT_ONCE):
        yield identifiers[start : start + _AT_ONCE]
