"""Opening what may not be there yet, such as a database server that starts later than the program."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ClassVar, Final

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.errors import BrokerError

#: The pauses between two tries, in seconds: the first, which doubles each time, and the longest.
SHORTEST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0
#: For how long the first try is waited for, in seconds: longer than one lasts on a busy machine.
FIRST_TRY: Final = 10.0


@define(eq=False, kw_only=True)
class Opening:
    """Opens something: tries until it is open, or is not wanted any more.

    The log tells what stands in the way, when it begins and when it changes, and when it is over. Whatever
    `attempt` opens while it is not `is_wanted` any more, it closes itself.
    """

    _log: ClassVar[Logger] = Logger()

    name: str
    clock: IReactorTime
    attempt: Callable[[], Coroutine[Any, Any, None]]
    is_wanted: bool = field(default=True, init=False)
    _trouble: str = field(default="", init=False)
    _pause: Deferred[None] | None = field(default=None, init=False)
    _first: Deferred[None] = field(factory=Deferred, init=False)
    _trying: Deferred[None] | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to try."""
        self._trying = Deferred.fromCoroutine(self._try_until_open())

    async def tried(self) -> None:
        """Return when the first try is over, whatever came of it, or has taken long."""
        try:
            await self._first.addTimeout(FIRST_TRY, self.clock)
        except DeadlinePassed:
            self._tell(f"Opening {self.name} takes long.")

    def settle(self) -> None:
        """Begin no other try."""
        self.is_wanted = False
        if self._pause is not None:
            self._pause.cancel()

    async def stop(self) -> None:
        """Settle; returns when the last try is over."""
        self.settle()
        if self._trying is not None:
            await self._trying

    async def _try_until_open(self) -> None:
        pause = SHORTEST_PAUSE
        while self.is_wanted and not await self._try():
            if self.is_wanted:
                await self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _try(self) -> bool:
        """Try, and return whether it is open."""
        try:
            await self.attempt()
        except BrokerError as error:
            self._tell(error.description)
        except Exception as error:  # noqa: BLE001 (a driver may fail anyhow at a server that is just starting)
            if self._tell(f"The broker failed unexpectedly: {type(error).__name__}."):
                self._log.failure("opening {name}", name=self.name)
        else:
            if self._trouble:
                self._log.info("Ready: {name} is open", name=self.name)
            return True
        finally:
            if not self._first.called:
                self._first.callback(None)
        return False

    def _tell(self, trouble: str) -> bool:
        """Tell the log what stands in the way; returns whether that is news."""
        if trouble == self._trouble:
            return False
        self._trouble = trouble
        self._log.error("Not ready: {trouble} The broker goes on trying", trouble=trouble)
        return True

    async def _wait(self, seconds: float) -> None:
        self._pause = deferLater(self.clock, seconds)
        with suppress(CancelledError):
            await self._pause
