"""Who carries an operation, and until when: taken over, renewed, let go of, asked to end or to go on."""

from collections.abc import Collection
from typing import Any, Final

from attrs import evolve
from sqlalchemy import Connection, RowMapping, bindparam, or_, select, true, update
from twisted.logger import Logger

from dockerbroker.errors import Unavailable
from dockerbroker.model.instances import Operation
from dockerbroker.persisters import records, refusals
from dockerbroker.persisters.history import find_operation
from dockerbroker.persisters.queries import require_open
from dockerbroker.persisters.statements import run
from dockerbroker.persisters.tables import operations

_log = Logger()


# Statements are made once: making one costs several times as much as running it.
_UNFINISHED: Final = (operations.c.id == bindparam("operation"), operations.c.lease_until.is_not(None))
_OWNED: Final = operations.c.owner == bindparam("holder")

_FIND_LAPSED: Final = (
    select(operations).where(operations.c.lease_until <= bindparam("now")).with_for_update(skip_locked=True)
)
_TAKE_OVER: Final = (
    update(operations)
    .where(operations.c.id == bindparam("operation"))
    .values(owner=bindparam("taker"), lease_until=bindparam("until"), epoch=bindparam("raised"))
)
# A range of the index.
_END_LEASES: Final = (
    update(operations)
    .where(operations.c.owner > bindparam("low"), operations.c.owner < bindparam("high"))
    .values(lease_until=bindparam("now"))
)
_RENEW: Final = update(operations).where(_OWNED).values(lease_until=bindparam("until"))
_FIND_CANCELLED: Final = select(operations.c.id).where(_OWNED, operations.c.is_cancelled == true())
_UPDATE_HELD: Final = update(operations).where(*_UNFINISHED, operations.c.epoch == bindparam("held_epoch"))
_CANCEL: Final = update(operations).where(*_UNFINISHED).values(is_cancelled=true())
_HASTEN: Final = (
    update(operations)
    .where(*_UNFINISHED, or_(operations.c.owner.is_(None), operations.c.lease_until <= bindparam("now")))
    .values(lease_until=bindparam("now"))
)


def claim(
    connection: Connection, owner: str, *, now: float, ttl: float, ended: Collection[str] = ()
) -> list[Operation]:
    """Take over the operations whose lease has lapsed; see `IPersister.claim`.

    The leases of the brokers that have `ended` lapse now.
    """
    for broker in ended:
        _end_leases(connection, broker, now)
    found = [_readable(row) for row in connection.execute(_FIND_LAPSED, {"now": now}).mappings()]
    claimed = [evolve(operation, owner=owner, epoch=operation.epoch + 1) for operation in found if operation]
    if claimed:
        taken = {"taker": owner, "until": now + ttl}
        connection.execute(
            _TAKE_OVER, [{"operation": one.id, "raised": one.epoch, **taken} for one in claimed]
        )
    return claimed


def _end_leases(connection: Connection, broker: str, now: float) -> None:
    """End the leases that the broker holds under names that begin with its own and a slash."""
    # "0" is the character after "/".
    run(connection, _END_LEASES, {"low": f"{broker}/", "high": f"{broker}0", "now": now})


def _readable(row: RowMapping) -> Operation | None:
    """Return the operation of a row; one that cannot be read must not keep the others from being claimed."""
    try:
        return records.read_operation(row)
    except Unavailable as error:
        _log.error("operation {id} is left: {why}", id=row["id"], why=error.description)
        return None


def renew(connection: Connection, owner: str, *, lease_until: float) -> frozenset[str]:
    """Prolong the leases of the owner, those that are over have none; returns which are cancelled."""
    run(connection, _RENEW, {"holder": owner, "until": lease_until})
    return frozenset(connection.execute(_FIND_CANCELLED, {"holder": owner}).scalars())


def release(connection: Connection, operation: Operation, *, lease_until: float) -> None:
    """Let the operation be claimed from `lease_until` on; see `IPersister.release`."""
    update_held(connection, operation, {"owner": None, "lease_until": lease_until})


def update_held(connection: Connection, operation: Operation, row: dict[str, Any]) -> None:
    """Write columns of an operation that is not over, by whoever has its epoch; raises `LostLease`."""
    held = {"operation": operation.id, "held_epoch": operation.epoch}
    if run(connection, _UPDATE_HELD, held | row).rowcount == 0:
        raise refusals.lease_lost(operation.id)


def cancel(connection: Connection, operation_id: str) -> None:
    """Ask that the operation be undone; see `IPersister.cancel`."""
    if _known(connection, operation_id).kind in refusals.DELETIONS:
        raise refusals.deletion_stays(operation_id)
    if run(connection, _CANCEL, {"operation": operation_id}).rowcount == 0:
        raise refusals.operation_over(operation_id)
    # After the operation, as in `changes.begin`: so none of the two waits for one that waits for it.
    require_open(connection)


def hasten(connection: Connection, operation_id: str, *, now: float) -> None:
    """Let the operation be claimed from now on; see `IPersister.hasten`."""
    if run(connection, _HASTEN, {"operation": operation_id, "now": now}).rowcount == 0:
        is_over = _known(connection, operation_id).is_over
        raise (refusals.operation_over if is_over else refusals.operation_carried)(operation_id)
    require_open(connection)


def _known(connection: Connection, operation_id: str) -> Operation:
    operation = find_operation(connection, operation_id)
    if operation is None:
        raise refusals.operation_unknown(operation_id)
    return operation
