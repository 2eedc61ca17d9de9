"""What is reserved on each host: sums that change with the instances, in the same transactions.

They are never added up from the instances, of which there may be very many. The row of a host is changed last
in a transaction, so that whoever waits for it holds nothing that its holder may still want.
"""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Insert, bindparam, or_, select, update
from sqlalchemy.dialects import mysql, sqlite

from dockerbroker.model.hosts import HostKey
from dockerbroker.model.reservations import NOTHING, Most, Reserved
from dockerbroker.persisters import holding_records, refusals
from dockerbroker.persisters.host_queries import of_host, the_host
from dockerbroker.persisters.statements import run
from dockerbroker.persisters.tables import instances, reservations

_SUMS: Final = ("memory", "cpus", "ports", "instances")
#: The columns of what an instance holds of its host, and of that to which it moves.
_HELD: Final = ("reserved", "reserved_there", "lonely_place", "lonely_place_there")

Columns = Mapping[str, str | None]

# Statements are made once: making one costs several times as much as running it.
_FIND_ALL: Final = select(reservations)
_FIND_HOLDINGS: Final = select(
    instances.c.reserved,
    instances.c.reserved_there,
    instances.c.lonely_place,
    instances.c.lonely_place_there,
).where(instances.c.id == bindparam("instance"))
_FIND_NEIGHBOURS: Final = select(instances.c.reserved, instances.c.reserved_there).where(
    instances.c.neighbourhood == bindparam("neighbourhood")
)
_ADD: Final = (
    update(reservations)
    .where(*of_host(reservations))
    .values({name: reservations.c[name] + bindparam(f"more_{name}") for name in _SUMS})
)
#: Nothing more of a thing is never too much.
_ADD_IF_ROOM: Final = _ADD.where(
    *(
        or_(
            bindparam(f"asked_{name}", type_=BigInteger) <= 0,
            reservations.c[name] + bindparam(f"wanted_{name}") <= bindparam(f"most_{name}"),
        )
        for name in ("memory", "cpus")
    )
)


def find_reserved(connection: Connection) -> dict[HostKey, Reserved]:
    """Return what is reserved on each host that has instances."""
    rows = connection.execute(_FIND_ALL)
    return {
        HostKey(service_host=service_host, docker_host=docker_host, docker_port=docker_port): Reserved(
            memory=memory, cpus=cpus, ports=ports, instances=count
        )
        for service_host, docker_host, docker_port, memory, cpus, ports, count in rows
    }


def find_neighbours(connection: Connection, neighbourhood: str) -> Counter[HostKey]:
    """Return how many instances of a neighbourhood are on which host."""
    found = connection.execute(_FIND_NEIGHBOURS, {"neighbourhood": neighbourhood})
    return Counter(
        holding_records.read_reservation(text)[0] for row in found for text in row if text is not None
    )


def find_holdings(connection: Connection, instance_id: str) -> Columns | None:
    """Return the columns of what the stored instance holds of hosts, if there is such an instance."""
    row = connection.execute(_FIND_HOLDINGS, {"instance": instance_id}).first()
    return None if row is None else dict(zip(_HELD, row, strict=True))


def lonely_places_of(columns: Columns) -> set[str]:
    """Return the places that an instance with these columns has for itself."""
    return {place for name in _HELD[2:] if (place := columns[name]) is not None}


def move(connection: Connection, before: Columns | None, after: Columns | None, most: Most | None) -> None:
    """Change the sums by what an instance has reserved before and reserves from now on.

    Raises `HostFull` when that is more on one of its hosts than the most.
    """
    if before == after:
        return
    changes: dict[HostKey, Reserved] = {}
    for columns, is_new in ((before, False), (after, True)):
        for name in _HELD[:2]:
            text = None if columns is None else columns[name]
            if text is not None:
                key, reserved = holding_records.read_reservation(text)
                sums = changes.get(key, NOTHING)
                changes[key] = sums + reserved if is_new else sums - reserved
    # In the order of the keys, so that none who changes several waits for one that waits for it.
    for key in sorted(changes):
        _reserve(connection, key, changes[key], most)


def _reserve(connection: Connection, key: HostKey, more: Reserved, most: Most | None) -> None:
    if not more:
        return
    columns = holding_records.reserved_columns(more)
    where, added = the_host(key), {f"more_{name}": value for name, value in columns.items()}
    limits: dict[str, Any] = {}
    if most is not None:
        limits = {"most_memory": most.memory, "most_cpus": most.cpus}
        for name in ("memory", "cpus"):
            limits |= {f"asked_{name}": columns[name], f"wanted_{name}": columns[name]}
    adding, parameters = _ADD if most is None else _ADD_IF_ROOM, where | added | limits
    if run(connection, adding, parameters).rowcount:
        return
    # Either there is no room, or nothing was ever reserved on the host.
    empty = holding_records.host_columns(key) | holding_records.reserved_columns(NOTHING)
    run(connection, _insert(connection.dialect.name), empty)
    if run(connection, adding, parameters).rowcount == 0:
        raise refusals.host_full(key.service_host)


@cache
def _insert(dialect: str) -> Insert:
    """Return what inserts the row of a host unless it is there."""
    if dialect == "sqlite":
        return sqlite.insert(reservations).inline().on_conflict_do_nothing()
    if dialect == "postgresql":
        # Imported here, since it brings all its drivers along and most starts do not need it.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(reservations).inline().on_conflict_do_nothing()
    kept = {"instances": reservations.c.instances}
    return mysql.insert(reservations).inline().on_duplicate_key_update(kept)
