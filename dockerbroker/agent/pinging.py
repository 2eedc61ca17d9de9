"""Pings one broker for ever, whatever happens to it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from dockerbroker.agent.answers import DeadlinePassed, check_answer, reason_of
from dockerbroker.config.agent import BrokerServer
from dockerbroker.model.hosts import DockerHost, encode_ping
from dockerbroker.wire import encode

#: The version of the Open Service Broker API that is told to the broker; it ignores it for a ping.
API_VERSION = "2.17"

#: A ping is given up after this share of the interval, or after so many seconds if that is sooner.
_TIMEOUT_SHARE = 0.75
_LONGEST_TIMEOUT = 10.0
#: A ping comes so much earlier than its interval ends, at most, so that agents do not ping in step.
_JITTER_SHARE = 0.2
#: The pause after the first failure, in seconds.
_FIRST_PAUSE = 0.5
_MOST_DOUBLINGS = 30
#: So many different reasons are told to the log before a broker is back.
_MOST_REASONS = 5

#: Sends a POST, as `treq.client.HTTPClient.post` does.
Post = Callable[..., Deferred[Any]]


def timeout_of(keep_alive: float) -> float:
    """Return the seconds after which a ping is given up: always less than the interval."""
    return min(_LONGEST_TIMEOUT, _TIMEOUT_SHARE * keep_alive)


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


@frozen(kw_only=True)
class _Registration:
    """What is known of the broker: nothing yet, that it knows the host, or why it does not."""

    is_registered: bool = False
    failures: int = 0
    told: frozenset[str] = frozenset()


@define(eq=False, kw_only=True)
class Pinger:
    """Tells one broker of one Docker host at every interval, and the log of every change of state.

    `post` sends a request, `now` returns the time of day for the ping's LastPing, `chance` a random number
    at least 0 and below 1.
    """

    _log: ClassVar[Logger] = Logger()

    server: BrokerServer
    host: DockerHost
    post: Post
    clock: IReactorTime
    now: Callable[[], datetime]
    chance: Callable[[], float]
    _loop: LoopingCall | None = field(default=None, init=False)
    _turn_under_way: Deferred[None] | None = field(default=None, init=False)
    _ended: Deferred[Any] | None = field(default=None, init=False)
    _state: _Registration = field(factory=_Registration, init=False)

    def start(self) -> None:
        """Send the first ping now, and go on until stopped."""
        # The interval is 0 because each turn lasts until the next ping is due; so turns never overlap.
        self._loop = LoopingCall(self._take_turn)
        self._loop.clock = self.clock
        self._ended = self._loop.start(0).addErrback(self._loop_ended)

    async def stop(self) -> None:
        """Give up the ping that is under way, and send no more."""
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
        self._turn_under_way = Deferred.fromCoroutine(self._turn())
        return self._turn_under_way

    async def _turn(self) -> None:
        """Ping, tell the log, and wait until the next ping is due."""
        started = self.clock.seconds()
        self._note(await self._attempt())
        pause = pause_after(
            self.host.keep_alive,
            failures=self._state.failures,
            elapsed=self.clock.seconds() - started,
            chance=self.chance(),
        )
        await deferLater(self.clock, pause)

    async def _attempt(self) -> str | None:
        """Ping once; returns why it failed, or None. Nothing but a cancellation by `stop` escapes."""
        limit = timeout_of(self.host.keep_alive)
        try:
            await Deferred.fromCoroutine(self._ping()).addTimeout(limit, self.clock, _deadline_passed)
        except Exception as error:
            if self._loop is None:
                raise
            return reason_of(error) or self._unexpected(error)
        return None

    def _unexpected(self, error: Exception) -> str:
        reason = f"{type(error).__name__}: {error}"
        if reason not in self._state.told:
            self._log.failure("The ping of {broker} failed unexpectedly", broker=self._broker)
        return reason

    async def _ping(self) -> None:
        body = encode(encode_ping(self.host, self.now().isoformat()))
        response: IResponse = await self.post(
            self.server.url,
            data=body,
            headers={"Content-Type": "application/json", "X-Broker-API-Version": API_VERSION},
            auth=(self.server.user, self.server.password.reveal()),
            allow_redirects=False,
            unbuffered=True,
        )
        await check_answer(response)

    def _note(self, reason: str | None) -> None:
        """Tell the log when the state has changed, or when it stays away for a reason not yet told."""
        state = self._state
        if reason is None:
            if not state.is_registered:
                self._log.info("Registered with the broker {broker}", broker=self._broker)
            self._state = _Registration(is_registered=True)
            return
        if state.is_registered:
            self._log.warn("Lost the broker {broker}: {reason}", broker=self._broker, reason=reason)
        elif reason not in state.told and len(state.told) < _MOST_REASONS:
            self._log.warn("No way to register with {broker}: {reason}", broker=self._broker, reason=reason)
        told = state.told if len(state.told) == _MOST_REASONS else state.told | {reason}
        self._state = _Registration(failures=state.failures + 1, told=told)

    def _loop_ended(self, failure: Failure) -> None:
        if self._loop is not None:
            self._log.failure("The pings of {broker} have ended", failure, broker=self._broker)

    @property
    def _broker(self) -> str:
        return f"{self.server.host}:{self.server.port}"


def _deadline_passed(_: object, limit: float) -> Failure:
    # What the cancellation of a request turns into depends on how far it was; this does not.
    return Failure(DeadlinePassed(limit))
