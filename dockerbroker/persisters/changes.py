"""The life of operations: begun, carried on, taken over, let go of.

Races are decided by unique keys and by updates that name the state they found, never by a look beforehand:
those are decided alike on every database, whatever its isolation.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import evolve
from sqlalchemy import Connection, RowMapping, bindparam, delete, exists, insert, null, select, update
from sqlalchemy.exc import IntegrityError
from twisted.logger import Logger

from dockerbroker.errors import AlreadyExists, BrokerError, Busy, LostLease, PortLeased, Unavailable
from dockerbroker.model.instances import Change, Operation, OperationKind, ServiceBinding, ServiceInstance
from dockerbroker.persisters import records
from dockerbroker.persisters.tables import bindings, instances, operations, port_leases

_log = Logger()


def begin(connection: Connection, change: Change, *, owner: str, lease_until: float) -> Operation:
    """Write a new operation with its records; see `IPersister.begin`."""
    operation = evolve(change.operation, epoch=1, owner=None if change.operation.is_over else owner)
    rest = _take(connection, change)
    lease = None if operation.is_over else lease_until
    row = records.operation_row(operation) | {"epoch": 1, "owner": operation.owner, "lease_until": lease}
    with _or_raise(AlreadyExists(f"The operation {operation.id} exists already.")):
        connection.execute(insert(operations).values(row))
    _write(connection, rest)
    return operation


def commit(connection: Connection, change: Change) -> None:
    """Write an operation's progress or outcome; see `IPersister.commit`."""
    row = records.operation_row(change.operation)
    if change.operation.is_over:
        row |= {"owner": None, "lease_until": None}
    _update_held(connection, change.operation, row)
    _write(connection, change)


def claim(connection: Connection, owner: str, *, now: float, ttl: float) -> list[Operation]:
    """Take over the operations whose lease has lapsed; see `IPersister.claim`."""
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


def _readable(row: RowMapping) -> Operation | None:
    """Return the operation of a row; one that cannot be read must not keep the others from being claimed."""
    try:
        return records.read_operation(row)
    except Unavailable as error:
        _log.error("operation {id} is left: {why}", id=row["id"], why=error.description)
        return None


def renew(connection: Connection, owner: str, *, lease_until: float) -> None:
    """Prolong the leases of the owner; those that are over have none."""
    connection.execute(update(operations).where(operations.c.owner == owner).values(lease_until=lease_until))


def release(connection: Connection, operation: Operation, *, lease_until: float) -> None:
    """Let the operation be claimed from `lease_until` on; see `IPersister.release`."""
    _update_held(connection, operation, {"owner": None, "lease_until": lease_until})


def _update_held(connection: Connection, operation: Operation, row: dict[str, Any]) -> None:
    held = (
        operations.c.id == operation.id,
        operations.c.epoch == operation.epoch,
        operations.c.lease_until.is_not(None),
    )
    if connection.execute(update(operations).where(*held).values(row)).rowcount == 0:
        raise LostLease(f"The operation {operation.id} is over, or another broker has taken it over.")


def _take(connection: Connection, change: Change) -> Change:
    """Insert or take what the operation needs for itself; returns what remains to be written."""
    operation = change.operation
    if operation.kind is OperationKind.PROVISION:
        assert change.instance is not None, "a provision has an instance"
        _insert_instance(connection, change.instance, operation)
        return evolve(change, instance=None)
    free = [instances.c.id == operation.instance_id, instances.c.operation_id.is_(None)]
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
