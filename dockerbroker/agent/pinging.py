"""Pings brokers for ever, whatever happens to them."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from dockerbroker.agent.brokers import Broker
from dockerbroker.agent.repeating import Repeating
from dockerbroker.agent.telling import Teller

#: A ping is given up after this share of the interval, or after so many seconds if that is sooner.
_TIMEOUT_SHARE: Final = 0.75
_LONGEST_TIMEOUT: Final = 10.0
#: A ping comes so much earlier than its interval ends, at most, so that agents do not ping in step.
_JITTER_SHARE: Final = 0.2
#: The pause after the first failure, in seconds.
_FIRST_PAUSE: Final = 0.5
_MOST_DOUBLINGS: Final = 30
#: So many of several brokers are tried inside an interval, even if none of them answers in time.
TRIES: Final = 3


def timeout_of(keep_alive: float, tries: int = 1) -> float:
    """Return the seconds after which a ping is given up: so many tries always take less than the interval."""
    return min(_LONGEST_TIMEOUT, _TIMEOUT_SHARE * keep_alive / tries)


def pause_after(keep_alive: float, *, failures: int, elapsed: float, chance: float) -> float:
    """Return the seconds until the next ping.

    After a success the pings are at most `keep_alive` seconds apart, counted from the start of the one that
    took `elapsed` seconds. So they are after failures, when the pauses double from half a second on: a broker
    that is back hears of the host within an interval. `chance` is at least 0 and below 1.
    """
    if not failures:
        return max(0.0, keep_alive * (1 - _JITTER_SHARE * chance) - elapsed)
    pause = _FIRST_PAUSE * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
    return max(0.0, min(pause, keep_alive - elapsed) * (1 - chance / 2))


def in_random_order(count: int, chance: Callable[[], float]) -> list[int]:
    """Return the numbers below `count` in random order."""
    keys = [chance() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)


@define(eq=False, kw_only=True)
class Pinger:
    """Tells of one Docker host at every interval: one broker, or any one of several equal ones.

    Of several, one after the other is tried in random order until one acknowledges: each of them once in an
    interval, or `TRIES` times altogether if they are fewer. `chance` returns a random number at least 0 and
    below 1.
    """

    brokers: Sequence[Broker]
    teller: Teller
    clock: IReactorTime
    chance: Callable[[], float]
    _failures: int = field(default=0, init=False)
    #: The interval that was named by the ping that was acknowledged last: brokers wait as long as it says.
    _known: float = field(default=math.inf, init=False)
    _pause: Deferred[None] | None = field(default=None, init=False)
    _is_hurried: bool = field(default=False, init=False)
    _pings: Repeating = field(init=False)

    @_pings.default
    def _repeated(self) -> Repeating:
        names = ", ".join(broker.name for broker in self.brokers)
        return Repeating(name=f"The pings of {names}", turn=self._turn, clock=self.clock)

    def start(self) -> None:
        """Send the first ping now, and go on until stopped."""
        self._pings.start()

    def hurry(self) -> None:
        """Send the next ping now, or right after the one that is under way, which may know less."""
        self._is_hurried = True
        if self._pause is not None:
            self._pause.cancel()

    async def stop(self) -> None:
        """Give up the ping that is under way, and send no more."""
        await self._pings.stop()
        for broker in self.brokers:
            await broker.stop()

    async def _turn(self) -> None:
        """Ping, tell the log, and wait until the next ping is due."""
        started, self._is_hurried = self.clock.seconds(), False
        interval = min(self.teller.keep_alive, self._known)
        is_acknowledged = await self._reach_one(started, interval)
        self._failures = 0 if is_acknowledged else self._failures + 1
        pause = pause_after(
            self._known if is_acknowledged else interval,
            failures=self._failures,
            elapsed=self.clock.seconds() - started,
            chance=self.chance(),
        )
        await self._rest(0.0 if self._is_hurried else pause)

    async def _rest(self, seconds: float) -> None:
        self._pause = deferLater(self.clock, seconds)
        try:
            await self._pause
        except CancelledError:
            if self._pings.is_stopped:
                raise
        finally:
            self._pause = None

    async def _reach_one(self, started: float, interval: float) -> bool:
        """Whether a broker has acknowledged, of those that there is time for."""
        tries = 1 if len(self.brokers) == 1 else max(TRIES, len(self.brokers))
        limit = timeout_of(interval, min(tries, TRIES))
        end = started + timeout_of(interval)
        order = in_random_order(len(self.brokers), self.chance)
        for turn in range(tries):
            limit = min(limit, end - self.clock.seconds())
            if limit <= 0:
                break
            if await self._reaches(self.brokers[order[turn % len(order)]], limit):
                return True
        return False

    async def _reaches(self, broker: Broker, limit: float) -> bool:
        """Whether this broker has acknowledged. Nothing but a cancellation by `stop` escapes."""
        try:
            self._known = await broker.ping(limit)
            broker.note_success()
        except Exception as error:
            if self._pings.is_stopped:
                raise
            broker.note_failure(error)
            return False
        return True
