"""Empties Docker hosts that an administrator wants drained: their instances move, a few at a time.

The wish stands in the database, and so does what has become of each move: whichever broker looks goes on.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import ClassVar, Final

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dockerbroker.broker.comparing import pages
from dockerbroker.broker.moving import Moving
from dockerbroker.broker.turns import Turns
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Operation, OperationKind
from dockerbroker.model.moving import stays
from dockerbroker.model.standing import host_id
from dockerbroker.persisters.interfaces import IPersister

#: Seconds between two looks.
PERIOD: Final = 5.0
#: How many instances of a host, and of all hosts, move at once.
MOST_OF_HOST: Final = 2
MOST_AT_ONCE: Final = 6
#: How long to wait until all instances are gone through again, and what failed is tried again, in seconds.
AGAIN: Final = 30.0
#: Within how many seconds what could not be moved has been tried again, if brokers are there.
TRIED_WITHIN: Final = AGAIN + 3 * PERIOD
_MOST_OPERATIONS: Final = 10_000


@define(eq=False, kw_only=True)
class Drainer:
    """Looks periodically whether there is something to move, and begins to move it."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    moving: Moving
    clock: IReactorTime
    #: Whether the database is another deployment's.
    is_paused: bool = field(default=False, init=False)
    _turns: Turns = field(init=False)
    _waiting: dict[HostKey, list[str]] = field(factory=dict, init=False)
    _looked_at: dict[HostKey, float] = field(factory=dict, init=False)
    _is_stopped: bool = field(default=False, init=False)

    @_turns.default
    def _every_period(self) -> Turns:
        return Turns(self._pass, PERIOD, "no Docker host is drained", self.clock, self._log)

    def start(self) -> None:
        """Begin; the first look comes after a period."""
        self._turns.start()

    def stop(self) -> None:
        """Begin no more moves; those that were begun are carried on."""
        self._is_stopped = True
        self._turns.stop()

    async def _pass(self) -> None:
        if not self.is_paused:
            await self.look()

    async def look(self) -> None:
        """Begin as many moves as there may be; raises `Unavailable`."""
        hosts = [one for one in await self.persister.hosts() if one.is_draining and one.is_alive]
        self._forget({one.host.key for one in hosts})
        if not hosts:
            return
        moves = await self._moves()
        for report in hosts:
            await self._drain(report.host.key, moves)

    def _forget(self, draining: AbstractSet[HostKey]) -> None:
        for key in [key for key in self._looked_at if key not in draining]:
            del self._looked_at[key]
            self._waiting.pop(key, None)

    async def _moves(self) -> Counter[str]:
        """Return from which host how many moves are under way."""
        unfinished = await self.persister.operations(unfinished=True, limit=_MOST_OPERATIONS)
        return Counter(_former_hosts(unfinished))

    async def _drain(self, key: HostKey, moves: Counter[str]) -> None:
        name = host_id(key)
        if not self._waiting.get(key):
            await self._find(key)
        waiting = self._waiting[key]
        while waiting and moves[name] < MOST_OF_HOST and moves.total() < MOST_AT_ONCE:
            if self.is_paused or self._is_stopped:
                return
            if await self.moving.move(waiting.pop(0), key) is not None:
                moves[name] += 1

    async def _find(self, key: HostKey) -> None:
        """Remember which instances of the host may be moved: to go through all of them takes long."""
        self._waiting.setdefault(key, [])
        now = self.clock.seconds()
        if now - self._looked_at.get(key, -AGAIN) < AGAIN:
            return
        self._waiting[key] = [
            instance.id
            async for page in pages(self.persister, set())
            for instance in page
            if instance.host == key and stays(instance) is None
        ]
        self._looked_at[key] = now


def _former_hosts(operations: Iterable[Operation]) -> Iterable[str]:
    return (one.former_host or "" for one in operations if one.kind is OperationKind.MOVE)
