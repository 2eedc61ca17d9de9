"""Moves all records of a deployment to another database, and compares every one of them there."""

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import islice
from typing import Final

import click
from attrs import define, field

from dockerbroker.command.deployment import Side
from dockerbroker.command.showing import show_table, tell
from dockerbroker.errors import BrokerError, Conflict
from dockerbroker.model import auditing
from dockerbroker.model.audit import AuditHead, command
from dockerbroker.persisters.archive import Closed, IArchive, Kind, Row, Standing, released
from dockerbroker.persisters.carrying import Shift, appended, carried, differences

#: How many records are read at first, at most, and how many bytes they should have.
_FIRST: Final = 16
_MOST: Final = 200
_BYTES: Final = 1 << 20
#: How many differences of one kind are told.
_TOLD: Final = 10
_ORIGIN: Final = command("migrate-state")


@define(eq=False, kw_only=True)
class Move:
    """Moves the records of the source to the target.

    While that goes on no broker may use either of the two, and at its end only the target. Whatever ends it
    before, it can be done again from the beginning. `forced` is the operator's word that nobody carries the
    source's operations any more, although their leases have not lapsed, and that no other run is at work:
    should there be one it changes nothing any more, since both databases know by `mover` whose they are.
    """

    source: Side
    target: Side
    forced: bool = False
    mover: str = field(factory=lambda: secrets.token_hex(16))
    wall: Callable[[], float] = time.time
    _counts: dict[Kind, int] = field(factory=dict, init=False)
    _end: AuditHead = field(factory=AuditHead, init=False)

    async def run(self) -> int:
        """Move everything; returns 1 when anything differs, and raises what stands in the way."""
        source, target = await self.source.archive.standing(), await self.target.archive.standing()
        require_movable(source, target, forced=self.forced)
        try:
            found = await self._move(source, target)
            if not found:
                await self._tell_log()
        except Exception:
            await self._give_up(source)
            raise
        if found:
            await self._give_up(source)
            for sentence in found:
                click.echo(sentence)
            raise Conflict(
                f"What was copied to {self.target.name} is not what {self.source.name} holds; "
                "if no broker runs on either of the two, run this again."
            )
        await self._hand_over()
        return 0

    async def _move(self, source: Standing, target: Standing) -> list[str]:
        closed = Closed.MOVED if source.closed is Closed.MOVED else Closed.MOVING
        await self.source.archive.close(closed, self.target.name, mover=self.mover, former=source.mover)
        await self._empty_target(source, target)
        # From here on the source's operations have the epochs that they keep.
        shift = Shift(source=source.now, target=target.now)
        for kind in Kind:
            await self._copy(kind, shift)
        tell("Everything is copied; comparing.")
        return [sentence for kind in Kind for sentence in await self._compare(kind, shift)]

    async def _empty_target(self, source: Standing, target: Standing) -> None:
        archive = self.target.archive
        await archive.close(Closed.FILLING, "", mover=self.mover, former=target.mover)
        # Of a move that was interrupted, and of agents that have reached a broker on the target before.
        await archive.erase(mover=self.mover)
        await archive.identify(source.identity, mover=self.mover)

    async def _copy(self, kind: Kind, shift: Shift) -> None:
        self._counts[kind] = 0
        async for page in pages(self.source.archive, kind):
            rows = [carried(kind, row, shift) for row in page]
            await self.target.archive.write(kind, rows, mover=self.mover)
            self._counts[kind] += len(page)
            if kind is Kind.AUDIT:
                self._end = AuditHead(number=page[-1]["number"], hash=page[-1]["hash"])

    async def _compare(self, kind: Kind, shift: Shift) -> list[str]:
        """Read both sides once more, and return how the target differs, as far as that is told."""
        found: list[str] = []
        last: Row | None = None
        async for page in pages(self.source.archive, kind):
            there = await self.target.archive.page(kind, last, len(page))
            found += differences(kind, [carried(kind, row, shift) for row in page], there)
            if found:
                break
            last = there[-1]
        else:
            found += differences(kind, [], await self.target.archive.page(kind, last, 1))
        return list(islice(found, _TOLD))

    async def _tell_log(self) -> None:
        """Write a record of the move behind those that came with it."""
        counts = {kind.value: count for kind, count in self._counts.items()}
        entry = auditing.records_moved(self.source.name, counts, _ORIGIN)
        row = appended(self._end, entry, self.wall())
        await self.target.archive.write(Kind.AUDIT, [row], mover=self.mover)

    async def _hand_over(self) -> None:
        # Should this end between the two, neither of them can be used, rather than both.
        try:
            await self.source.archive.close(
                Closed.MOVED, self.target.name, former=self.mover, mover=released(self.mover)
            )
            await self.target.archive.close(Closed.NO, "", former=self.mover, mover=released(self.mover))
        except Exception:
            await self._let_go(self.source, Closed.MOVING, self.target.name)
            await self._let_go(self.target, Closed.FILLING, "")
            raise
        show_table(("records", "copied"), [(kind.value, str(count)) for kind, count in self._counts.items()])
        tell(f"All is the same in {self.target.name}: name it in every broker's configuration now.")

    async def _give_up(self, source: Standing) -> None:
        """Let brokers use the source again, unless it had been moved to its end before."""
        await self._let_go(self.target, Closed.FILLING, "")
        if source.closed is Closed.MOVED:
            await self._let_go(self.source, Closed.MOVED, source.moved_to)
            return
        try:
            await self.source.archive.close(Closed.NO, "", former=self.mover, mover=released(self.mover))
        except Conflict:
            # It is another run's, or was not taken; whatever has ended this one is told.
            return
        except BrokerError as error:
            tell(f"{self.source.name} cannot be used until this is run again: {error.description}")
        else:
            tell(f"{self.source.name} can be used as before.")

    async def _let_go(self, side: Side, closed: Closed, moved_to: str) -> None:
        """Let another run take the side, which is closed, if it is this one's."""
        with suppress(BrokerError):
            await side.archive.close(closed, moved_to, former=self.mover, mover=released(self.mover))


def require_movable(source: Standing, target: Standing, *, forced: bool) -> None:
    """Raise `Conflict` when the source cannot be moved to the target."""
    if not forced:
        _require_free("source", source)
        _require_free("target", target)
    is_continued = target.closed is Closed.FILLING
    if source.closed is Closed.FILLING:
        raise Conflict("The source was not filled to the end; finish the move to it first.")
    if target.closed in {Closed.MOVING, Closed.MOVED}:
        raise Conflict("The target was itself moved to another database; name an empty one.")
    is_same = source.identity.cluster_id == target.identity.cluster_id
    if is_same and not is_continued:
        raise Conflict("The target is the same deployment's: it is the source itself, or holds it already.")
    if source.closed is Closed.MOVED and not (is_continued and is_same):
        raise Conflict(f"The source was moved to {source.moved_to or 'another database'} already.")
    if not target.is_untouched and not is_continued:
        held = ", ".join(f"{count} {kind.value}" for kind, count in target.counts.items() if count)
        raise Conflict(f"The target holds {held}; name an empty database.")
    if source.leases and not forced:
        longest = max(lease.seconds for lease in source.leases)
        first = source.leases[0]
        raise Conflict(
            f"{first.owner} is at work on the operation {first.operation_id}, or was a moment ago: "
            f"stop all brokers, and if none runs, wait {longest:.0f} s or give --force."
        )


def _require_free(name: str, standing: Standing) -> None:
    if standing.is_held:
        raise Conflict(
            f"Another dockerbroker migrate-state works with the {name}, or was killed while it did: "
            "if none runs any more, give --force."
        )


async def pages(archive: IArchive, kind: Kind) -> AsyncIterator[list[Row]]:
    """Yield all records of the kind, in pages that are small where records are large."""
    last, limit = None, _FIRST
    while page := await archive.page(kind, last, limit):
        yield page
        last = page[-1]
        length = sum(len(text) for row in page for text in row.values() if isinstance(text, str))
        limit = min(max(_BYTES * len(page) // max(length, 1), 1), _MOST)
