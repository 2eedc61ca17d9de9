"""A Redis database as the parts of the persister see it: scripts to call, and secrets to seal."""

import time
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from attrs import define, field
from twisted.logger import Logger

from dockerbroker.errors import Unavailable
from dockerbroker.model.audit import AuditEntry
from dockerbroker.persisters.archive import CLOSED, obstacle
from dockerbroker.persisters.interfaces import DatabaseState
from dockerbroker.persisters.redis.rows import told, unpacked
from dockerbroker.persisters.redis.scripts import Script, Scripts
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.vault import Vault


class Commands(Protocol):
    """The way to a Redis server."""

    async def call(self, script: Script, request: Any) -> list[Any]:
        """Return what the script answers, which has run once; raises `Unavailable`."""

    async def close(self) -> None:
        """Close all connections; no call may be under way."""


@define(eq=False)
class RedisDatabase:
    """Calls scripts; `wall` returns seconds since 1970."""

    _log: ClassVar[Logger] = Logger()

    commands: Commands
    scripts: Scripts = field(repr=False)
    vault: Vault = field(factory=Vault)
    sealed: SealedRecords = field(init=False, repr=False)
    wall: Callable[[], float] = time.time

    @sealed.default
    def _new_sealed(self) -> SealedRecords:
        return SealedRecords(self.vault)

    async def state(self) -> DatabaseState:
        """Return whose records the database holds."""
        _, born, closed, moved_to, sealing, changes = await self._answer("state", {})
        if not born:
            return DatabaseState(cluster_id=None)
        return DatabaseState(
            cluster_id=born,
            obstacle=obstacle(closed, moved_to),
            locked=self.vault.learn(sealing or None),
            credentials=int(changes),
        )

    async def _current(self) -> SealedRecords:
        """Return how records are sealed, by what the database said of keys at most a moment ago."""
        if self.vault.is_stale:
            await self.state()
        return self.sealed

    async def _record(self, kind: str, first: str, second: str | None = None) -> dict[str, Any] | None:
        """Return the columns of a record."""
        [found] = await self._ask("record", kind=kind, id=first, second=second)
        return unpacked(found) if found else None

    async def _ask(self, name: str, /, **request: Any) -> list[Any]:
        """Return what a script has found."""
        _, *found = await self._call(name, **request)
        return found

    async def _call(self, name: str, /, **request: Any) -> list[Any]:
        """Return what a script answers; raises `Unavailable`, also when the records have moved."""
        try:
            answer = await self._answer(name, request)
        except Unavailable as error:
            self._log.warn("{description} ({cause})", description=error.description, cause=error.__cause__)
            raise
        if answer == ["closed"]:
            raise Unavailable(CLOSED)
        return answer

    async def _answer(self, name: str, request: Any) -> list[Any]:
        return await self.commands.call(self.scripts[name], request)

    def _told(self, *entries: AuditEntry) -> list[dict[str, str]]:
        """Return what a script is given of the records of the audit log that it is to write."""
        return told(entries, self.wall())
