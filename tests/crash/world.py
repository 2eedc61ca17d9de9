"""One Docker host, one database, and brokers that live and die on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dockerbroker.crashpoints import Reach, without_place
from dockerbroker.model.containers import LABEL_INSTANCE
from tests.asking import Answer, Asked
from tests.crash.databases import Database
from tests.crash.scenarios import SERVICE
from tests.crash.service import Service
from tests.memory_engine import MemoryEngine, MemoryEngines
from tests.pinging import pings
from tests.stack import HOST, Stack, add_service

#: What it costs to stand still: no trial makes so many steps.
_MOST_STEPS: Final = 200_000


class Dropped(Exception):
    """The connection broke before there was an answer."""


@frozen
class Death:
    """At which point a broker dies: when it comes there for the `count`-th time, from 1.

    Without a name any point counts.
    """

    name: str | None
    count: int = 1


@define(eq=False)
class Life:
    """What a broker does at its crash points: it goes on, or dies and then nothing of it goes on any more.

    `also` is what it does there before.
    """

    seen: Callable[[str], None]
    death: Death | None = None
    also: Reach | None = None
    counts: Counter[str] = field(factory=Counter)
    died_at: str | None = None

    async def __call__(self, name: str) -> None:
        """Go on, or never."""
        if self.also is not None:
            await self.also(name)
        if self.died_at is None:
            self.counts[name] += 1
            self.seen(name)
            if self._is_fatal(name):
                self.died_at = name
        if self.died_at is not None:
            await Deferred()

    def _is_fatal(self, name: str) -> bool:
        if self.death is None:
            return False
        if self.death.name is None:
            return self.counts.total() == self.death.count
        total = self.counts[name]
        if self.death.name == without_place(name) != name:
            total = sum(count for one, count in self.counts.items() if without_place(one) == self.death.name)
        elif self.death.name != name:
            return False
        return total == self.death.count


@define(eq=False)
class Broker:
    """A broker, its life, and who waits for its answers."""

    stack: Stack
    life: Life
    waiting: list[tuple[Asked, Deferred[Answer]]] = field(factory=list)


@define(eq=False)
class World:
    """Where brokers live; `deaths` are those to come, each of one broker after the other.

    `also` is what all brokers do at their crash points before they die or go on.

    Brokers have clocks of their own, which stand still when they are dead. Everything else is on `clock`:
    the engine with what runs in its containers, the database, the platform. `reader` is a persister that
    belongs to no broker.
    """

    database: Database
    clock: Clock
    deaths: list[Death] = field(factory=list)
    also: Reach | None = None
    reader: Any = field(init=False)
    engines: MemoryEngines = field(init=False)
    service: Service = field(init=False)
    reached: Counter[str] = field(factory=Counter)
    lives: list[Life] = field(factory=list)
    complaints: list[str] = field(factory=list)
    living: list[Broker] = field(factory=list)
    skew: float = 0.0
    _graves: list[Broker] = field(factory=list)
    _asked: int = 0

    def __attrs_post_init__(self) -> None:
        """Give the world a host with the service, and its first broker."""
        self.engines = MemoryEngines(self.clock)
        self.service = Service(self.clock)
        self.service.install(add_service(self.engine, SERVICE, volumes=("/data",)))
        self.reader = self.database.persister()
        for coroutine in (self.reader.seed_images([SERVICE]), self.reader.record_pings(pings([HOST]))):
            result(coroutine)
        self.begin()

    @property
    def engine(self) -> MemoryEngine:
        """The engine of the one host."""
        return self.engines(HOST)

    # Brokers.

    def begin(self) -> Broker:
        """Start another broker, which will die the next death that was given."""
        life = Life(self._seen, self.deaths.pop(0) if self.deaths else None, self._first)
        self.lives.append(life)
        clock = Clock()
        clock.advance(self.clock.seconds())
        stack = Stack(
            clock=clock,
            owner=f"broker-{len(self.lives)}",
            persister=self.database.persister(),
            engines=self.engines,
            reach=life,
            skew=self.skew,
        )
        broker = Broker(stack, life)
        self.living.append(broker)
        return broker

    async def _first(self, name: str) -> None:
        if self.also is not None:
            await self.also(name)

    def _seen(self, name: str) -> None:
        self.reached[name] += 1
        running = [
            container.spec.labels[LABEL_INSTANCE]
            for engine in self.engines.engines.values()
            for container in engine.world.values()
            if container.running
        ]
        if len(running) > len(set(running)):
            self.complaints.append(f"two containers of one instance run: {dict(Counter(running))}, at {name}")

    def step_wall_clock(self, seconds: float) -> None:
        """Let the wall clock of all brokers, and of those to come, jump."""
        self.skew += seconds
        for broker in self.living:
            broker.stack.skew = self.skew

    def kill(self, broker: Broker) -> None:
        """Let a broker die now, wherever it stands."""
        broker.life.died_at = broker.life.died_at or "(between two points)"

    def restart(self, broker: Broker) -> None:
        """Let a broker end in an orderly way: it finishes what it carries, and takes nothing over."""
        broker.stack.reconciler.settle()
        finished = Deferred.fromCoroutine(broker.stack.worker.finished())
        self.wait(finished, 120)
        for _ in range(10):
            if not broker.waiting:
                break
            self.advance(10)
        broker.stack.reconciler.stop()
        self.kill(broker)
        self._flush()

    def _bury(self) -> bool:
        dead = [broker for broker in self.living if broker.life.died_at is not None]
        for broker in dead:
            self.living.remove(broker)
            # What is suspended in it must not be closed before the trial is over.
            self._graves.append(broker)
        if not self.living:
            self.begin()
        for broker in dead:
            for _, waiting in broker.waiting:
                waiting.errback(Dropped())
        return bool(dead)

    # Requests.

    def ask(self, method: str, path: str, body: Any = None) -> Deferred[Answer]:
        """Send a request to one of the brokers, in turn; fails with `Dropped` when that one dies first."""
        self._asked += 1
        broker = self.living[self._asked % len(self.living)]
        answered: Deferred[Answer] = Deferred()
        broker.waiting.append((broker.stack.ask(method, path, body), answered))
        return answered

    def _deliver(self) -> bool:
        ready = [
            (broker, pair)
            for broker in self.living
            if broker.life.died_at is None
            for pair in broker.waiting
            if pair[0].answer is not None
        ]
        for broker, pair in ready:
            broker.waiting.remove(pair)
            assert pair[0].answer is not None
            pair[1].callback(pair[0].answer)
        return bool(ready)

    # Time.

    def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next."""
        end = self.clock.seconds() + seconds
        for _ in range(_MOST_STEPS):
            self._flush()
            now = self.clock.seconds()
            if now >= end:
                return
            step = min([end, *self._due()]) - now
            for clock in [self.clock, *(broker.stack.clock for broker in self.living)]:
                clock.advance(max(step, 0))
        raise AssertionError("the world does not come to rest")

    def _due(self) -> list[float]:
        clocks = [self.clock, *(broker.stack.clock for broker in self.living)]
        return [call.getTime() for clock in clocks for call in clock.getDelayedCalls()]

    def _flush(self) -> None:
        while True:
            for broker in self.living:
                broker.stack.client.flush()
            if not (self._deliver() or self._bury()):
                return

    def wait(self, done: Deferred[Any], within: float) -> bool:
        """Let time pass until this has happened; returns whether it has, within so many seconds."""
        end = self.clock.seconds() + within
        self._flush()
        while not done.called and self.clock.seconds() < end:
            due = min([end, *self._due()]) - self.clock.seconds()
            self.advance(max(due, 0.001))
        return bool(done.called)


def result(coroutine: Any) -> Any:
    """Return what a coroutine returns that never waits."""
    outcome: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
    (value,) = outcome
    if hasattr(value, "raiseException"):
        value.raiseException()
    return value
