"""Decides which Docker hosts are dead, and when those that ping again may be used again."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.broker.fleet import FleetView
from dockerbroker.broker.turns import Turns
from dockerbroker.errors import BrokerError
from dockerbroker.model.hosts import HostKey, HostState
from dockerbroker.model.liveness import INTERVALS_UNTIL_ALIVE, Guard, Life, Verdict, silenced
from dockerbroker.persisters.interfaces import IPersister

#: Seconds between two looks: so a host is called dead less than a second after it may be.
PERIOD: Final = 0.5
#: A broker that is so much too late may not have heard what was said meanwhile; seconds.
LONGEST_LAG: Final = 1.0
#: How often the reactor looks for what has arrived before a look: a connection is accepted in one turn, and
#: what comes on it read in another.
_TURNS: Final = 3
#: How long to wait until a host is compared again with which that has failed, in seconds.
AGAIN: Final = 5.0


async def _at_once() -> None:
    """Wait for nothing."""


@define(eq=False)
class Return:
    """A host that returns: since when it pings in time, by the broker's clock; and if it was compared.

    `told` is why it could not be, as the log was told last.
    """

    state_at: float | None
    since: float
    is_compared: bool = False
    not_before: float = 0.0
    is_under_way: bool = False
    told: str = ""


@define(eq=False)
class Judge:
    """Judges hosts twice a second; which of many brokers does it decides the database.

    `welcome` compares a host that has returned with the database, and raises a `BrokerError` when it cannot.
    What it reads is what the `view` then has. Without `is_guarded` nothing is held back when most hosts fall
    silent at once. `settled` returns when the pings that were heard are stored.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    view: FleetView
    clock: IReactorTime
    welcome: Callable[[HostKey], Awaitable[None]]
    is_guarded: bool = True
    settled: Callable[[], Awaitable[None]] = _at_once
    is_paused: bool = field(default=False, init=False)
    _turns: Turns = field(init=False)
    _last: float = field(default=0.0, init=False)
    _guard: Guard = field(factory=Guard, init=False)
    _returns: dict[HostKey, Return] = field(factory=dict, init=False)

    @_turns.default
    def _every_period(self) -> Turns:
        return Turns(self._turn, PERIOD, "no Docker host is judged", self.clock, self._log)

    def start(self) -> None:
        """Begin; the first look comes after a period."""
        self._last = self.clock.seconds()
        self._turns.start()

    def stop(self) -> None:
        """End; a look that is under way comes to its end by itself."""
        self._turns.stop()

    async def _turn(self) -> None:
        now = self.clock.seconds()
        lag, self._last = now - self._last - PERIOD, now
        if self.is_paused or lag > LONGEST_LAG:
            return
        await self._listen()
        if self._turns.is_running:
            await self._judge(now)

    async def _listen(self) -> None:
        """Let the pings in that have come while the broker was held up: they are no silence."""
        for _ in range(_TURNS):
            await deferLater(self.clock, 0)
        await self.settled()

    async def _judge(self, now: float) -> None:
        fleet = await self.view.look()
        if self.clock.seconds() - now > LONGEST_LAG:
            # What was read is old by now.
            return
        lives = fleet.doubtful()
        punctual = len(fleet.hosts) - len(lives)
        verdicts = [*self._dead(lives, punctual, now), *self._alive(lives, now)]
        if not verdicts:
            return
        changed = await self.persister.judge(verdicts)
        for verdict in verdicts:
            if verdict.life.key in changed:
                self._tell(verdict)

    def _dead(self, lives: Sequence[Life], punctual: int, now: float) -> list[Verdict]:
        before = self._guard if self.is_guarded else Guard(until=now)
        verdicts, after = silenced(lives, before, now, punctual=punctual)
        if self.is_guarded and after.until is not None and after != before:
            self._log.error(
                "more than half of {count} Docker hosts have fallen silent at once: none is called dead for "
                "{seconds:g} s more, since it may be the broker that is cut off",
                count=len(lives) + punctual,
                seconds=after.until - now,
            )
        self._guard = after
        return verdicts

    def _alive(self, lives: Iterable[Life], now: float) -> list[Verdict]:
        """Return which hosts have returned, and see to those that are about to."""
        returning = {life.key: life for life in lives if life.state is HostState.RETURNING}
        self._returns = {key: one for key, one in self._returns.items() if key in returning}
        verdicts = []
        for key, life in returning.items():
            known = self._returns.get(key)
            if known is None or known.state_at != life.state_at:
                known = self._returns[key] = Return(state_at=life.state_at, since=now)
            if life.is_late:
                known.since = now
            if not known.is_compared and not known.is_under_way and now >= known.not_before:
                known.is_under_way = True
                Deferred.fromCoroutine(self._compare(key, known))
            if known.is_compared and now - known.since >= INTERVALS_UNTIL_ALIVE * life.keep_alive:
                verdicts.append(Verdict(life=life, state=HostState.ALIVE))
        return verdicts

    async def _compare(self, key: HostKey, known: Return) -> None:
        try:
            await self.welcome(key)
            known.is_compared = True
        except BrokerError as error:
            if error.description != known.told:
                known.told = error.description
                self._log.warn(
                    "the Docker host {host} pings again, but is not used yet: {why}",
                    host=key.service_host,
                    why=error.description,
                )
        except Exception:  # noqa: BLE001
            self._log.failure("comparing {host}, which has returned", host=key.service_host)
        finally:
            known.is_under_way = False
            known.not_before = self.clock.seconds() + AGAIN

    def _tell(self, verdict: Verdict) -> None:
        life = verdict.life
        if verdict.state is HostState.DEAD:
            self._log.error(
                "the Docker host {host} is dead: it has sent no ping for {seconds:.1f} s; nothing is placed "
                "on it, and what it has is left as it is",
                host=life.key.service_host,
                seconds=life.silence,
            )
        else:
            self._log.info(
                "the Docker host {host} has returned, and is used again", host=life.key.service_host
            )
