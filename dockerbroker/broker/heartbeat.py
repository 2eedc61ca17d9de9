"""Tells the database each second that this broker is there, so that no host is silent while none is."""

from typing import ClassVar

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dockerbroker.broker.turns import Turns
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
    _turns: Turns = field(init=False)

    @_turns.default
    def _every_period(self) -> Turns:
        return Turns(self._beat, PERIOD, "the database is not told of this broker", self.clock, self._log)

    def start(self) -> None:
        """Begin; the first beat comes after a period, since whoever opens the database beats once."""
        self._turns.start()

    def stop(self) -> None:
        """End; a beat that is under way comes to its end by itself."""
        self._turns.stop()

    async def _beat(self) -> None:
        if not self.is_paused:
            await self.persister.observe()
