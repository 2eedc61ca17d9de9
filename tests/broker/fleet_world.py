"""Brokers, a database and agents on clocks that tests set, to see which hosts are called dead, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from attrs import define, field
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from dockerbroker.broker.fleet import FleetView
from dockerbroker.broker.heartbeat import Heartbeat
from dockerbroker.broker.judging import Judge
from dockerbroker.broker.pings import Pings
from dockerbroker.errors import Conflict, Unavailable
from dockerbroker.model.hosts import DockerHost, HostKey, HostState
from dockerbroker.model.vitals import Ping
from tests.memory_persister import MemoryPersister
from tests.pinging import ping

#: What passes at once, in seconds.
STEP = 0.02


@define(eq=False)
class CutPersister(MemoryPersister):
    """A persister that does not answer when its broker is cut off, or the database is away."""

    is_cut: bool = False

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        if self.is_cut:
            raise Unavailable("The database does not answer.")
        with MemoryPersister._call(self, method):
            yield


class ReactorClock(Clock):
    """A clock on which calls without a delay come when a reactor has read what has arrived."""

    def __init__(self) -> None:
        super().__init__()
        self._soon: list[DelayedCall] = []

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 (Twisted's own name)
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        """Call after so many seconds, or in the next turn."""
        if delay > 0:
            return super().callLater(delay, callable, *args, **kw)
        call = DelayedCall(
            self.seconds(), callable, args, kw, self._soon.remove, lambda _call: None, self.seconds
        )
        self._soon.append(call)
        return call

    def turn(self) -> bool:
        """Call what is to be called in this turn; returns whether there was anything."""
        calls, self._soon = self._soon, []
        for call in calls:
            call.called = 1
            call.func(*call.args, **call.kw)
        return bool(calls)


@define(eq=False)
class Broker:
    """A broker of which only what concerns hosts runs; its clock stands still while it is stopped."""

    persister: CutPersister
    clock: ReactorClock
    is_guarded: bool = True
    is_stopped: bool = field(default=False, init=False)
    is_dead: bool = field(default=False, init=False)
    welcomed: list[HostKey] = field(factory=list, init=False)
    refusal: Exception | None = field(default=None, init=False)
    _waiting: list[Ping] = field(factory=list, init=False)
    pings: Pings = field(init=False)
    judge: Judge = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Start the broker as the program does."""
        self.pings = Pings(self.persister, self.clock, pace=0)
        view = FleetView(self.persister, self.clock)
        self.judge = Judge(
            self.persister, view, self.clock, self._welcome, self.is_guarded, self.pings.settled
        )
        heartbeat = Heartbeat(self.persister, self.clock)
        if not self.persister.is_cut:
            Deferred.fromCoroutine(self.persister.observe())
        heartbeat.start()
        self.judge.start()

    async def _welcome(self, key: HostKey) -> None:
        self.welcomed.append(key)
        if self.refusal is not None:
            raise self.refusal

    def advance(self, now: float) -> None:
        """Let the broker's clock come to that time; what it was sent while it was stopped, it hears then."""
        if self.is_stopped or self.is_dead:
            return
        self.clock.advance(now - self.clock.seconds())
        self._hear_waiting()
        while self.clock.turn():
            self._hear_waiting()

    def _hear_waiting(self) -> None:
        while self._waiting:
            self.hear(self._waiting.pop(0))

    def hear(self, told: Ping) -> None:
        """Take a ping."""
        if self.is_dead:
            return
        if self.is_stopped:
            self._waiting.append(told)
            return
        self.pings.record(told).addErrback(lambda failure: failure.trap(Conflict, Unavailable) and None)


@define(eq=False)
class Agent:
    """An agent that pings all brokers, on its own time; `heard` is which share of its requests arrive."""

    host: DockerHost
    random: Random
    heard: float = 1.0
    is_dead: bool = False
    _next: float = 0.0
    _last: float = 0.0
    _sequence: int = 0

    def delay(self, seconds: float) -> None:
        """Send the next ping so long after the last one."""
        self._next = self._last + seconds

    def advance(self, now: float, brokers: list[Broker]) -> None:
        """Ping when it is time; what is lost is sent a second and a third time in the interval."""
        if self.is_dead or now < self._next:
            return
        self._last = now
        self._next = now + self.host.keep_alive * self.random.uniform(0.9, 1.1)
        self._sequence += 1
        told = ping(self.host, session=f"s-{self.host.key.service_host}", sequence=self._sequence)
        for broker in brokers:
            if any(self.random.random() < self.heard for _ in range(3)):
                broker.hear(told)


@define(eq=False)
class Fleet:
    """Brokers and agents on one database, whose clock is wrong by `skew` seconds."""

    random: Random
    skew: float = 0.0
    now: float = 1000.0
    brokers: list[Broker] = field(factory=list, init=False)
    agents: list[Agent] = field(factory=list, init=False)
    persister: MemoryPersister = field(init=False)
    died_at: dict[HostKey, float] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Make the database."""
        self.persister = MemoryPersister(lambda: self.now + self.skew)

    def add_brokers(self, count: int, *, is_guarded: bool = True) -> None:
        """Start brokers."""
        for _ in range(count):
            persister = CutPersister(self.persister.seconds, self.persister.tables)
            clock = ReactorClock()
            clock.advance(self.now + self.random.uniform(0, STEP))
            self.brokers.append(Broker(persister, clock, is_guarded))

    def add_agents(self, count: int, keep_alive: float = 1.0, heard: float = 1.0) -> None:
        """Start agents, each of a host of its own."""
        for number in range(count):
            key = HostKey(service_host=f"h{number}", docker_host=f"h{number}", docker_port=2375)
            host = DockerHost(key=key, keep_alive=keep_alive)
            first = self.now + self.random.uniform(0, keep_alive)
            self.agents.append(Agent(host, self.random, heard, next=first))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, or less when that is true; what dies meanwhile, or returns, is noted."""
        end = self.now + seconds
        while self.now < end and not until():
            self.now += STEP
            # Whoever comes first is chance.
            for agent in self.agents:
                agent.advance(self.now, self.brokers)
            for broker in self.random.sample(self.brokers, len(self.brokers)):
                broker.advance(self.now)
            for key, state in self.states().items():
                if state is not HostState.ALIVE:
                    self.died_at.setdefault(key, self.now)

    def states(self) -> dict[HostKey, HostState]:
        """Return the states of all hosts."""
        return {key: HostState(row["state"]) for key, row in self.persister.tables.hosts.items()}

    def pinged_at(self, agent: Agent) -> float:
        """Return when the last ping was heard, by the database's clock."""
        return float(self.persister.tables.hosts[agent.host.key]["pinged_at"])
