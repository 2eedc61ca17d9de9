"""The whole of a memory persister's tables, verified by the same contract suite as the real archives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from attrs import define
from zope.interface import implementer

from dockerbroker.errors import Conflict
from dockerbroker.model.audit import AuditEntry
from dockerbroker.model.hosts import HostKey
from dockerbroker.persisters import holding_records
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
from tests.memory_persister import MemoryPersister
from tests.memory_tables import Tables

_HOST: Final = ("service_host", "docker_host", "docker_port")
#: What a database knows for itself alone.
_OWN: Final = ("pinged_at", "vitals", "sessions", "state_at", "complaint")


@implementer(IArchive)
@define(eq=False)
class MemoryArchive:
    """All rows of the tables; `seconds` is the clock of the leases."""

    seconds: Callable[[], float]
    tables: Tables

    @classmethod
    def of(cls, persister: MemoryPersister) -> MemoryArchive:
        """Return the whole of the persister's tables."""
        return cls(persister.seconds, persister.tables)

    async def standing(self) -> Standing:
        """Return what the tables hold, and whether brokers may use them."""
        tables, now = self.tables, self.seconds()
        leases = [
            HeldLease(operation_id=row["id"], owner=row["owner"], seconds=row["lease_until"] - now)
            for row in tables.operations.values()
            if row["owner"] is not None and row["lease_until"] > now
        ]
        return Standing(
            identity=Identity(
                cluster_id=tables.cluster_id,
                seeded=tables.seeded,
                created_at=tables.created_at,
                sealing=tables.sealing,
            ),
            closed=Closed(tables.closed),
            moved_to=tables.moved_to,
            counts={kind: len(self._rows(kind)) for kind in COUNTED},
            now=now,
            leases=tuple(sorted(leases, key=lambda lease: lease.seconds)),
            mover=tables.mover,
        )

    async def page(self, kind: Kind, after: Row | None, limit: int) -> list[Row]:
        """Return rows in the order of their keys, or of their beginning."""
        rows = self._rows(kind)
        if kind is not Kind.OPERATION:
            rows.sort(key=lambda row: _key(kind, row))
        keys = [_key(kind, row) for row in rows]
        start = 0
        if after is not None and kind is Kind.OPERATION:
            start = keys.index(_key(kind, after)) + 1
        elif after is not None:
            start = sum(key <= _key(kind, after) for key in keys)
        return list(rows[start : start + limit])

    async def identify(self, identity: Identity, *, mover: str = "") -> None:
        """Take another identity."""
        self._require_mover(mover)
        if self.tables.instances or self.tables.operations:
            raise Conflict("The tables hold instances or operations.")
        self.tables.cluster_id = identity.cluster_id
        self.tables.seeded = identity.seeded
        self.tables.created_at = identity.created_at
        self.tables.sealing = identity.sealing

    async def close(self, closed: Closed, moved_to: str, *, mover: str = "", former: str = "") -> None:
        """Let no broker use the tables, or let them use them again."""
        tables = self.tables
        if tables.mover != former and (tables.mover, tables.closed) != (mover, closed.value):
            raise Conflict(HELD)
        tables.closed, tables.moved_to, tables.mover = closed.value, moved_to, mover
        for row in self.tables.operations.values():
            until = row["lease_until"]
            if until is None:
                continue
            if closed is Closed.NO and until >= NEVER:
                row["lease_until"] = 0.0
            elif closed is not Closed.NO and until < NEVER:
                row.update(owner=None, lease_until=NEVER, epoch=row["epoch"] + 1)

    async def erase(self, *, mover: str = "") -> None:
        """Delete all rows."""
        self._require_filling(mover)
        one = self.tables
        for rows in (one.images, one.hosts, one.instances, one.bindings, one.operations, one.conditions):
            rows.clear()
        one.certificates.clear()
        one.credentials.clear()
        one.credential_changes = 0
        one.leases.clear()
        one.tombstones.clear()
        one.audit.clear()
        one.written.clear()

    async def write(self, kind: Kind, rows: Sequence[Row], *, mover: str = "") -> None:
        """Add rows."""
        self._require_filling(mover)
        for row in rows:
            self._add(kind, dict(row))

    async def change_sealing(self, before: str | None, after: str | None, entry: AuditEntry) -> bool:
        """Let the tables say something else of their keys."""
        stored = self.tables.sealing
        if stored == before:
            self.tables.sealing = after
            self.tables.append([entry], self.seconds())
        return stored in {before, after}

    async def reseal(self, kind: Kind, changes: Sequence[Resealed]) -> int:
        """Replace secrets that are as they were read."""
        rows: dict[Kind, dict[Any, dict[str, Any]]] = {
            Kind.IMAGE: self.tables.images,
            Kind.CERTIFICATE: self.tables.certificates,
            Kind.CREDENTIAL: self.tables.credentials,
            Kind.INSTANCE: self.tables.instances,
            Kind.BINDING: self.tables.bindings,
        }
        missed = 0
        for change in changes:
            names = tuple(change.row[name] for name in KEYS[kind])
            stored = rows[kind].get(names if len(names) > 1 else names[0])
            if stored is None or stored["secret"] != change.row["secret"]:
                missed += 1
            else:
                stored["secret"] = change.secret
        return missed

    def _require_mover(self, mover: str) -> None:
        if self.tables.mover != mover:
            raise Conflict(HELD)

    def _require_filling(self, mover: str) -> None:
        self._require_mover(mover)
        if self.tables.closed != Closed.FILLING.value:
            raise Conflict("The tables are not being filled.")

    def _rows(self, kind: Kind) -> list[dict[str, Any]]:
        tables = self.tables
        rows: dict[Kind, Iterable[Row]] = {
            Kind.IMAGE: tables.images.values(),
            Kind.HOST: (
                {name: value for name, value in row.items() if name not in _OWN}
                for row in tables.hosts.values()
            ),
            Kind.CERTIFICATE: tables.certificates.values(),
            Kind.CREDENTIAL: tables.credentials.values(),
            Kind.INSTANCE: tables.instances.values(),
            Kind.BINDING: tables.bindings.values(),
            Kind.PORT_LEASE: (
                {**_columns(host), "port": port, "instance_id": holder}
                for (host, port), holder in tables.leases.items()
            ),
            Kind.RESERVATION: self._reservations() if kind is Kind.RESERVATION else (),
            Kind.CONDITION: (
                {"instance_id": one, "condition": condition} for one, condition in tables.conditions.items()
            ),
            Kind.OPERATION: (
                {**row, "kept_for": row["instance_id"] if tables.is_kept(row) else None}
                for row in tables.operations.values()
            ),
            Kind.AUDIT: tables.audit,
            Kind.TOMBSTONE: (
                {"instance_id": one, "id": tombstone, "at": at}
                for one, (tombstone, at) in tables.tombstones.items()
            ),
        }
        return [dict(row) for row in rows[kind]]

    def _reservations(self) -> list[Row]:
        """Return what was written while they are filled; brokers in memory go by the instances."""
        if self.tables.closed == Closed.FILLING.value:
            return list(self.tables.written.values())
        found = self.tables.reserved()
        return [
            {**_columns(host), **holding_records.reserved_columns(reserved)}
            for host, reserved in found.items()
        ]

    def _add(self, kind: Kind, row: dict[str, Any]) -> None:  # noqa: C901, PLR0912 (a table)
        tables = self.tables
        match kind:
            case Kind.IMAGE:
                tables.images[row["name"]] = row
            case Kind.HOST:
                tables.hosts[_host(row)] = row | dict.fromkeys(_OWN) | {"pinged_at": -math.inf}
            case Kind.CERTIFICATE:
                tables.certificates[row["host"]] = row
            case Kind.CREDENTIAL:
                tables.credentials[row["id"]] = row
                tables.credential_changes += 1
            case Kind.INSTANCE:
                tables.instances[row["id"]] = row
            case Kind.BINDING:
                tables.bindings[row["instance_id"], row["id"]] = row
            case Kind.PORT_LEASE:
                tables.leases[_host(row), row["port"]] = row["instance_id"]
            case Kind.RESERVATION:
                tables.written[_host(row)] = row
            case Kind.CONDITION:
                tables.conditions[row["instance_id"]] = row["condition"]
            case Kind.TOMBSTONE:
                tables.tombstones[row["instance_id"]] = (row["id"], row["at"])
            case Kind.AUDIT:
                if all(one["number"] != row["number"] for one in tables.audit):
                    tables.audit.append(row)
            case Kind.OPERATION:
                # Which operation is kept follows from the others.
                tables.operations[row["id"]] = {name: row[name] for name in row if name != "kept_for"}


def _key(kind: Kind, row: Row) -> tuple[Any, ...]:
    values = (row[name] for name in KEYS[kind])
    return tuple(value.encode() if isinstance(value, str) else value for value in values)


def _host(row: Row) -> HostKey:
    return HostKey(**{name: row[name] for name in _HOST})


def _columns(host: HostKey) -> dict[str, Any]:
    return {name: getattr(host, name) for name in _HOST}
