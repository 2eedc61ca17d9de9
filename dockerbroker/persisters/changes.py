"""The life of operations: begun, carried on, and ended, with the records that change with them.

Races are decided by unique keys and by updates that name the state they found, never by a look beforehand:
those are decided alike on every database, whatever its isolation.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from attrs import evolve
from sqlalchemy import Connection, delete, exists, insert, null, select, update
from sqlalchemy.exc import IntegrityError

from dockerbroker.errors import AlreadyExists, BrokerError, Busy, PortLeased
from dockerbroker.model.instances import (
    Change,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
)
from dockerbroker.persisters import records
from dockerbroker.persisters.leases import update_held
from dockerbroker.persisters.tables import bindings, instances, operations, port_leases

#: What a platform is told of a creation that it deleted before it was done.
SUPERSEDED: Final = "The creation was ended by a deletion."


def begin(
    connection: Connection, change: Change, *, owner: str, now: float, ttl: float, within: float
) -> Operation:
    """Write a new operation with its records; see `IPersister.begin`."""
    holder = None if change.operation.is_over else owner
    operation = evolve(change.operation, epoch=1, owner=holder, deadline=now + within)
    if change.supersedes is not None:
        _supersede(connection, change.supersedes, operation.created_at)
    rest = _take(connection, change)
    row = records.operation_row(operation) | {
        "epoch": operation.epoch,
        "owner": operation.owner,
        "lease_until": None if operation.is_over else now + ttl,
        "deadline": operation.deadline,
        "is_cancelled": operation.is_cancelled,
    }
    if operation.binding_id is None:
        row["kept_for"] = operation.instance_id
        former = operations.c.kept_for == operation.instance_id
        connection.execute(update(operations).where(former).values(kept_for=null()))
    with _or_raise(AlreadyExists(f"The operation {operation.id} exists already.")):
        connection.execute(insert(operations).values(row))
    _write(connection, rest)
    return operation


def _supersede(connection: Connection, operation_id: str, now: float) -> None:
    """End an operation that another one replaces; `now` is in seconds since 1970."""
    busy = Busy(f"The operation {operation_id} has ended meanwhile.")
    wanted = (operations.c.id == operation_id, operations.c.lease_until.is_not(None))
    row = connection.execute(select(operations).where(*wanted).with_for_update()).mappings().first()
    if row is None:
        raise busy
    ended = evolve(records.read_operation(row).over(Phase.FAILED, now), description=SUPERSEDED)
    columns = records.operation_row(ended) | {
        "epoch": ended.epoch + 1,
        "owner": None,
        "lease_until": None,
    }
    if connection.execute(update(operations).where(*wanted).values(columns)).rowcount == 0:
        raise busy


def commit(connection: Connection, change: Change) -> None:
    """Write an operation's progress or outcome; see `IPersister.commit`."""
    row = records.operation_row(change.operation)
    if change.operation.is_over:
        row |= {"owner": None, "lease_until": None}
    update_held(connection, change.operation, row)
    _write(connection, change)


def _take(connection: Connection, change: Change) -> Change:
    """Insert or take what the operation needs for itself; returns what remains to be written."""
    operation = change.operation
    if operation.kind is OperationKind.PROVISION:
        assert change.instance is not None, "a provision has an instance"
        _insert_instance(connection, change.instance, operation)
        return evolve(change, instance=None)
    # `== None` is `IS NULL`.
    free = [instances.c.id == operation.instance_id, instances.c.operation_id == change.supersedes]
    if change.instance is not None:
        # What is about to be written was decided on the instance as this operation left it.
        free.append(instances.c.last_operation_id == change.instance.last_operation_id)
    taking = update(instances).where(*free)
    taking = taking.values(operation_id=operation.id, last_operation_id=operation.id)
    if connection.execute(taking).rowcount == 0:
        raise Busy(f"Another operation holds the service instance {operation.instance_id!r}, or has held it.")
    if operation.kind is OperationKind.BIND:
        assert change.binding is not None, "a bind has a binding"
        _insert_binding(connection, change.binding)
        return evolve(change, binding=None)
    if operation.kind is OperationKind.UNBIND and not _has_binding(connection, operation):
        raise Busy(f"Another operation has removed the binding {operation.binding_id!r}.")
    return change


def _has_binding(connection: Connection, operation: Operation) -> bool:
    wanted = (bindings.c.instance_id == operation.instance_id, bindings.c.id == operation.binding_id)
    return bool(connection.execute(select(exists().where(*wanted))).scalar())


def _write(connection: Connection, change: Change) -> None:
    operation = change.operation
    if change.remove_instance:
        # The bindings and the port leases go with it.
        connection.execute(delete(instances).where(instances.c.id == operation.instance_id))
        return
    if change.instance is not None:
        _put_instance(connection, change.instance, operation)
    if change.binding is not None:
        _put_binding(connection, change.binding)
    if change.remove_binding is not None:
        gone = (bindings.c.instance_id == operation.instance_id, bindings.c.id == change.remove_binding)
        connection.execute(delete(bindings).where(*gone))
    if operation.is_over:
        held = (instances.c.id == operation.instance_id, instances.c.operation_id == operation.id)
        connection.execute(update(instances).where(*held).values(operation_id=null()))


def _put_instance(connection: Connection, instance: ServiceInstance, operation: Operation) -> None:
    row = records.instance_row(instance)
    if connection.execute(update(instances).where(instances.c.id == instance.id).values(row)).rowcount == 0:
        _insert_instance(connection, instance, operation)
        return
    columns = [column for column in port_leases.c if column.name != "instance_id"]
    stored = connection.execute(select(*columns).where(port_leases.c.instance_id == instance.id)).all()
    wanted = records.leased_ports_of(instance)
    if {tuple(row) for row in stored} != {tuple(lease[c.name] for c in columns) for lease in wanted}:
        connection.execute(delete(port_leases).where(port_leases.c.instance_id == instance.id))
        _lease_ports(connection, instance, wanted)


def _insert_instance(connection: Connection, instance: ServiceInstance, operation: Operation) -> None:
    held = {"operation_id": operation.id, "last_operation_id": operation.id}
    row = records.instance_row(instance) | held
    with _or_raise(AlreadyExists(f"The service instance {instance.id!r} exists already.")):
        connection.execute(insert(instances).values(row))
    _lease_ports(connection, instance, records.leased_ports_of(instance))


def _lease_ports(connection: Connection, instance: ServiceInstance, leases: Sequence[dict[str, Any]]) -> None:
    if leases:
        ports = ", ".join(str(lease["port"]) for lease in leases)
        host = instance.host.service_host
        with _or_raise(PortLeased(f"A port of {ports} on {host} is leased to another service instance.")):
            connection.execute(insert(port_leases), leases)


def _put_binding(connection: Connection, binding: ServiceBinding) -> None:
    row = records.binding_row(binding)
    same = (bindings.c.instance_id == binding.instance_id, bindings.c.id == binding.id)
    if connection.execute(update(bindings).where(*same).values(row)).rowcount == 0:
        _insert_binding(connection, binding)


def _insert_binding(connection: Connection, binding: ServiceBinding) -> None:
    with _or_raise(AlreadyExists(f"The binding {binding.id!r} exists already.")):
        connection.execute(insert(bindings).values(records.binding_row(binding)))


@contextmanager
def _or_raise(error: BrokerError) -> Iterator[None]:
    """Raise the error when a unique key refuses the statement."""
    try:
        yield
    except IntegrityError:
        raise error from None
