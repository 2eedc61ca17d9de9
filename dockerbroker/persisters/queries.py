"""The catalog and what is looked up: each function is one transaction's work on a connection."""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, bindparam, delete, exists, insert, literal, select, true, update
from sqlalchemy.exc import DBAPIError

from dockerbroker.errors import Unavailable
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import ServiceBinding, ServiceInstance
from dockerbroker.persisters import refusals
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.archive import CLOSED, obstacle
from dockerbroker.persisters.host_queries import of_host, the_host
from dockerbroker.persisters.interfaces import DatabaseState
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.tables import (
    bindings,
    conditions,
    deployment,
    images,
    instances,
    port_leases,
    tombstones,
)

T = TypeVar("T")

# Statements are made once: making one costs several times as much as running it.
_FIND_LEASED: Final = select(port_leases.c.port).where(*of_host(port_leases))
_FIND_LEASES: Final = (
    select(port_leases.c.port, port_leases.c.instance_id)
    .where(*of_host(port_leases), port_leases.c.port > bindparam("after"))
    .order_by(port_leases.c.port)
    .limit(bindparam("most"))
)
_FIND_INSTANCE: Final = select(instances).where(instances.c.id == bindparam("instance"))
_FIND_INSTANCES: Final = (
    select(instances)
    .where(instances.c.id > bindparam("after"))
    .order_by(instances.c.id)
    .limit(bindparam("most"))
)
_FIND_BINDINGS: Final = (
    select(bindings).where(bindings.c.instance_id == bindparam("instance")).order_by(bindings.c.id)
)
_FIND_BINDING: Final = _FIND_BINDINGS.where(bindings.c.id == bindparam("binding"))
_FIND_SOME_BINDINGS: Final = _FIND_BINDINGS.where(bindings.c.id > bindparam("after")).limit(bindparam("most"))
_FIND_CONDITION: Final = select(conditions.c.condition).where(
    conditions.c.instance_id == bindparam("instance")
)
_FIND_CLOSED: Final = select(deployment.c.closed)
_FIND_STATE: Final = select(
    deployment.c.cluster_id,
    deployment.c.closed,
    deployment.c.moved_to,
    deployment.c.sealing,
    deployment.c.credentials,
)
#: By these PostgreSQL and MySQL tell that a table does not exist; older PyMySQL has the number alone.
_NO_TABLE: Final = ("42P01", "42S02", 1146)
#: How long it is known that what did not exist was to be deleted, in seconds: no request takes as long.
_ENTOMBED: Final = 3600.0


def find_cluster_id(connection: Connection) -> str:
    """Return the identifier that the database was born with."""
    return str(connection.execute(select(deployment.c.cluster_id)).scalar_one())


def with_keys(connection: Connection, sealed: SealedRecords, query: Callable[[Connection], T]) -> T:
    """Run the query when the vault has learned of the keys not long ago, or else now."""
    if sealed.vault.is_stale:
        find_state(connection, sealed)
    return query(connection)


def find_state(connection: Connection, sealed: SealedRecords) -> DatabaseState:
    """Return whose records the database holds; those of nobody when its tables are gone."""
    try:
        row = connection.execute(_FIND_STATE).first()
    except DBAPIError as failure:
        if not _tells_of_absence(failure.orig):
            raise
        row = None
    if row is None:
        return DatabaseState(cluster_id=None)
    return DatabaseState(
        cluster_id=str(row.cluster_id),
        obstacle=obstacle(row.closed, row.moved_to),
        locked=sealed.vault.learn(row.sealing),
        credentials=row.credentials,
    )


def _tells_of_absence(error: Any) -> bool:
    """Return whether a driver says that a table does not exist."""
    code = getattr(error, "sqlstate", None) or next(iter(error.args), None)
    return code in _NO_TABLE or str(code).startswith("no such table")


def find_images(connection: Connection, sealed: SealedRecords) -> list[ImageDefinition]:
    """Return the catalog, in the order of the names."""
    rows = connection.execute(select(images).order_by(images.c.name)).mappings()
    return [sealed.read_image(row) for row in rows]


def seed_images(
    connection: Connection, sealed: SealedRecords, definitions: Iterable[ImageDefinition]
) -> bool:
    """Fill the catalog unless that was done before; returns whether it did."""
    seeding = update(deployment).where(deployment.c.seeded.is_(False)).values(seeded=true())
    if connection.execute(seeding).rowcount == 0:
        return False
    for definition in definitions:
        put_image(connection, sealed, definition)
    return True


def put_image(
    connection: Connection,
    sealed: SealedRecords,
    definition: ImageDefinition,
    only: Only[ImageDefinition] | None = None,
) -> bool:
    """Add or replace a definition; returns whether it is new, or raises as `IPersister.put_image`."""
    # Whoever adds another definition at this moment waits, and sees this one.
    require_open(connection, alone=True)
    stored = {image.name: image for image in find_images(connection, sealed)}
    if only is not None:
        same = only.stored == stored.get(definition.name)
        refusals.require(same, f"The image {definition.name!r}")
    for other in stored.values():
        other.require_room_for(definition)
    row = sealed.image_row(definition)
    if connection.execute(update(images).where(images.c.name == definition.name).values(row)).rowcount:
        return False
    connection.execute(insert(images).values(row))
    return True


def find_image(connection: Connection, sealed: SealedRecords, name: str) -> ImageDefinition | None:
    """Return the definition of that name, if there is one."""
    row = connection.execute(select(images).where(images.c.name == name)).mappings().first()
    return None if row is None else sealed.read_image(row)


def has_image(connection: Connection, name: str) -> bool:
    """Return whether there is a definition of that name."""
    return bool(connection.execute(select(exists().where(images.c.name == name))).scalar())


def require_open(connection: Connection, *, alone: bool = False) -> None:
    """Raise `Unavailable` when the records are at another database; nobody closes this one meanwhile.

    While one asks `alone`, all others who ask wait.
    """
    if connection.execute(_FIND_CLOSED.with_for_update(read=not alone)).scalar_one():
        raise Unavailable(CLOSED)


def delete_image(
    connection: Connection, sealed: SealedRecords, name: str, only: Only[ImageDefinition] | None = None
) -> None:
    """Remove a definition; raises as `IPersister.delete_image`."""
    require_open(connection, alone=True)
    if only is not None and (stored := find_image(connection, sealed, name)) is not None:
        refusals.require(only.stored == stored, f"The image {name!r}")
    if connection.execute(delete(images).where(images.c.name == name)).rowcount == 0:
        raise refusals.image_unknown(name)
    if connection.execute(select(exists().where(instances.c.image_name == name))).scalar():
        raise refusals.image_used(name)


def find_instance(connection: Connection, sealed: SealedRecords, instance_id: str) -> ServiceInstance | None:
    """Return the instance, if it exists."""
    row = connection.execute(_FIND_INSTANCE, {"instance": instance_id}).mappings().first()
    return None if row is None else sealed.read_instance(row)


def find_binding(
    connection: Connection, sealed: SealedRecords, instance_id: str, binding_id: str
) -> ServiceBinding | None:
    """Return the binding of that instance, if it exists."""
    wanted = {"instance": instance_id, "binding": binding_id}
    row = connection.execute(_FIND_BINDING, wanted).mappings().first()
    return None if row is None else sealed.read_binding(row)


def find_bindings(
    connection: Connection, sealed: SealedRecords, instance_id: str, after: str, limit: int | None
) -> list[ServiceBinding]:
    """Return bindings of the instance, in the order of the ids' bytes; at most `limit` after that one."""
    if limit is None:
        rows = connection.execute(_FIND_BINDINGS, {"instance": instance_id}).mappings()
    else:
        wanted = {"instance": instance_id, "after": after, "most": limit}
        rows = connection.execute(_FIND_SOME_BINDINGS, wanted).mappings()
    return [sealed.read_binding(row) for row in rows]


def find_instances(
    connection: Connection, sealed: SealedRecords, after: str, limit: int
) -> list[ServiceInstance]:
    """Return at most `limit` instances after that one, in the order of the ids' bytes."""
    rows = connection.execute(_FIND_INSTANCES, {"after": after, "most": limit}).mappings()
    return sealed.read_instances(rows)


def find_conditions(connection: Connection) -> dict[str, str]:
    """Return the conditions of instances that are not as they should be."""
    rows = connection.execute(select(conditions.c.instance_id, conditions.c.condition))
    return {row.instance_id: row.condition for row in rows}


def set_condition(connection: Connection, instance_id: str, condition: str | None) -> None:
    """Record the condition of an instance that exists."""
    wanted = conditions.c.instance_id == instance_id
    stored = connection.execute(_FIND_CONDITION, {"instance": instance_id}).scalar()
    if stored == condition:
        # Most looks find what the last one found; a write would have to wait for the disk.
        return
    connection.execute(delete(conditions).where(wanted))
    if condition is not None:
        existing = select(instances.c.id, literal(condition)).where(instances.c.id == instance_id)
        connection.execute(insert(conditions).from_select(["instance_id", "condition"], existing))


def entomb(connection: Connection, instance_id: str, tombstone: str, *, now: float) -> None:
    """Record that the instance was to be deleted, and forget such records of more than an hour ago."""
    require_open(connection)
    connection.execute(delete(tombstones).where(tombstones.c.at < now - _ENTOMBED))
    row = {"id": tombstone, "at": now}
    same = tombstones.c.instance_id == instance_id
    if connection.execute(update(tombstones).where(same).values(row)).rowcount == 0:
        connection.execute(insert(tombstones).values(instance_id=instance_id, **row))


def find_tombstone(connection: Connection, instance_id: str) -> str | None:
    """Return the tombstone that was recorded last."""
    return connection.execute(select(tombstones.c.id).where(tombstones.c.instance_id == instance_id)).scalar()


def find_leased_ports(connection: Connection, host: HostKey) -> frozenset[int]:
    """Return the host's leased ports."""
    return frozenset(connection.execute(_FIND_LEASED, the_host(host)).scalars())


def find_port_leases(connection: Connection, host: HostKey, after: int, limit: int) -> dict[int, str]:
    """Return at most `limit` of the host's leased ports above that one, and whose they are."""
    rows = connection.execute(_FIND_LEASES, {**the_host(host), "after": after, "most": limit})
    return {row.port: row.instance_id for row in rows}
