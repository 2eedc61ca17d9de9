"""A deployment in memory that is watched while it lives, and what was seen of it as a snapshot."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from dockerbroker.invariants import Event, Run, Sample, Snapshot, gather
from dockerbroker.invariants.history import Resource
from dockerbroker.model.containers import LABEL_INSTANCE
from dockerbroker.model.orphans import Removal
from dockerbroker.persisters import records
from tests.crash.scenarios import SERVICE
from tests.invariants.sabotage import PERSISTERS, TABLES, Sabotage, Watching, sabotage
from tests.memory_engine import MemoryEngines
from tests.memory_tables import Tables
from tests.memory_world import Printed
from tests.pinging import pings
from tests.platform import exchange
from tests.platform.beliefs import Belief
from tests.platform.cloud_controller import CloudController
from tests.platform.driving import platform_of, settle
from tests.platform.verdicts import Call
from tests.stack import HOST, Stack, add_service

ACTIONS: Final = ("provision", "update", "bind", "unbind", "deprovision")
_CALLS: Final[Mapping[Call, str]] = {
    Call.CATALOG: "catalog",
    Call.PROVISION: "provision",
    Call.UPDATE: "update",
    Call.DEPROVISION: "deprovision",
    Call.POLL_INSTANCE: "poll",
    Call.POLL_DEPROVISION: "poll deletion",
    Call.BIND: "bind",
    Call.POLL_BINDING: "poll",
    Call.POLL_UNBIND: "poll deletion",
    Call.UNBIND: "unbind",
    Call.FETCH_INSTANCE: "fetch",
    Call.FETCH_BINDING: "fetch",
}


def event_of(event: exchange.Event) -> Event:
    """Return an event of the model of Cloud Controller as the checker reads it."""
    verdict, request = event.verdict, event.request
    document = verdict.document if verdict is not None else {}
    credentials = document.get("credentials")
    return Event(
        number=event.number,
        kind=event.kind,
        call=_CALLS[request.call],
        at=event.at,
        instance_id=request.instance_id,
        binding_id=request.binding_id,
        status=verdict.status if verdict is not None else None,
        state=verdict.state if verdict is not None else None,
        operation=document.get("operation") or request.query.get("operation"),
        credentials=None if credentials is None else digest(credentials),
    )


def digest(document: Any) -> str:
    """Return what stands for a secret document."""
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@define(eq=False)
class Deployment:
    """A broker with a platform, a host, a service, and everybody who watches them.

    `hold` stops the first broker at every crash point for which it returns true, until it is released.
    """

    flag: Sabotage = Sabotage.NOTHING
    clock: Clock = field(factory=Clock)
    hold: Callable[[str], bool] = lambda _name: False
    persister: Watching = field(init=False)
    engines: MemoryEngines = field(init=False)
    slow: dict[str, float] = field(factory=dict)
    stack: Stack = field(init=False)
    platform: CloudController = field(init=False)
    samples: list[Sample] = field(factory=list)
    runs: list[Run] = field(factory=list)
    removals: list[Removal] = field(factory=list)
    log: list[str] = field(factory=list)
    held: list[Deferred[None]] = field(factory=list)
    _timers: int = 0
    _observer: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Put it together."""
        tables = TABLES.get(self.flag, Tables)()
        self.persister = PERSISTERS.get(self.flag, Watching)(self.clock.seconds, tables)
        self.engines = MemoryEngines(self.clock)
        # Without ports, so that two containers of one instance could run.
        image = add_service(self.engines(HOST), SERVICE, volumes=("/data",), ports=())
        image.scripts.update({f"/{action}": self._script for action in ACTIONS})
        for coroutine in (self.persister.seed_images([SERVICE]), self.persister.record_pings(pings([HOST]))):
            Deferred.fromCoroutine(coroutine)
        self._observer = self._observe
        globalLogPublisher.addObserver(self._observer)
        self.stack = self.broker()
        self.platform = platform_of(self.stack)
        if self.flag not in {Sabotage.DOES_NOT_COMPARE, Sabotage.FORGETS_REMOVAL}:
            self.stack.comparer.start()
        # From the second pass on there is one timer for each thing that waits.
        self.stack.advance(70)
        self._timers = len(self.clock.getDelayedCalls())

    def broker(self, owner: str = "broker-1") -> Stack:
        """Return a broker on the database and the host."""
        stack = Stack(
            clock=self.clock,
            owner=owner,
            persister=self.persister,
            engines=self.engines,
            reach=self._reach if owner == "broker-1" else self._sample,
        )
        sabotage(stack, self.flag)
        return stack

    def close(self) -> None:
        """Watch no more."""
        self.stack.comparer.stop()
        globalLogPublisher.removeObserver(self._observer)

    # Those who watch.

    async def _reach(self, name: str) -> None:
        await self._sample(name)
        if self.hold(name):
            waiting: Deferred[None] = Deferred()
            self.held.append(waiting)
            await waiting

    async def _sample(self, _name: str) -> None:
        rows = [records.read_operation(row) for row in self.persister.tables.operations.values()]
        running: dict[str, list[str]] = {}
        for one in self.engines(HOST).world.values():
            if one.running:
                running.setdefault(one.spec.labels[LABEL_INSTANCE], []).append(one.id)
        self.samples.append(
            Sample(
                at=self.clock.seconds(),
                running={key: tuple(ids) for key, ids in running.items()},
                phases={row.id: row.phase for row in rows},
            )
        )

    def _script(self, stdin: bytes, _environment: Mapping[str, str]) -> Any:
        """Be an executable: bindings get other credentials each time, as many images give them."""
        document, place = json.loads(stdin), len(self.runs)
        run = Run(
            action=document["action"],
            instance_id=document["instance_id"],
            binding_id=document.get("binding_id"),
            began=self.clock.seconds(),
        )
        self.runs.append(run)

        def ended() -> Printed:
            self.runs[place] = evolve(run, ended=self.clock.seconds(), exit_code=0)
            printed = {"credentials": {"password": f"p-{place}"}} if run.action == "bind" else {}
            return 0, json.dumps(printed).encode(), b""

        pause = self.slow.get(run.action, 0.0)
        return deferLater(self.clock, pause, ended) if pause else ended()

    def _observe(self, event: LogEvent) -> None:
        if isinstance(event.get("removal"), Removal):
            self.removals.append(event["removal"])
        about = next((event[key] for key in ("id", "instance", "what", "binding") if key in event), None)
        if about is not None or event.get("log_failure") is not None:
            text = formatEvent(event)
            self.log.append(json.dumps({"operation": about and str(about), "text": text}))

    # What happens.

    def create(self, instance_id: str) -> str:
        """Create an instance as a user does; return the state in which it ends."""
        return settle(self.stack, self.platform.create_service(instance_id, "redis", "small")).state

    def snapshot(self) -> Snapshot:
        """Return all that was seen, once it has been quiet for a while."""
        self.stack.advance(200)
        gc.collect()
        seen: list[Snapshot] = []
        gathering = Deferred.fromCoroutine(gather(self.persister, self.stack.engines, self.clock))
        gathering.addCallback(seen.append)
        beliefs = self.platform.beliefs
        believed = dict.fromkeys(beliefs.such(Belief.EXISTS), True)
        believed |= dict.fromkeys(beliefs.such(Belief.GONE), False)
        return evolve(
            seen[0],
            history=tuple(event_of(event) for event in self.platform.history),
            believed={Resource(one.instance_id, one.binding_id): it for one, it in believed.items()},
            samples=tuple(self.samples),
            runs=tuple(self.runs),
            removals=tuple(self.removals),
            log=tuple(self.log),
            counters={"stale writes": self.persister.stale_writes},
            resources={"timers": (self._timers, len(self.clock.getDelayedCalls()))},
        )
