"""Moves between whole databases, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from attrs import define, field
from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.audit_log import AuditLog
from dockerbroker.command.deployment import Side
from dockerbroker.command.moving import Move
from dockerbroker.persisters.archive import IArchive, Kind, Row
from dockerbroker.persisters.carrying import Shift, carried
from tests.persisters.archives import Make, Opened, everything, memory
from tests.persisters.lives import MEGABYTE, Life

T = TypeVar("T")

#: Times of the two databases' clocks, of which neither knows the other.
SOURCE_TIME, TARGET_TIME = 5000.0, 70.0
#: What the record of a move tells first.
_RECORD = ["migrate state", "here", "operator", "migrate-state"]


class MoveCase(SynchronousTestCase):
    """Two databases, the first one in the midst of life."""

    makers: tuple[Make, Make] = (memory, memory)
    #: What is in the largest records.
    text = MEGABYTE

    def setUp(self) -> None:
        """Make the databases."""
        self.prepare()
        self.done(Life(self.source.persister, self.source.clock, self.text).lead())
        # All leases lapse, since no broker runs any more.
        self.source.clock.advance(100)

    def prepare(self) -> None:
        """Make two empty databases."""
        one, other = self.makers
        self.source, self.target = one(self, "source"), other(self, "target")
        self.source.clock.advance(SOURCE_TIME)
        self.target.clock.advance(TARGET_TIME)
        self.output = self.errors = ""

    def done(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what the call returns."""
        outcome = Deferred.fromCoroutine(call)
        return self.successResultOf(outcome)

    def move(self, *, forced: bool = False, **archives: IArchive) -> int:
        """Move the records, with other archives if they are given; returns the status, or raises."""
        move = Move(
            source=Side(name="here", archive=archives.get("source", self.source.archive)),
            target=Side(name="there", archive=archives.get("target", self.target.archive)),
            forced=forced,
        )
        outcome: list[Any] = []
        with CliRunner().isolation() as (stdout, stderr, *_):
            Deferred.fromCoroutine(move.run()).addBoth(outcome.append)
            self.output, self.errors = stdout.getvalue().decode(), stderr.getvalue().decode()
        (result,) = outcome
        if hasattr(result, "raiseException"):
            result.raiseException()
        return int(result)

    def told(self, kind: type[Exception], **arguments: Any) -> str:
        """Check that moving raises that error, and return what it says."""
        error = self.assertRaises(kind, self.move, **arguments)
        return str(error)

    def rows(self, opened: Opened) -> dict[Kind, list[Row]]:
        """Return all records."""
        return self.done(everything(opened.archive))

    def assert_moved(self) -> None:
        """The target has what the source has, as it is to be there, and brokers may use the target alone."""
        source, target = (self.done(one.archive.standing()) for one in (self.source, self.target))
        self.assertEqual((source.closed.value, target.closed.value), ("moved", ""))
        self.assertEqual(source.moved_to, "there")
        self.assertEqual(source.identity, target.identity)
        shift = Shift(source=source.now, target=target.now)
        there = self.rows(self.target)
        *there[Kind.AUDIT], last = there[Kind.AUDIT]
        log = self.done(AuditLog(self.target.persister).verify())
        self.assertEqual((log.breaks, log.count), ((), len(there[Kind.AUDIT]) + 1))
        told = json.loads(last["document"])
        self.assertEqual([told[one] for one in ("action", "subject", "role", "name")], _RECORD)
        for kind, rows in self.rows(self.source).items():
            self.assertEqual(there[kind], [carried(kind, row, shift) for row in rows], kind)


@define(eq=False)
class Troubled:
    """An archive to whose calls something happens: `trouble` is told the number of each, and its name."""

    archive: IArchive
    trouble: Callable[[int, str], None]
    after: bool = False
    calls: list[str] = field(factory=list, init=False)

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.calls.append(name)
        if not self.after:
            self.trouble(len(self.calls), name)
        outcome = await getattr(self.archive, name)(*arguments, **options)
        if self.after:
            self.trouble(len(self.calls), name)
        return outcome

    async def standing(self) -> Any:
        """Return the standing."""
        return await self._call("standing")

    async def page(self, kind: Kind, after: Row | None, limit: int) -> Any:
        """Return a page."""
        return await self._call("page", kind, after, limit)

    async def identify(self, identity: Any, **options: str) -> None:
        """Take an identity."""
        await self._call("identify", identity, **options)

    async def close(self, closed: Any, moved_to: str, **options: str) -> None:
        """Close it."""
        await self._call("close", closed, moved_to, **options)

    async def erase(self, **options: str) -> None:
        """Erase it."""
        await self._call("erase", **options)

    async def write(self, kind: Kind, rows: Sequence[Row], **options: str) -> None:
        """Write records."""
        await self._call("write", kind, rows, **options)
