"""Reads the audit log: some of it for administrators, all of it for who exports or verifies it."""

from collections.abc import AsyncIterator
from typing import Final

from attrs import define, frozen

from dockerbroker.model.audit import AuditHead, AuditRecord, breaks, end_of
from dockerbroker.persisters.interfaces import IPersister

#: How many records are read at once, and how many are looked at for one request.
_PAGE: Final = 500
_MOST_LOOKED_AT: Final = 10_000


@frozen(kw_only=True)
class AuditFilter:
    """Which records are wanted: those of an action, of a subject, not before `since` (seconds since 1970)."""

    action: str | None = None
    subject: str | None = None
    since: float | None = None

    def wants(self, record: AuditRecord) -> bool:
        """Whether the record is one of those; a record is also of its operation and its binding."""
        members = record.members
        subjects = (members["subject"], members["operation_id"], members["binding_id"])
        return (
            (self.action is None or members["action"] == self.action)
            and (self.subject is None or self.subject in subjects)
            and (self.since is None or members["at"] >= self.since)
        )


@frozen(kw_only=True)
class AuditPart:
    """Some records, and after which number the next part begins; None when there is no more."""

    records: tuple[AuditRecord, ...]
    after: int | None


@define(eq=False)
class AuditLog:
    """Reads the log by its numbers, so that what is written meanwhile comes last.

    All of it is read in pages of so many records.
    """

    persister: IPersister
    page: int = _PAGE

    async def some(self, wanted: AuditFilter, *, after: int, limit: int) -> AuditPart:
        """Return at most `limit` of the wanted records after that number.

        There may be fewer although there are more: of a long log only so much is looked at for one part.
        """
        found: list[AuditRecord] = []
        start = after
        while after - start < _MOST_LOOKED_AT:
            page = await self.persister.audit(after, _PAGE)
            for record in page:
                after = record.number
                if wanted.wants(record):
                    found.append(record)
                if len(found) == limit:
                    return AuditPart(records=tuple(found), after=after)
            if len(page) < _PAGE:
                return AuditPart(records=tuple(found), after=None)
        return AuditPart(records=tuple(found), after=after)

    async def all(self, after: int = 0) -> AsyncIterator[AuditRecord]:
        """Yield all records after that number."""
        while page := await self.persister.audit(after, self.page):
            for record in page:
                yield record
            after = page[-1].number

    async def verify(self) -> "Verified":
        """Return what is wrong with the log from its oldest record to its end, which is read first.

        What is deleted meanwhile since it is old is not missed.
        """
        head = await self.persister.audit_head()
        before: AuditHead | None = None
        found: list[str] = []
        count = 0
        async for record in self.all():
            if before is not None and await self._are_forgotten(before, record):
                before = None
            found += breaks([record], before)
            before, count = end_of(record), count + 1
            if record.number > head.number:
                # The end of then is deleted by now, or there was none.
                head = await self.persister.audit_head()
            if record.number >= head.number:
                break
        if (before or AuditHead()) != head:
            found.append(f"The log should end with the record {head.number}, and its hash.")
        return Verified(count=count, breaks=tuple(found))

    async def _are_forgotten(self, before: AuditHead, record: AuditRecord) -> bool:
        """Whether all records between the two are absent because the log begins later by now."""
        if record.number <= before.number + 1:
            return False
        oldest = await self.persister.audit(0, 1)
        return bool(oldest) and oldest[0].number >= record.number


@frozen(kw_only=True)
class Verified:
    """How many records were read, and a sentence for each that is not what it was."""

    count: int
    breaks: tuple[str, ...]
