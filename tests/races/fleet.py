"""Three brokers on one database and one engine, whose every call waits for its turn.

Before and after each call to database or Docker a request or operation waits, and who goes on is drawn by
chance: so the transactions of all of them follow each other in any order. The same random numbers give the
same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dockerbroker.broker.limits import Limits
from dockerbroker.crashpoints import without_place
from dockerbroker.model.containers import LABEL_INSTANCE
from dockerbroker.model.instances import Operation, ServiceInstance
from tests.contracts.persister_case import Fixture
from tests.crash.service import Service
from tests.memory_engine import MemoryEngine, MemoryEngines
from tests.pinging import pings
from tests.stack import HOST, REDIS, Answer, Asked, Stack, add_service

#: How many turns and timers a round takes at most.
_MOST_STEPS: Final = 1_000_000
#: How long an executable takes, in seconds.
_SLOW: Final = 0.3


@define(eq=False)
class Turns:
    """Those who wait for their turn, and what they come from or go to."""

    random: Random
    reached: Counter[str] = field(factory=Counter)
    _waiting: list[Deferred[None]] = field(factory=list)

    async def __call__(self, name: str) -> None:
        """Wait for a turn."""
        self.reached[without_place(name)] += 1
        turn: Deferred[None] = Deferred()
        self._waiting.append(turn)
        await turn

    def give(self) -> bool:
        """Let somebody go on, whoever it is; whether there is anybody."""
        if not self._waiting:
            return False
        self._waiting.pop(self.random.randrange(len(self._waiting))).callback(None)
        return True


@define(eq=False)
class Fleet:
    """The brokers; `answer` is for how long their requests wait before they are answered with 202."""

    random: Random
    answer: float
    database: Fixture
    clock: Clock = field(init=False)
    turns: Turns = field(init=False)
    service: Service = field(init=False)
    brokers: list[Stack] = field(init=False)
    _engines: MemoryEngines = field(init=False)
    _reader: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Give them a host with the service, and start them."""
        self.clock = self.database.clock
        self.turns = Turns(self.random)
        self.service = Service(
            self.clock, slow=dict.fromkeys(("provision", "update", "bind", "deprovision"), _SLOW)
        )
        self._engines = MemoryEngines(self.clock)
        self.service.install(add_service(self.engine, volumes=("/data",)))
        self._reader = self.database.persister()
        self._result(self._reader.seed_images([REDIS]))
        self._result(self._reader.record_pings(pings([HOST])))
        self.brokers = [self._broker(f"broker-{number}") for number in (1, 2, 3)]

    @property
    def engine(self) -> MemoryEngine:
        """The engine of the one host."""
        return self._engines(HOST)

    # What there is.

    def containers_of(self, instance_id: str) -> list[bool]:
        """Return of each container of the instance whether it runs."""
        made = self.engine.world.values()
        return [one.running for one in made if one.spec.labels[LABEL_INSTANCE] == instance_id]

    def operations_of(self, instance_id: str) -> list[Operation]:
        """Return all operations on the instance that are on record."""
        known = self._result(self._reader.operations(unfinished=False, limit=100_000))
        return [one for one in known if one.instance_id == instance_id]

    def instances(self) -> dict[str, ServiceInstance]:
        """Return what the database has."""
        return {one.id: one for one in self._result(self._reader.instances("", 1000))}

    def left(self) -> dict[str, Any]:
        """Return what is there of anything."""
        found = {
            "instances": list(self.instances()),
            "ports": sorted(self._result(self._reader.leased_ports(HOST.key))),
            "unfinished": self._unfinished(),
            "containers": [one.spec.name for one in self.engine.world.values()],
            "volumes": sorted(self.engine.disk),
            "complaints": self.service.complaints,
        }
        return {name: what for name, what in found.items() if what}

    # What is done.

    def answers(self, requests: Iterable[tuple[str, str, Any]]) -> list[Answer]:
        """Send requests, each to any broker and some turns after the one before; return their answers.

        Before that, and before the brokers' work is done, it does not return.
        """
        pace = self.random.choice((0, 0, 1, 5, 20))
        asked = []
        for method, path, body in requests:
            asked.append(self.random.choice(self.brokers).ask(method, path, body))
            for _ in range(self.random.randint(0, pace)):
                self.turns.give()
        self.settle(asked)
        return [one.answer for one in asked if one.answer is not None]

    def settle(self, asked: list[Asked]) -> None:
        """Let time pass until all are answered and nothing goes on any more."""
        for _ in range(_MOST_STEPS):
            if self.turns.give():
                continue
            for broker in self.brokers:
                broker.client.flush()
            if all(one.answer for one in asked) and not self._unfinished():
                return
            due = min(call.getTime() for call in self.clock.getDelayedCalls())
            self.clock.advance(max(due - self.clock.seconds(), 0))
        raise AssertionError("the brokers do not come to rest")

    def _broker(self, owner: str) -> Stack:
        persister: Any = self.database.persister()
        return Stack(
            clock=self.clock,
            owner=owner,
            limits=Limits(answer=self.answer),
            persister=persister,
            engines=self._engines,
            reach=self.turns,
        )

    def _unfinished(self) -> list[str]:
        return [one.id for one in self._result(self._reader.operations(unfinished=True, limit=1000))]

    def _result(self, coroutine: Any) -> Any:
        outcome: list[Any] = []
        Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
        (value,) = outcome
        if hasattr(value, "raiseException"):
            value.raiseException()
        return value
