"""The part of the persister on Redis that keeps the audit log."""

from typing import Any, Final

from dockerbroker.model.audit import GENESIS, AuditEntry, AuditHead, AuditRecord, forgettable
from dockerbroker.persisters.audit_rows import read_audit
from dockerbroker.persisters.redis.database import RedisDatabase

#: How many hexadecimal digits a hash has.
_DIGITS: Final = len(GENESIS)


class RedisAudit(RedisDatabase):
    """Keeps the audit log."""

    __slots__ = ()

    async def write_audit(self, entry: AuditEntry) -> None:
        """Write a record by itself."""
        await self._call("write_audit", audit=self._told(entry))

    async def audit(self, after: int, limit: int) -> list[AuditRecord]:
        """Return records, in the order of their numbers."""
        found, _, _ = await self._ask("audit_records", after=after, limit=limit)
        return [read_audit(read_row(number, text)) for number, text in found]

    async def audit_head(self) -> AuditHead:
        """Return the end of the log."""
        _, number, own = await self._ask("audit_records", after=0, limit=0)
        return AuditHead(number=int(number), hash=own or GENESIS)

    async def forget_audit(self, before: float, limit: int) -> int:
        """Delete the oldest records."""
        last = forgettable(await self.audit(0, limit + 1), before)
        if last is None:
            return 0
        _, deleted = await self._call("forget_audit", last=last)
        return int(deleted)


def read_row(number: str, text: str) -> dict[str, Any]:
    """Return the columns of the record that is stored as such a text: its hashes, its id and its content."""
    identifier, _, content = text[2 * _DIGITS :].partition(" ")
    return {
        "number": int(number),
        "id": identifier,
        "document": content,
        "previous": text[:_DIGITS],
        "hash": text[_DIGITS : 2 * _DIGITS],
    }
