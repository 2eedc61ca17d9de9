"""Who carries an operation, and until when: taken over, renewed, let go of, asked to end or to go on."""

from collections.abc import Collection
from typing import Any

from attrs import evolve
from sqlalchemy import Connection, RowMapping, bindparam, or_, select, true, update
from twisted.logger import Logger

from dockerbroker.errors import Conflict, LostLease, NotFound, Unavailable
from dockerbroker.model.instances import Operation, OperationKind
from dockerbroker.persisters import records
from dockerbroker.persisters.tables import operations

_log = Logger()

_DELETIONS = frozenset({OperationKind.UNBIND, OperationKind.DEPROVISION})


def claim(
    connection: Connection, owner: str, *, now: float, ttl: float, ended: Collection[str] = ()
) -> list[Operation]:
    """Take over the operations whose lease has lapsed; see `IPersister.claim`.

    The leases of the brokers that have `ended` lapse now.
    """
    for broker in ended:
        _end_leases(connection, broker, now)
    lapsed = select(operations).where(operations.c.lease_until <= now).with_for_update(skip_locked=True)
    found = [_readable(row) for row in connection.execute(lapsed).mappings()]
    claimed = [evolve(operation, owner=owner, epoch=operation.epoch + 1) for operation in found if operation]
    if claimed:
        taking = update(operations).where(operations.c.id == bindparam("operation"))
        connection.execute(
            taking.values(owner=owner, lease_until=now + ttl, epoch=bindparam("raised")),
            [{"operation": operation.id, "raised": operation.epoch} for operation in claimed],
        )
    return claimed


def _end_leases(connection: Connection, broker: str, now: float) -> None:
    """End the leases that the broker holds under names that begin with its own and a slash."""
    # A range of the index; "0" is the character after "/".
    held = (operations.c.owner > f"{broker}/", operations.c.owner < f"{broker}0")
    connection.execute(update(operations).where(*held).values(lease_until=now))


def _readable(row: RowMapping) -> Operation | None:
    """Return the operation of a row; one that cannot be read must not keep the others from being claimed."""
    try:
        return records.read_operation(row)
    except Unavailable as error:
        _log.error("operation {id} is left: {why}", id=row["id"], why=error.description)
        return None


def renew(connection: Connection, owner: str, *, lease_until: float) -> frozenset[str]:
    """Prolong the leases of the owner, those that are over have none; returns which are cancelled."""
    connection.execute(update(operations).where(operations.c.owner == owner).values(lease_until=lease_until))
    cancelled = (operations.c.owner == owner, operations.c.is_cancelled == true())
    return frozenset(connection.execute(select(operations.c.id).where(*cancelled)).scalars())


def release(connection: Connection, operation: Operation, *, lease_until: float) -> None:
    """Let the operation be claimed from `lease_until` on; see `IPersister.release`."""
    update_held(connection, operation, {"owner": None, "lease_until": lease_until})


def update_held(connection: Connection, operation: Operation, row: dict[str, Any]) -> None:
    """Write columns of an operation that is not over, by whoever has its epoch; raises `LostLease`."""
    held = (
        operations.c.id == operation.id,
        operations.c.epoch == operation.epoch,
        operations.c.lease_until.is_not(None),
    )
    if connection.execute(update(operations).where(*held).values(row)).rowcount == 0:
        raise LostLease(f"The operation {operation.id} is over, or another broker has taken it over.")


def cancel(connection: Connection, operation_id: str) -> None:
    """Ask that the operation be undone; see `IPersister.cancel`."""
    if _known(connection, operation_id).kind in _DELETIONS:
        raise Conflict(f"The operation {operation_id} is a deletion, which cannot be undone.")
    unfinished = (operations.c.id == operation_id, operations.c.lease_until.is_not(None))
    if connection.execute(update(operations).where(*unfinished).values(is_cancelled=true())).rowcount == 0:
        raise Conflict(f"The operation {operation_id} is over.")


def hasten(connection: Connection, operation_id: str, *, now: float) -> None:
    """Let the operation be claimed from now on; see `IPersister.hasten`."""
    waiting = (
        operations.c.id == operation_id,
        operations.c.lease_until.is_not(None),
        or_(operations.c.owner.is_(None), operations.c.lease_until <= now),
    )
    if connection.execute(update(operations).where(*waiting).values(lease_until=now)).rowcount == 0:
        reason = "is over" if _known(connection, operation_id).is_over else "is being carried out already"
        raise Conflict(f"The operation {operation_id} {reason}.")


def _known(connection: Connection, operation_id: str) -> Operation:
    row = connection.execute(select(operations).where(operations.c.id == operation_id)).mappings().first()
    if row is None:
        raise NotFound(f"The operation {operation_id[:100]!r} does not exist.")
    return records.read_operation(row)
