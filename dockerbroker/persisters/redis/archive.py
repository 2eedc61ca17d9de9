"""Whole Redis databases, read and written record by record."""

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from attrs import define, field
from zope.interface import implementer

from dockerbroker.errors import Conflict
from dockerbroker.model.audit import AuditEntry
from dockerbroker.model.hosts import HostKey
from dockerbroker.persisters import holding_records
from dockerbroker.persisters.archive import (
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
from dockerbroker.persisters.redis.audit import read_row
from dockerbroker.persisters.redis.database import Commands
from dockerbroker.persisters.redis.rows import held_columns, host_id, host_key, reserved, told, unpacked
from dockerbroker.persisters.redis.scripts import Scripts

#: How many leases are told, and how many records are deleted by one script: it holds up all others.
_MOST_LEASES: Final = 100
_ERASED: Final = 1000

_COLUMNS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.IMAGE: ("name", "document", "secret"),
    Kind.HOST: (
        "service_host",
        "docker_host",
        "docker_port",
        "document",
        "engine_id",
        "state",
        "is_cordoned",
        "is_draining",
    ),
    Kind.CERTIFICATE: ("host", "document", "secret"),
    Kind.CREDENTIAL: ("id", "role", "document", "secret"),
    Kind.INSTANCE: (
        "id",
        "image_name",
        "operation_id",
        "last_operation_id",
        "document",
        "secret",
        "reserved",
        "reserved_there",
        "neighbourhood",
        "lonely_place",
        "lonely_place_there",
    ),
    Kind.BINDING: ("instance_id", "id", "document", "secret"),
    Kind.CONDITION: ("instance_id", "condition"),
    Kind.OPERATION: (
        "id",
        "instance_id",
        "binding_id",
        "kept_for",
        "phase",
        "is_over",
        "epoch",
        "owner",
        "lease_until",
        "deadline",
        "is_cancelled",
        "finished_at",
        "document",
    ),
    Kind.TOMBSTONE: ("instance_id", "id", "at"),
}


@implementer(IArchive)
@define(eq=False)
class RedisArchive:
    """The whole of a Redis database.

    Its leased ports are found by the instances, once for all pages: nobody else works on the database.
    """

    commands: Commands
    _scripts: Scripts
    _leases: list[Row] = field(factory=list, init=False)

    async def standing(self) -> Standing:
        """Return what the database holds, and whether brokers may use it."""
        _, stored, counts, now, leases = await self._call("standing", never=NEVER, limit=_MOST_LEASES)
        return Standing(
            identity=Identity(
                cluster_id=stored["cluster_id"],
                seeded=stored.get("seeded") == "1",
                created_at=float(stored["created_at"]),
                sealing=stored.get("sealing"),
            ),
            closed=Closed(stored.get("closed", "")),
            moved_to=stored.get("moved_to", ""),
            counts={Kind(name): int(count) for name, count in counts.items()},
            now=float(now),
            leases=tuple(
                HeldLease(
                    operation_id=one["id"], owner=one["owner"], seconds=float(one["lease_until"]) - float(now)
                )
                for one in leases
            ),
            mover=stored.get("mover", ""),
        )

    async def page(self, kind: Kind, after: Row | None, limit: int) -> list[Row]:
        """Return records in the order of their keys, or of their beginning."""
        if kind is Kind.HOST:
            _, found = await self._call("hosts")
            return _page(kind, _sorted(kind, [_row(kind, one) for one in found]), after, limit)
        if kind is Kind.PORT_LEASE:
            if after is None:
                self._leases = await self._leased_ports()
            return _page(kind, self._leases, after, limit)
        if kind is Kind.RESERVATION:
            _, found = await self._call("reserved")
            sums = [
                {
                    **holding_records.host_columns(host_key(host)),
                    **holding_records.reserved_columns(reserved(text)),
                }
                for host, text in found
            ]
            return _page(kind, _sorted(kind, sums), after, limit)
        if kind is Kind.TOMBSTONE:
            # There are only those of an hour.
            _, found = await self._call("tombstones")
            return _page(kind, _sorted(kind, [_row(kind, one) for one in found]), after, limit)
        if kind is Kind.AUDIT:
            start = 0 if after is None else after["number"]
            _, found, _, _ = await self._call("audit_records", after=start, limit=limit)
            return [read_row(number, text) for number, text in found]
        key = None if after is None else {name: after[name] for name in KEYS[kind]}
        _, found = await self._call("page", kind=kind.name.lower(), after=key, limit=limit)
        return [_row(kind, one) for one in found]

    async def identify(self, identity: Identity, *, mover: str = "") -> None:
        """Take another identity."""
        members = {
            "cluster_id": identity.cluster_id,
            "seeded": identity.seeded,
            "created_at": identity.created_at,
            "sealing": identity.sealing,
        }
        word, *held = await self._call("identify", identity=members, mover=mover)
        if word == "held":
            raise Conflict(f"The database holds {held[0]}, so that it cannot take another identity.")

    async def close(self, closed: Closed, moved_to: str, *, mover: str = "", former: str = "") -> None:
        """Let no broker use the database, or let them use it again."""
        await self._call(
            "close", closed=closed.value, moved_to=moved_to, never=NEVER, mover=mover, former=former
        )

    async def erase(self, *, mover: str = "") -> None:
        """Delete all records, some at a time."""
        while True:
            word, *more = await self._call("erase", limit=_ERASED, mover=mover)
            _require_filling(word)
            if more != ["1"]:
                return

    async def write(self, kind: Kind, rows: Sequence[Row], *, mover: str = "") -> None:
        """Add records."""
        change = _CHANGES.get(kind, dict)
        asked = [change(row) for row in rows]
        word, *_ = await self._call("store", kind=kind.name.lower(), rows=asked, mover=mover)
        _require_filling(word)

    async def change_sealing(self, before: str | None, after: str | None, entry: AuditEntry) -> bool:
        """Let the database say something else of its keys."""
        asked = {"before": before, "after": after, "audit": told([entry], time.time())}
        return await self._call("change_sealing", **asked) == ["done"]

    async def reseal(self, kind: Kind, changes: Sequence[Resealed]) -> int:
        """Replace secrets that are as they were read."""
        asked = [
            {
                "key": {name: change.row[name] for name in KEYS[kind]},
                "before": change.row["secret"],
                "after": change.secret,
            }
            for change in changes
        ]
        _, missed = await self._call("reseal", kind=kind.name.lower(), changes=asked)
        return int(missed)

    async def _leased_ports(self) -> list[Row]:
        found: list[Row] = []
        _, hosts = await self._call("lessors")
        for host in hosts:
            _, ports = await self._call("leased", id=host)
            columns = holding_records.host_columns(host_key(host))
            found += [{**columns, "port": int(port), "instance_id": holder} for port, holder in ports.items()]
        return _sorted(Kind.PORT_LEASE, found)

    async def _call(self, name: str, /, **request: Any) -> list[Any]:
        answer = await self.commands.call(self._scripts[name], request)
        if answer == ["held"]:
            raise Conflict(HELD)
        return answer


def _require_filling(word: str) -> None:
    if word == "refused":
        raise Conflict("The database is not one that is being filled.")


def _row(kind: Kind, stored: Mapping[str, str]) -> Row:
    row = unpacked(stored)
    return {name: row.get(name) for name in _COLUMNS[kind]}


def _sorted(kind: Kind, rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: _sortable(kind, row))


def _page(kind: Kind, ordered: Sequence[Row], after: Row | None, limit: int) -> list[Row]:
    start = 0
    if after is not None:
        start = bisect_right(ordered, _sortable(kind, after), key=lambda row: _sortable(kind, row))
    return list(ordered[start : start + limit])


def _sortable(kind: Kind, row: Row) -> tuple[Any, ...]:
    """Return what sorts texts as their bytes."""
    values = (row[name] for name in KEYS[kind])
    return tuple(value.encode() if isinstance(value, str) else value for value in values)


def _host_row(row: Row) -> dict[str, Any]:
    return {"id": host_id(_host_of(row)), "row": dict(row)}


def _instance_row(row: Row) -> dict[str, Any]:
    """Return the record of an instance, with what stands in it for the leases to be found."""
    return {**row, **held_columns(row)}


def _lease_row(row: Row) -> dict[str, Any]:
    return {"host": host_id(_host_of(row)), "port": row["port"], "instance_id": row["instance_id"]}


def _host_of(row: Row) -> HostKey:
    return HostKey(**{name: row[name] for name in KEYS[Kind.HOST]})


#: What is stored of records that stand otherwise in Redis.
_CHANGES: Final[Mapping[Kind, Callable[[Row], dict[str, Any]]]] = {
    Kind.HOST: _host_row,
    Kind.INSTANCE: _instance_row,
    Kind.PORT_LEASE: _lease_row,
}
