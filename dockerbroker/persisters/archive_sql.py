"""Whole SQL databases, read and written table by table."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from attrs import define
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, or_, select, update
from zope.interface import implementer

from dockerbroker.errors import Conflict
from dockerbroker.model.audit import AuditEntry, AuditHead
from dockerbroker.persisters.archive import (
    COUNTED,
    HELD,
    KEYS,
    NEVER,
    Closed,
    HeldLease,
    IArchive,
    Identity,
    Kind,
    Resealed,
    Row,
    Standing,
)
from dockerbroker.persisters.databases import CommitUnknown, Database, Query
from dockerbroker.persisters.grouping import RunInThread
from dockerbroker.persisters.reservations import lonely_places_of
from dockerbroker.persisters.sql_audit import head_row, note
from dockerbroker.persisters.tables import (
    audit,
    audit_head,
    bindings,
    certificates,
    conditions,
    credentials,
    deployment,
    hosts,
    images,
    instances,
    lonely_places,
    metadata,
    operations,
    port_leases,
    reservations,
    tombstones,
)

T = TypeVar("T")

#: How many seconds a transaction waits for others; no platform waits for it.
_PATIENCE: Final = 30.0
#: How many leases are told.
_MOST_LEASES: Final = 100

_TABLES: Final[Mapping[Kind, Table]] = {
    Kind.IMAGE: images,
    Kind.HOST: hosts,
    Kind.CERTIFICATE: certificates,
    Kind.CREDENTIAL: credentials,
    Kind.INSTANCE: instances,
    Kind.BINDING: bindings,
    Kind.PORT_LEASE: port_leases,
    Kind.RESERVATION: reservations,
    Kind.CONDITION: conditions,
    Kind.OPERATION: operations,
    Kind.TOMBSTONE: tombstones,
    Kind.AUDIT: audit,
}
_FIND_MOVER: Final = select(deployment.c.closed, deployment.c.mover).with_for_update()
#: What a database knows for itself alone.
_OWN: Final = (
    operations.c.number,
    hosts.c.pinged_at,
    hosts.c.vitals,
    hosts.c.sessions,
    hosts.c.complaint,
    hosts.c.state_at,
)


@implementer(IArchive)
@define(eq=False)
class SqlArchive:
    """The whole of a SQL database; its calls are made in threads."""

    database: Database
    _run: RunInThread

    async def standing(self) -> Standing:
        """Return what the database holds, and whether brokers may use it."""
        return await self._read(lambda connection: _standing(connection, self.database.now(connection)))

    async def page(self, kind: Kind, after: Row | None, limit: int) -> list[Row]:
        """Return records in the order of their keys, or of their beginning."""
        return await self._read(lambda connection: _page(connection, kind, after, limit))

    async def identify(self, identity: Identity, *, mover: str = "") -> None:
        """Take another identity."""
        await self._write(lambda connection: _identify(connection, identity, mover))

    async def close(self, closed: Closed, moved_to: str, *, mover: str = "", former: str = "") -> None:
        """Let no broker use the database, or let them use it again."""
        await self._write(lambda connection: _close(connection, closed, moved_to, mover=mover, former=former))

    async def erase(self, *, mover: str = "") -> None:
        """Delete all records."""
        await self._write(lambda connection: _erase(connection, mover))

    async def write(self, kind: Kind, rows: Sequence[Row], *, mover: str = "") -> None:
        """Add records."""
        await self._write(lambda connection: _add(connection, kind, rows, mover))

    async def change_sealing(self, before: str | None, after: str | None, entry: AuditEntry) -> bool:
        """Let the database say something else of its keys."""
        return await self._write(lambda connection: _change_sealing(connection, before, after, entry))

    async def reseal(self, kind: Kind, changes: Sequence[Resealed]) -> int:
        """Replace secrets that are as they were read."""
        return await self._write(lambda connection: _reseal(connection, _TABLES[kind], KEYS[kind], changes))

    async def _read(self, query: Query[T]) -> T:
        return await self._run(lambda: self.database.read(query, deadline=self._deadline()))

    async def _write(self, query: Query[T]) -> T:
        def write() -> T:
            try:
                return self.database.write(query, deadline=self._deadline())
            except CommitUnknown:
                # Done once more it changes nothing.
                return self.database.write(query, deadline=self._deadline())

        return await self._run(write)

    def _deadline(self) -> float:
        return self.database.seconds() + _PATIENCE


def _standing(connection: Connection, now: float) -> Standing:
    row = connection.execute(select(deployment)).one()
    held = (
        select(operations.c.id, operations.c.owner, operations.c.lease_until)
        .where(operations.c.owner.is_not(None), operations.c.lease_until > now)
        .order_by(operations.c.lease_until)
        .limit(_MOST_LEASES)
    )
    return Standing(
        identity=Identity(
            cluster_id=row.cluster_id, seeded=row.seeded, created_at=row.created_at, sealing=row.sealing
        ),
        closed=Closed(row.closed),
        moved_to=row.moved_to,
        counts={
            kind: connection.execute(select(func.count()).select_from(_TABLES[kind])).scalar_one()
            for kind in COUNTED
        },
        now=now,
        leases=tuple(
            HeldLease(operation_id=one.id, owner=one.owner, seconds=one.lease_until - now)
            for one in connection.execute(held)
        ),
        mover=row.mover,
    )


def _page(connection: Connection, kind: Kind, after: Row | None, limit: int) -> list[Row]:
    table = _TABLES[kind]
    wanted = select(*(column for column in table.c if column not in _OWN)).limit(limit)
    if kind is Kind.RESERVATION:
        wanted = wanted.where(reservations.c.instances > 0)
    if kind is Kind.OPERATION:
        wanted = wanted.order_by(operations.c.number)
        if after is not None:
            last = select(operations.c.number).where(operations.c.id == after["id"]).scalar_subquery()
            wanted = wanted.where(operations.c.number > last)
    else:
        wanted = wanted.order_by(*(table.c[name] for name in KEYS[kind]))
        if after is not None:
            wanted = wanted.where(_comes_after(table, KEYS[kind], after))
    return [dict(row) for row in connection.execute(wanted).mappings()]


def _comes_after(table: Table, names: Sequence[str], row: Row) -> ColumnElement[bool]:
    # Written out, since MySQL finds no index for a comparison of whole rows.
    first, *rest = names
    later = table.c[first] > row[first]
    return or_(later, and_(table.c[first] == row[first], _comes_after(table, rest, row))) if rest else later


def _identify(connection: Connection, identity: Identity, mover: str) -> None:
    _hold(connection, mover)
    for table in (instances, operations):
        if connection.execute(select(table).limit(1)).first() is not None:
            raise Conflict(f"The database holds {table.name}, so that it cannot take another identity.")
    connection.execute(
        update(deployment).values(
            cluster_id=identity.cluster_id,
            seeded=identity.seeded,
            created_at=identity.created_at,
            sealing=identity.sealing,
        )
    )


def _close(connection: Connection, closed: Closed, moved_to: str, *, mover: str, former: str) -> None:
    row = connection.execute(_FIND_MOVER).one()
    if row.mover != former and (row.mover, row.closed) != (mover, closed.value):
        raise Conflict(HELD)
    connection.execute(update(deployment).values(closed=closed.value, moved_to=moved_to, mover=mover))
    unleased = update(operations)
    if closed is Closed.NO:
        connection.execute(unleased.where(operations.c.lease_until >= NEVER).values(lease_until=0.0))
        return
    # Whoever carries one of them must not be able to write any more.
    values = {"owner": None, "lease_until": NEVER, "epoch": operations.c.epoch + 1}
    connection.execute(unleased.where(operations.c.lease_until < NEVER).values(values))


def _erase(connection: Connection, mover: str) -> None:
    _require_filling(connection, mover)
    for table in reversed(metadata.sorted_tables):
        if table is not deployment:
            connection.execute(delete(table))
    connection.execute(update(deployment).values(credentials=0))


def _add(connection: Connection, kind: Kind, rows: Sequence[Row], mover: str) -> None:
    _require_filling(connection, mover)
    table = _TABLES[kind]
    is_same = (table.c[name] == rows[0][name] for name in KEYS[kind])
    if connection.execute(select(table).where(*is_same).limit(1)).first() is not None:
        # They were written all together, and nobody has heard of that.
        return
    values: list[dict[str, Any]] = [dict(row) for row in rows]
    connection.execute(insert(table), values)
    if kind is Kind.CREDENTIAL:
        # They are not those of a configuration any more.
        connection.execute(update(deployment).values(credentials=deployment.c.credentials + 1))
    if kind is Kind.AUDIT:
        connection.execute(delete(audit_head))
        end = AuditHead(number=rows[-1]["number"], hash=rows[-1]["hash"])
        connection.execute(insert(audit_head).values(head_row(end)))
    if kind is Kind.INSTANCE:
        places = [
            {"place": place, "instance_id": row["id"]} for row in rows for place in lonely_places_of(row)
        ]
        if places:
            connection.execute(insert(lonely_places), places)


def _change_sealing(connection: Connection, before: str | None, after: str | None, entry: AuditEntry) -> bool:
    stored = connection.execute(select(deployment.c.sealing).with_for_update()).scalar()
    if stored == before:
        connection.execute(update(deployment).values(sealing=after))
        note(connection, entry, time.time())
    return stored in {before, after}


def _reseal(connection: Connection, table: Table, names: Sequence[str], changes: Sequence[Resealed]) -> int:
    missed = 0
    for change in changes:
        the_row = [table.c[name] == change.row[name] for name in names]
        stored = connection.execute(select(table.c.secret).where(*the_row).with_for_update()).scalar()
        # Compared here, since to MySQL two texts may be equal that differ.
        if stored == change.row["secret"]:
            connection.execute(update(table).where(*the_row).values(secret=change.secret))
        else:
            missed += 1
    return missed


def _hold(connection: Connection, mover: str) -> str:
    """Return why the database is closed, and keep others from taking it until the transaction ends."""
    row = connection.execute(_FIND_MOVER).one()
    if row.mover != mover:
        raise Conflict(HELD)
    return str(row.closed)


def _require_filling(connection: Connection, mover: str) -> None:
    if _hold(connection, mover) != Closed.FILLING.value:
        raise Conflict("The database is not one that is being filled.")
