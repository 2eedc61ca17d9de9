"""Under random requests, crashes, restarts, lost hosts and time the world is as the platform believes."""

from __future__ import annotations

import os
from typing import Any, Final

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.asking import binding_path, instance_path
from tests.crash.databases import MemoryDatabase
from tests.crash.invariants import empty_complaints, settled_complaints
from tests.crash.platform import Deed, Platform
from tests.crash.scenarios import Act
from tests.crash.test_campaign import VARIABLE
from tests.crash.world import Death, World, result

_INSTANCES: Final = ("i-1", "i-2")
_BINDINGS: Final = ("b-1", "b-2")
#: Nothing takes longer than this: neither a request with all its polls nor what is parked; seconds.
_PATIENCE: Final = 4000.0

#: An instance with its bindings.
Model = dict[str, set[str]]

instances = st.sampled_from(_INSTANCES)
kinds = st.sampled_from(("provision", "update", "bind", "unbind", "deprovision"))
changes = st.sampled_from(({"parameters": {"size": 2}}, {"parameters": {"size": 3}}, {"plan_id": "large"}))


class Life(RuleBasedStateMachine):
    """A world, the platform that uses it, and a model of what there is.

    `unsure` are instances of which the model knows nothing until everything has settled.
    """

    def __init__(self) -> None:
        super().__init__()
        clock = Clock()
        self.world = World(MemoryDatabase(clock.seconds), clock)
        self.platform = Platform(self.world)
        self.model: Model = {}
        self.unsure: set[str] = set()
        self.pending: list[Deferred[Deed]] = []
        self.is_troubled = False

    # Requests.

    @rule(
        kind=kinds,
        instance_id=instances,
        binding_id=st.sampled_from(_BINDINGS),
        change=changes,
        asynchronous=st.booleans(),
        waits=st.booleans(),
    )
    def request(
        self,
        kind: str,
        instance_id: str,
        binding_id: str,
        change: dict[str, Any],
        *,
        asynchronous: bool,
        waits: bool,
    ) -> None:
        """Send a request, and wait for its end or not."""
        act = Act(
            kind=kind,
            instance_id=instance_id,
            binding_id=binding_id if kind in {"bind", "unbind"} else None,
            change=change if kind == "update" else {},
            asynchronous=asynchronous,
        )
        ended = self.platform.perform(act)
        deed = self.platform.deeds[-1]
        if not waits or self.pending:
            self.unsure.add(instance_id)
        if not waits:
            self.pending.append(ended)
            return
        assert self.world.wait(ended, _PATIENCE), f"never ends: {deed}"
        if instance_id not in self.unsure:
            self.learn(deed)

    def learn(self, deed: Deed) -> None:
        """Compare what came of a request with the model, and change the model accordingly."""
        act = deed.act
        is_there = act.instance_id in self.model
        bindings = self.model.get(act.instance_id, set())
        if deed.outcome in {"failed", "unknown", "accepted"}:
            assert self.is_troubled, f"nothing stood in the way: {deed}"
            self.unsure.add(act.instance_id)
            return
        if deed.outcome == "refused":
            assert act.kind in {"update", "bind"}, f"nothing to refuse: {deed}"
            assert not is_there or self.is_troubled, f"nothing to refuse: {deed}"
            return
        match act.kind:
            case "provision":
                self.model.setdefault(act.instance_id, set())
            case "update":
                assert is_there, f"there is nothing to update: {deed}"
            case "bind":
                assert is_there, f"there is nothing to bind: {deed}"
                bindings.add(act.binding_id or "")
            case "unbind":
                bindings.discard(act.binding_id or "")
            case "deprovision":
                self.model.pop(act.instance_id, None)

    # What happens.

    @rule(points=st.integers(0, 60))
    def crash(self, points: int) -> None:
        """Let a broker die after so many points, or now."""
        broker = self.world.living[0]
        if points == 0:
            self.world.kill(broker)
            self.world.advance(0)
        else:
            broker.life.death = Death(None, broker.life.counts.total() + points)
        # A request may lose its broker when it has little time left.
        self.is_troubled = True

    @rule()
    def restart(self) -> None:
        """Let a broker end in an orderly way, and another begin."""
        self.world.restart(self.world.living[0])

    @rule(seconds=st.sampled_from((2.0, 20.0, 100.0)))
    def lose_host(self, seconds: float) -> None:
        """Let the host be out of reach for a while."""
        self.is_troubled = True
        engine = self.world.engine
        engine.reachable = False
        self.world.clock.callLater(seconds, setattr, engine, "reachable", True)

    @rule(slow=st.dictionaries(kinds, st.sampled_from((1.0, 12.0)), max_size=2))
    def slow_down(self, slow: dict[str, float]) -> None:
        """Let executables take their time."""
        self.world.service.slow = slow

    @rule(kind=kinds)
    def break_down(self, kind: str) -> None:
        """Let the next run of an executable fail."""
        self.is_troubled = True
        self.world.service.failing[kind] = 1

    @rule(seconds=st.sampled_from((0.1, 2.0, 16.0, 70.0)))
    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.world.advance(seconds)

    @rule(seconds=st.sampled_from((-86400.0, -1.0, 1.0, 86400.0)))
    def step_wall_clock(self, seconds: float) -> None:
        """Let somebody set the time of day: nothing is judged by it."""
        self.world.step_wall_clock(seconds)

    @rule()
    def settle(self) -> None:
        """Let everything come to rest, and compare the whole world with the model."""
        for ended in self.pending:
            assert self.world.wait(ended, _PATIENCE), "a request has no end"
        self.pending.clear()
        for broker in self.world.living:
            broker.life.death = None
        self.world.advance(150)
        end = self.world.clock.seconds() + 1000
        while self.world.clock.seconds() < end and self.is_busy():
            self.world.advance(5)
        complaints = settled_complaints(self.world, self.platform)
        assert complaints == [], f"{complaints}\n{self.history()}"
        found = {name: self.bindings_of(name) for name in _INSTANCES if self.is_there(instance_path(name))}
        for name in set(_INSTANCES) - self.unsure:
            assert found.get(name) == self.model.get(name), f"{name}: {found}, {self.model}\n{self.history()}"
        self.model = found
        self.unsure.clear()
        self.world.service.failing.clear()
        self.is_troubled = False

    # What is looked at.

    def is_busy(self) -> bool:
        """Whether an operation is not over."""
        return bool(result(self.world.reader.operations(unfinished=True, limit=1)))

    def bindings_of(self, instance_id: str) -> set[str]:
        """Return the bindings that can be fetched."""
        return {name for name in _BINDINGS if self.is_there(binding_path(instance_id, name))}

    def is_there(self, path: str) -> bool:
        """Whether something can be fetched."""
        statuses: list[int] = []
        answered = self.world.ask("GET", path)
        answered.addCallback(lambda answer: statuses.append(answer.status))
        assert self.world.wait(answered, 60)
        assert statuses[0] in {200, 404, 422}, statuses
        return statuses[0] == 200

    def history(self) -> str:
        """Return what was done, and who died where."""
        deaths = [life.died_at for life in self.world.lives if life.died_at]
        return "\n".join([*map(str, self.platform.deeds), f"died at: {deaths}"])

    @invariant()
    def nothing_double(self) -> None:
        """At no time do two containers of one instance run, or two executables in it."""
        assert self.world.complaints + self.world.service.complaints == [], self.history()

    def teardown(self) -> None:
        """Delete everything: nothing is left."""
        self.settle()
        self.world.engine.reachable = True
        for name in _INSTANCES:
            ended = self.platform.perform(Act(kind="deprovision", instance_id=name))
            assert self.world.wait(ended, _PATIENCE)
        self.world.advance(150)
        assert empty_complaints(self.world) == [], self.history()


class LifeTests(SynchronousTestCase):
    """The machine, run for a bounded time."""

    def test_life(self) -> None:
        """Whatever happens in whatever order, the world ends as the platform believes."""
        scale = float(os.environ.get(VARIABLE, "1"))
        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=max(int(400 * scale), 1),
                stateful_step_count=20,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        self.assertFalse(self.flushLoggedErrors())
