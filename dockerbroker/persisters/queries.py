"""The catalog, the hosts and what is looked up: each function is one transaction's work on a connection."""

import math
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, literal, select, true, update

from dockerbroker.errors import Conflict, NotFound
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport
from dockerbroker.model.instances import ServiceBinding, ServiceInstance
from dockerbroker.persisters import records
from dockerbroker.persisters.tables import (
    bindings,
    conditions,
    deployment,
    hosts,
    images,
    instances,
    port_leases,
)


def find_cluster_id(connection: Connection) -> str:
    """Return the identifier that the database was born with."""
    return str(connection.execute(select(deployment.c.cluster_id)).scalar_one())


def find_images(connection: Connection) -> list[ImageDefinition]:
    """Return the catalog, in the order of the names."""
    rows = connection.execute(select(images).order_by(images.c.name)).mappings()
    return [records.read_image(row) for row in rows]


def seed_images(connection: Connection, definitions: Iterable[ImageDefinition]) -> bool:
    """Fill the catalog unless that was done before; returns whether it did."""
    seeding = update(deployment).where(deployment.c.seeded.is_(False)).values(seeded=true())
    if connection.execute(seeding).rowcount == 0:
        return False
    for definition in definitions:
        put_image(connection, definition)
    return True


def put_image(connection: Connection, definition: ImageDefinition) -> bool:
    """Add or replace a definition; returns whether it is new, or raises `Conflict`."""
    for other in find_images(connection):
        other.require_room_for(definition)
    row = records.image_row(definition)
    if connection.execute(update(images).where(images.c.name == definition.name).values(row)).rowcount:
        return False
    connection.execute(insert(images).values(row))
    return True


def delete_image(connection: Connection, name: str) -> None:
    """Remove a definition; raises `NotFound` or `Conflict`."""
    if connection.execute(delete(images).where(images.c.name == name)).rowcount == 0:
        raise NotFound(f"The image {name!r} does not exist.")
    if connection.execute(select(exists().where(instances.c.image_name == name))).scalar():
        raise Conflict(f"The image {name!r} has service instances; deprovision them first.")


def record_ping(connection: Connection, host: DockerHost, now: float) -> None:
    """Store the host, alive now."""
    row = records.host_row(host) | {"pinged_at": now}
    if connection.execute(update(hosts).where(*_is_host(hosts, host.key)).values(row)).rowcount == 0:
        connection.execute(insert(hosts).values(row))


def find_hosts(connection: Connection, now: float) -> list[HostReport]:
    """Return every host with the age of its ping, in the order of the keys."""
    order = (hosts.c.service_host, hosts.c.docker_host, hosts.c.docker_port)
    rows = connection.execute(select(hosts).order_by(*order)).mappings()
    return [HostReport(host=records.read_host(row), age=_age(row["pinged_at"], now)) for row in rows]


def find_host(connection: Connection, key: HostKey) -> DockerHost | None:
    """Return the host, if it is known."""
    row = connection.execute(select(hosts).where(*_is_host(hosts, key))).mappings().first()
    return None if row is None else records.read_host(row)


def find_instance(connection: Connection, instance_id: str) -> ServiceInstance | None:
    """Return the instance, if it exists."""
    row = connection.execute(select(instances).where(instances.c.id == instance_id)).mappings().first()
    return None if row is None else records.read_instance(row)


def find_binding(connection: Connection, instance_id: str, binding_id: str) -> ServiceBinding | None:
    """Return the binding of that instance, if it exists."""
    wanted = select(bindings).where(bindings.c.instance_id == instance_id, bindings.c.id == binding_id)
    row = connection.execute(wanted).mappings().first()
    return None if row is None else records.read_binding(row)


def find_bindings(connection: Connection, instance_id: str) -> list[ServiceBinding]:
    """Return the bindings of the instance, in the order of the ids."""
    wanted = select(bindings).where(bindings.c.instance_id == instance_id).order_by(bindings.c.id)
    return [records.read_binding(row) for row in connection.execute(wanted).mappings()]


def find_instances(connection: Connection, after: str, limit: int) -> list[ServiceInstance]:
    """Return at most `limit` instances after that one, in the order of the ids' bytes."""
    wanted = select(instances).where(instances.c.id > after).order_by(instances.c.id).limit(limit)
    return [records.read_instance(row) for row in connection.execute(wanted).mappings()]


def find_conditions(connection: Connection) -> dict[str, str]:
    """Return the conditions of instances that are not as they should be."""
    rows = connection.execute(select(conditions.c.instance_id, conditions.c.condition))
    return {row.instance_id: row.condition for row in rows}


def set_condition(connection: Connection, instance_id: str, condition: str | None) -> None:
    """Record the condition of an instance that exists."""
    wanted = conditions.c.instance_id == instance_id
    stored = connection.execute(select(conditions.c.condition).where(wanted)).scalar()
    if stored == condition:
        # Most looks find what the last one found; a write would have to wait for the disk.
        return
    connection.execute(delete(conditions).where(wanted))
    if condition is not None:
        existing = select(instances.c.id, literal(condition)).where(instances.c.id == instance_id)
        connection.execute(insert(conditions).from_select(["instance_id", "condition"], existing))


def find_leased_ports(connection: Connection, host: HostKey) -> frozenset[int]:
    """Return the host's leased ports."""
    return frozenset(
        connection.execute(select(port_leases.c.port).where(*_is_host(port_leases, host))).scalars()
    )


def _is_host(table: Any, key: HostKey) -> list[Any]:
    return [table.c[column] == value for column, value in records.host_columns(key).items()]


def _age(pinged_at: float | None, now: float) -> float:
    return math.inf if pinged_at is None else now - pinged_at
