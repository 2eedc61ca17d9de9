"""How instances and bindings are written, with the ports and places that only one instance can have."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from dockerbroker.errors import BrokerError
from dockerbroker.model.instances import Operation, ServiceBinding, ServiceInstance
from dockerbroker.persisters import holding_records, refusals
from dockerbroker.persisters.reservations import Columns, lonely_places_of
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.statements import run
from dockerbroker.persisters.tables import bindings, instances, lonely_places, port_leases

#: The instance of the parameter `instance`, and its binding of the parameter `binding`.
THE_INSTANCE: Final = instances.c.id == bindparam("instance")
THE_BINDING: Final = (
    bindings.c.instance_id == bindparam("instance"),
    bindings.c.id == bindparam("binding"),
)

# Statements are made once: making one costs several times as much as running it.
_INSERT_INSTANCE: Final = insert(instances).inline()
_INSERT_BINDING: Final = insert(bindings).inline()
_INSERT_LEASES: Final = insert(port_leases).inline()
_INSERT_PLACES: Final = insert(lonely_places).inline()
_DELETE_PLACES: Final = delete(lonely_places).where(lonely_places.c.instance_id == bindparam("instance"))
_LEASES: Final = port_leases.c.instance_id == bindparam("instance")
_LEASE_COLUMNS: Final = [column for column in port_leases.c if column.name != "instance_id"]
_UPDATE_INSTANCE: Final = update(instances).where(THE_INSTANCE)
_UPDATE_BINDING: Final = update(bindings).where(*THE_BINDING)
_FIND_LEASES: Final = select(*_LEASE_COLUMNS).where(_LEASES)
_DELETE_LEASES: Final = delete(port_leases).where(_LEASES)


def put_instance(
    connection: Connection,
    sealed: SealedRecords,
    instance: ServiceInstance,
    operation: Operation,
    before: Columns | None,
) -> None:
    """Write the instance, which held `before`, None when it is not there; raises as `insert_instance`."""
    if before is None:
        insert_instance(connection, sealed, instance, operation)
        return
    same, row = {"instance": instance.id}, sealed.instance_row(instance)
    run(connection, _UPDATE_INSTANCE, same | row)
    if all(row[name] == before[name] for name in before):
        # The ports, and what it has for itself, are those that it has.
        return
    if lonely_places_of(row) != lonely_places_of(before):
        run(connection, _DELETE_PLACES, same)
        _take_places(connection, instance, row)
    stored = connection.execute(_FIND_LEASES, same).all()
    wanted = holding_records.leased_ports_of(instance)
    if {tuple(row) for row in stored} != {tuple(lease[c.name] for c in _LEASE_COLUMNS) for lease in wanted}:
        run(connection, _DELETE_LEASES, same)
        _lease_ports(connection, instance, wanted)


def insert_instance(
    connection: Connection, sealed: SealedRecords, instance: ServiceInstance, operation: Operation
) -> None:
    """Write a new instance that the operation holds.

    Raises the error of `refusals` for an id, a port, or a place on a host that another instance has.
    """
    held = {"operation_id": operation.id, "last_operation_id": operation.id}
    row = sealed.instance_row(instance) | held
    with or_raise(refusals.instance_exists(instance.id)):
        run(connection, _INSERT_INSTANCE, row)
    _take_places(connection, instance, row)
    _lease_ports(connection, instance, holding_records.leased_ports_of(instance))


def _take_places(connection: Connection, instance: ServiceInstance, columns: Columns) -> None:
    """Take what the instance has for itself alone."""
    if places := lonely_places_of(columns):
        taken = [{"place": place, "instance_id": instance.id} for place in sorted(places)]
        with or_raise(refusals.host_full((instance.successor or instance).host.service_host)):
            run(connection, _INSERT_PLACES, taken)


def _lease_ports(connection: Connection, instance: ServiceInstance, leases: Sequence[dict[str, Any]]) -> None:
    if leases:
        ports = [lease["port"] for lease in leases]
        with or_raise(refusals.port_leased(ports, (instance.successor or instance).host.service_host)):
            run(connection, _INSERT_LEASES, leases)


def put_binding(connection: Connection, sealed: SealedRecords, binding: ServiceBinding) -> None:
    """Write the binding, whether it is there or not."""
    same = {"instance": binding.instance_id, "binding": binding.id}
    if run(connection, _UPDATE_BINDING, same | sealed.binding_row(binding)).rowcount == 0:
        insert_binding(connection, sealed, binding)


def insert_binding(connection: Connection, sealed: SealedRecords, binding: ServiceBinding) -> None:
    """Write a new binding; raises the error of `refusals` for an id that another one of the instance has."""
    with or_raise(refusals.binding_exists(binding.id)):
        run(connection, _INSERT_BINDING, sealed.binding_row(binding))


@contextmanager
def or_raise(error: BrokerError) -> Iterator[None]:
    """Raise the error when a unique key refuses the statement."""
    try:
        yield
    except IntegrityError:
        raise error from None
