"""What a broker does again and again, as long as it lives."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dockerbroker.errors import BrokerError

#: So many seconds after it was told of something that lasts the log is told again.
TELL_AGAIN: Final = 60.0


@define(eq=False)
class Turns:
    """Takes turns `period` seconds apart; each is over before the next, and no error ends them.

    What keeps turns from succeeding is told, and while it lasts, as described or as that kind of defect, once
    a minute. `complaint` is what the log calls it.
    """

    turn: Callable[[], Coroutine[Any, Any, None]]
    period: float
    complaint: str
    clock: IReactorTime
    _log: Logger
    _loop: LoopingCall = field(init=False)
    _under_way: Deferred[None] = field(factory=lambda: succeed(None), init=False)
    _trouble: object = field(default=None, init=False)
    _told_at: float = field(default=0.0, init=False)

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
            if self._is_to_be_told(error.description):
                self._log.warn("{complaint}: {why}", complaint=self.complaint, why=error.description)
        except Exception as error:  # noqa: BLE001
            if self._is_to_be_told(type(error)):
                self._log.failure("{complaint}", complaint=self.complaint)
        else:
            self._trouble = None

    def _is_to_be_told(self, trouble: object) -> bool:
        now = self.clock.seconds()
        if trouble == self._trouble and now - self._told_at < TELL_AGAIN:
            return False
        self._trouble, self._told_at = trouble, now
        return True
