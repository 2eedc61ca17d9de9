"""What a broker does again and again, as long as it lives."""

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dockerbroker.errors import BrokerError


@define(eq=False, kw_only=True)
class Turns:
    """Takes turns `period` seconds apart; each is over before the next, and no error ends them.

    What keeps turns from succeeding is told once, until one succeeds again or it is something else: all
    outages are one, and each kind of defect is another. `complaint` is what the log calls it.
    """

    turn: Callable[[], Coroutine[Any, Any, None]]
    period: float
    complaint: str
    clock: IReactorTime
    _log: Logger
    _loop: LoopingCall = field(init=False)
    _under_way: Deferred[None] = field(factory=lambda: succeed(None), init=False)
    _trouble: type[Exception] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the loop on the broker's own clock."""
        self._loop = LoopingCall(self._begin)
        self._loop.clock = self.clock

    @property
    def is_running(self) -> bool:
        """Whether there will be another turn."""
        return self._loop.running

    def start(self, *, now: bool = False) -> None:
        """Begin; the first turn comes after a period, or at once."""
        self._loop.start(self.period, now=now)

    def stop(self) -> None:
        """End; a turn that is under way comes to its end by itself."""
        if self._loop.running:
            self._loop.stop()

    def cancel(self) -> None:
        """Cancel the turn that is under way."""
        self._under_way.cancel()

    def over(self) -> Deferred[None]:
        """Return a Deferred that fires when the turn that is under way is over."""
        over: Deferred[None] = Deferred()

        self._under_way.addCallback(over.callback)
        return over

    def _begin(self) -> Deferred[None]:
        self._under_way = Deferred.fromCoroutine(self._take())
        return self._under_way

    async def _take(self) -> None:
        # One uncaught error would end the loop for ever.
        try:
            await self.turn()
        except CancelledError:
            return
        except BrokerError as error:
            if self._is_new(BrokerError):
                self._log.warn("{complaint}: {why}", complaint=self.complaint, why=error.description)
        except Exception as error:  # noqa: BLE001
            if self._is_new(type(error)):
                self._log.failure("{complaint}", complaint=self.complaint)
        else:
            self._trouble = None

    def _is_new(self, trouble: type[Exception]) -> bool:
        before, self._trouble = self._trouble, trouble
        return trouble is not before
