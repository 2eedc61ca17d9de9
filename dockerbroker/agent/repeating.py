"""Work that is done again and again, and never ends by itself."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure


@define(eq=False, kw_only=True)
class Repeating:
    """Takes turns one after the other; each lasts until the next one is due, so they never overlap.

    `turn` catches what it can expect, since an error ends the turns; `name` is what the log calls them then.
    """

    _log: ClassVar[Logger] = Logger()

    name: str
    turn: Callable[[], Awaitable[None]]
    clock: IReactorTime
    _loop: LoopingCall | None = field(default=None, init=False)
    _turn_under_way: Deferred[None] | None = field(default=None, init=False)
    _ended: Deferred[Any] | None = field(default=None, init=False)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is to be done; an error in a turn is then the end of what it waited for."""
        return self._loop is None

    def start(self) -> None:
        """Take the first turn now, and go on until stopped."""
        self._loop = LoopingCall(self._take_turn)
        self._loop.clock = self.clock
        self._ended = self._loop.start(0).addErrback(self._failed)

    async def stop(self) -> None:
        """Cancel the turn that is under way, and take no more."""
        loop, ended, turn = self._loop, self._ended, self._turn_under_way
        self._loop = self._ended = self._turn_under_way = None
        if loop is None or ended is None:
            return
        if loop.running:
            loop.stop()
        if turn is not None:
            turn.cancel()
        await ended

    def _take_turn(self) -> Deferred[None]:
        self._turn_under_way = Deferred.fromCoroutine(self._one_turn())
        return self._turn_under_way

    async def _one_turn(self) -> None:
        await self.turn()

    def _failed(self, failure: Failure) -> None:
        if self._loop is not None:
            self._log.failure("{name} have ended", failure, name=self.name)
