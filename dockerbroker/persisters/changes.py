"""The life of operations: begun, carried on, and ended, with the records that change with them.

Races are decided by unique keys and by updates that name the state they found, never by a look beforehand:
those are decided alike on every database, whatever its isolation.
"""

from typing import Any, Final

from attrs import evolve
from sqlalchemy import Connection, Insert, bindparam, delete, exists, insert, null, or_, select, update

from dockerbroker.errors import Unavailable
from dockerbroker.model import auditing
from dockerbroker.model.hosts import HostState
from dockerbroker.model.instances import (
    Change,
    Operation,
    OperationKind,
    Phase,
)
from dockerbroker.persisters import holding_records, records, refusals
from dockerbroker.persisters.archive import CLOSED
from dockerbroker.persisters.history import find_operation
from dockerbroker.persisters.host_queries import of_host, the_host
from dockerbroker.persisters.instance_writes import (
    THE_BINDING,
    THE_INSTANCE,
    insert_binding,
    insert_instance,
    or_raise,
    put_binding,
    put_instance,
)
from dockerbroker.persisters.leases import update_held
from dockerbroker.persisters.reservations import Columns, find_holdings, move
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.sql_audit import append
from dockerbroker.persisters.statements import run
from dockerbroker.persisters.tables import (
    bindings,
    deployment,
    hosts,
    instances,
    operations,
)

# Statements are made once: making one costs several times as much as running it.
_UNFINISHED: Final = (operations.c.id == bindparam("operation"), operations.c.lease_until.is_not(None))

_NEW: Final = [column for column in operations.c if column.name != "number"]


#: In a database that is closed nothing is inserted; this costs no exchange of its own. Who closes it waits
#: for what is just being inserted.
def _inserting(*conditions: Any) -> Insert:
    new = select(*[bindparam(f"new_{column.name}", type_=column.type) for column in _NEW])
    open_one = new.select_from(deployment).where(deployment.c.closed == "", *conditions)
    inserting = insert(operations).from_select(_NEW, open_one.with_for_update(read=True))
    return inserting.execution_options(preserve_rowcount=True)


_INSERT_OPERATION: Final = _inserting()
#: For a new instance, on whose host an administrator or the brokers may have agreed meanwhile.
_INSERT_PROVISION: Final = _inserting(
    ~exists().where(*of_host(hosts), or_(hosts.c.is_cordoned, hosts.c.state != HostState.ALIVE.value))
)
_FIND_CLOSED: Final = select(deployment.c.closed)
_FIND_UNFINISHED: Final = select(operations).where(*_UNFINISHED).with_for_update()
_UPDATE_UNFINISHED: Final = update(operations).where(*_UNFINISHED)
_KEEP_NO_MORE: Final = (
    update(operations).where(operations.c.kept_for == bindparam("instance")).values(kept_for=null())
)
_TAKE: Final = (
    update(instances)
    .where(THE_INSTANCE, instances.c.operation_id.is_not_distinct_from(bindparam("holder")))
    .values(operation_id=bindparam("taker"), last_operation_id=bindparam("taker"))
)
_TAKE_AS_READ: Final = _TAKE.where(instances.c.last_operation_id.is_not_distinct_from(bindparam("last")))
_LET_GO: Final = (
    update(instances)
    .where(THE_INSTANCE, instances.c.operation_id == bindparam("operation"))
    .values(operation_id=null())
)
_DELETE_INSTANCE: Final = delete(instances).where(THE_INSTANCE)
_HAS_BINDING: Final = select(exists().where(*THE_BINDING))
_DELETE_BINDING: Final = delete(bindings).where(*THE_BINDING)


def begin(
    connection: Connection,
    sealed: SealedRecords,
    change: Change,
    *,
    owner: str,
    now: float,
    ttl: float,
    within: float,
    at: float,
) -> Operation:
    """Write a new operation with its records; see `IPersister.begin`. `at` is in seconds since 1970."""
    holder = None if change.operation.is_over else owner
    operation = evolve(change.operation, epoch=1, owner=holder, deadline=now + within)
    superseded = None
    if change.supersedes is not None:
        superseded = _supersede(connection, change.supersedes, operation.created_at)
    rest = _take(connection, sealed, change)
    if operation.binding_id is None and operation.kind is not OperationKind.PROVISION:
        run(connection, _KEEP_NO_MORE, {"instance": operation.instance_id})
    before = None if operation.kind is OperationKind.PROVISION else _held_before(connection, change)
    with or_raise(refusals.operation_exists(operation.id)):
        _insert_operation(connection, operation, change, lease_until=now + ttl)
    _write(connection, sealed, rest, before)
    _reserve(connection, change, before)
    append(connection, auditing.of_beginning(change, superseded), at)
    return operation


def _insert_operation(
    connection: Connection, operation: Operation, change: Change, *, lease_until: float
) -> None:
    row = records.operation_row(operation) | {
        "epoch": operation.epoch,
        "owner": operation.owner,
        "lease_until": None if operation.is_over else lease_until,
        "deadline": operation.deadline,
        "is_cancelled": operation.is_cancelled,
        "kept_for": None if operation.binding_id is not None else operation.instance_id,
    }
    inserting, new = _INSERT_OPERATION, {f"new_{column}": value for column, value in row.items()}
    place = change.placed_on
    if place is not None:
        inserting, new = _INSERT_PROVISION, new | the_host(place)
    if run(connection, inserting, new).rowcount == 0:
        if place is not None and not connection.execute(_FIND_CLOSED).scalar():
            raise refusals.host_unfit(place.service_host)
        raise Unavailable(CLOSED)


def begun(connection: Connection, change: Change, *, owner: str) -> Operation | None:
    """Return the operation as `begin` has stored it, if it has and nobody has changed it since."""
    stored = find_operation(connection, change.operation.id)
    if stored is None or stored.epoch != 1 or stored.owner != (None if stored.is_over else owner):
        return None
    is_same = records.operation_row(stored) == records.operation_row(change.operation)
    return stored if is_same else None


def committed(connection: Connection, change: Change) -> bool | None:
    """Return whether `commit` has stored the operation so, None if it has not."""
    stored = find_operation(connection, change.operation.id)
    if stored is None or stored.epoch != change.operation.epoch:
        return None
    return records.operation_row(stored) == records.operation_row(change.operation) or None


def _supersede(connection: Connection, operation_id: str, now: float) -> Operation:
    """End an operation that another one replaces, and return it; `now` is in seconds since 1970."""
    ended_meanwhile = refusals.superseded_ended(operation_id)
    wanted = {"operation": operation_id}
    row = connection.execute(_FIND_UNFINISHED, wanted).mappings().first()
    if row is None:
        raise ended_meanwhile
    ended = evolve(records.read_operation(row).over(Phase.FAILED, now), description=refusals.SUPERSEDED)
    columns = records.operation_row(ended) | {
        "epoch": ended.epoch + 1,
        "owner": None,
        "lease_until": None,
    }
    if run(connection, _UPDATE_UNFINISHED, wanted | columns).rowcount == 0:
        raise ended_meanwhile
    return ended


def commit(connection: Connection, sealed: SealedRecords, change: Change, at: float) -> None:
    """Write an operation's progress or outcome; see `IPersister.commit`. `at` is in seconds since 1970."""
    row = records.operation_row(change.operation)
    if change.operation.is_over:
        row |= {"owner": None, "lease_until": None}
    update_held(connection, change.operation, row)
    before = _held_before(connection, change)
    _write(connection, sealed, change, before)
    _reserve(connection, change, before)
    append(connection, auditing.of_commit(change), at)


def _held_before(connection: Connection, change: Change) -> Columns | None:
    """Return what the stored instance holds of hosts, when the change may change that."""
    if change.instance is None and not change.remove_instance:
        return None
    return find_holdings(connection, change.operation.instance_id)


def _reserve(connection: Connection, change: Change, before: Columns | None) -> None:
    """Change the sums of the hosts, after everything else; see `reservations`."""
    if change.remove_instance:
        move(connection, before, None, None)
    elif change.instance is not None:
        move(connection, before, holding_records.columns(change.instance), change.most)


def _take(connection: Connection, sealed: SealedRecords, change: Change) -> Change:
    """Insert or take what the operation needs for itself; returns what remains to be written."""
    operation = change.operation
    if operation.kind is OperationKind.PROVISION:
        assert change.instance is not None, "a provision has an instance"
        insert_instance(connection, sealed, change.instance, operation)
        return evolve(change, instance=None)
    taking, free = _TAKE, {"instance": operation.instance_id, "holder": change.supersedes}
    if change.instance is not None:
        # What is about to be written was decided on the instance as this operation left it.
        taking, free["last"] = _TAKE_AS_READ, change.instance.last_operation_id
    if run(connection, taking, free | {"taker": operation.id}).rowcount == 0:
        raise refusals.instance_busy(operation.instance_id)
    if operation.kind is OperationKind.BIND:
        assert change.binding is not None, "a bind has a binding"
        insert_binding(connection, sealed, change.binding)
        return evolve(change, binding=None)
    if operation.kind is OperationKind.UNBIND and not _has_binding(connection, operation):
        raise refusals.binding_gone(operation.binding_id)
    return change


def _has_binding(connection: Connection, operation: Operation) -> bool:
    wanted = {"instance": operation.instance_id, "binding": operation.binding_id}
    return bool(connection.execute(_HAS_BINDING, wanted).scalar())


def _write(connection: Connection, sealed: SealedRecords, change: Change, before: Columns | None) -> None:
    operation = change.operation
    if change.remove_instance:
        # The bindings and the port leases go with it.
        run(connection, _DELETE_INSTANCE, {"instance": operation.instance_id})
        return
    if change.instance is not None:
        put_instance(connection, sealed, change.instance, operation, before)
    if change.binding is not None:
        put_binding(connection, sealed, change.binding)
    if change.remove_binding is not None:
        gone = {"instance": operation.instance_id, "binding": change.remove_binding}
        run(connection, _DELETE_BINDING, gone)
    if operation.is_over:
        run(connection, _LET_GO, {"instance": operation.instance_id, "operation": operation.id})
