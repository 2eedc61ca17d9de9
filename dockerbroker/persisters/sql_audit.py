"""The part of the persister on a SQL database that keeps the audit log."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from dockerbroker.model.audit import AuditEntry, AuditHead, AuditRecord, end_of, forgettable
from dockerbroker.persisters.audit_rows import audit_row
from dockerbroker.persisters.databases import Query
from dockerbroker.persisters.statements import fetch, run
from dockerbroker.persisters.tables import audit, audit_head

T = TypeVar("T")

#: The ids and contents of records that are to be written.
Waiting = list[tuple[str, str]]

#: Under this name a connection has those that wait for the end of its transaction.
_WAITING: Final = "audit"

_HOLD_HEAD: Final = select(audit_head.c.number, audit_head.c.hash).with_for_update()
_FIND_HEAD: Final = select(audit_head.c.number, audit_head.c.hash)
_INSERT_HEAD: Final = insert(audit_head).inline()
_MOVE_HEAD: Final = update(audit_head)
_INSERT: Final = insert(audit).inline()
_IS_THERE: Final = select(audit.c.number).where(audit.c.id == bindparam("wanted"))
_FIND: Final = (
    select(audit.c.number, audit.c.document, audit.c.previous, audit.c.hash)
    .where(audit.c.number > bindparam("after"))
    .order_by(audit.c.number)
    .limit(bindparam("most"))
)
_FORGET: Final = delete(audit).where(audit.c.number <= bindparam("last"))


class SqlAudit:
    """Keeps the audit log; `wall` returns seconds since 1970."""

    __slots__ = ()

    wall: Callable[[], float]

    async def write_audit(self, entry: AuditEntry) -> None:
        """Write a record by itself."""
        await self._write(lambda connection: note(connection, entry, self.wall()))

    async def audit(self, after: int, limit: int) -> list[AuditRecord]:
        """Return records, in the order of their numbers."""
        return await self._read(lambda connection: find(connection, after, limit))

    async def audit_head(self) -> AuditHead:
        """Return the end of the log."""
        return await self._read(lambda connection: _head(fetch(connection, _FIND_HEAD)))

    async def forget_audit(self, before: float, limit: int) -> int:
        """Delete the oldest records."""
        return await self._write(lambda connection: _forget(connection, before, limit))

    async def _change(self, entry: AuditEntry, query: Query[T], *, done: Query[T | None] | None = None) -> T:
        """Run the query, and write the record of what it has changed with it."""

        def change(connection: Connection) -> T:
            result = query(connection)
            note(connection, entry, self.wall())
            return result

        return await self._write(change, done=done)

    async def _read(self, query: Query[T]) -> T:
        raise NotImplementedError

    async def _write(
        self, query: Query[T], *, done: Query[T | None] | None = None, is_told: bool = True
    ) -> T:
        raise NotImplementedError


def append(connection: Connection, entries: Sequence[AuditEntry], at: float) -> None:
    """Write records of what the transaction changes, as the last thing that it does.

    All who write one wait here for each other, and none of them for anything else any more.
    """
    contents = [(entry.id, entry.content(at)) for entry in entries]
    waiting = connection.info.get(_WAITING)
    if waiting is None:
        _append(connection, contents)
    else:
        waiting += contents


@contextmanager
def together(connection: Connection) -> Iterator[Waiting]:
    """Keep the records of a transaction until its end, so that those of many changes are written at once.

    Those that are taken out of what it yields are not written.
    """
    waiting: Waiting = []
    connection.info[_WAITING] = waiting
    try:
        yield waiting
        _append(connection, waiting)
    finally:
        del connection.info[_WAITING]


def _append(connection: Connection, contents: Waiting) -> None:
    if not contents:
        return
    held = fetch(connection, _HOLD_HEAD)
    head, rows = _head(held), list[dict[str, Any]]()
    for identifier, content in contents:
        record = head.append(content)
        rows.append(audit_row(identifier, record))
        head = end_of(record)
    run(connection, _MOVE_HEAD if held else _INSERT_HEAD, head_row(head))
    run(connection, _INSERT, rows)


def note(connection: Connection, entry: AuditEntry, at: float) -> None:
    """Write a record as `append` does, unless it is there: the transaction may be done a second time."""
    if not fetch(connection, _IS_THERE, {"wanted": entry.id}):
        append(connection, [entry], at)


def head_row(head: AuditHead) -> dict[str, Any]:
    """Return the columns of the end of the log."""
    return {"id": 1, "number": head.number, "hash": head.hash}


def find(connection: Connection, after: int, limit: int) -> list[AuditRecord]:
    """Return at most `limit` records after that number."""
    rows = fetch(connection, _FIND, {"after": after, "most": limit})
    return [
        AuditRecord(number=number, content=content, previous=previous, hash=own)
        for number, content, previous, own in rows
    ]


def _head(rows: Sequence[Any]) -> AuditHead:
    return AuditHead(number=rows[0][0], hash=rows[0][1]) if rows else AuditHead()


def _forget(connection: Connection, before: float, limit: int) -> int:
    last = forgettable(find(connection, 0, limit + 1), before)
    return 0 if last is None else int(run(connection, _FORGET, {"last": last}).rowcount)
