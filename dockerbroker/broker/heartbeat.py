"""Tells the database each second that this broker is there, so that no host is silent while none is."""

from typing import ClassVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dockerbroker.errors import BrokerError
from dockerbroker.persisters.interfaces import IPersister

#: Seconds between two beats: less than `model.hosts.LONGEST_GAP`, so that a late one makes no gap.
PERIOD = 1.0


@define(eq=False)
class Heartbeat:
    """Beats as long as the broker hears pings; one beat is over before the next.

    There is none while it `is_paused`, since every request is refused.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    clock: IReactorTime
    is_paused: bool = field(default=False, init=False)
    _loop: LoopingCall = field(init=False)
    _is_away: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the loop on the broker's own clock."""
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._beat()))
        self._loop.clock = self.clock

    def start(self) -> None:
        """Begin; the first beat comes after a period, since whoever opens the database beats once."""
        self._loop.start(PERIOD, now=False)

    def stop(self) -> None:
        """End; a beat that is under way comes to its end by itself."""
        if self._loop.running:
            self._loop.stop()

    async def _beat(self) -> None:
        if self.is_paused:
            return
        # One uncaught error would end the loop for ever.
        try:
            await self.persister.observe()
        except BrokerError as error:
            if not self._is_away:
                self._log.warn("the database is not told of this broker: {why}", why=error.description)
            self._is_away = True
        except Exception:  # noqa: BLE001
            if not self._is_away:
                self._log.failure("telling the database of this broker")
            self._is_away = True
        else:
            self._is_away = False
