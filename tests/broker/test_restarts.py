"""An engine that was restarted: what should run is started again at once, where it was."""

from __future__ import annotations

from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.restarts import BETWEEN, LOOKS
from dockerbroker.model.containers import LABEL_INSTANCE
from dockerbroker.model.pings import encode_ping
from dockerbroker.model.plans import ContainerOptions
from dockerbroker.model.world import MOST_STARTS, START_PAUSE
from tests.broker.test_comparing import OTHER, Overlaid, value
from tests.memory_engine import MemoryContainer, MemoryEngine
from tests.pinging import ping
from tests.stack import HOST, REDIS, Stack, add_service

#: Long enough for all looks, and much shorter than the time between two passes of the comparer.
SOON: Final = LOOKS * BETWEEN


class RestartsTests(SynchronousTestCase):
    """A broker whose comparer does not run, so that all comes from pings."""

    def setUp(self) -> None:
        """Have three instances, and an agent that has told of its engine."""
        self.stack = Stack()
        for instance_id in ("i-1", "i-2", "i-3"):
            self.assertEqual(self.stack.provision(instance_id).status, 201)
        self.addCleanup(self.stack.restarts.stop)
        self.ping("e-1")

    def ping(self, session: str | None, stack: Stack | None = None, **vitals: Any) -> None:
        """Let the host's agent ping a broker."""
        told = encode_ping(ping(HOST, engine_session=session, **vitals), "now")
        self.assertEqual((stack or self.stack).request("POST", "/ping", told).status, 200)

    def running(self) -> int:
        """Return how many containers run."""
        return len(self.stack.engine.running())

    def container(self, instance_id: str) -> MemoryContainer:
        """Return the instance's container."""
        found = {one.spec.labels[LABEL_INSTANCE]: one for one in self.stack.engine.world.values()}
        return found[instance_id]

    def test_started_again(self) -> None:
        """When a ping tells of another session of the engine all containers run again within seconds."""
        ports = [one.spec.ports for one in self.stack.engine.world.values()]
        self.stack.engine.restart()
        self.ping("e-2")
        self.assertEqual(self.running(), 0)
        self.stack.advance(BETWEEN)
        self.assertEqual(self.running(), 3)
        self.assertEqual([one.spec.ports for one in self.stack.engine.world.values()], ports)
        self.assertEqual(value(self.stack.persister.conditions()), {})

    def test_one_look_is_not_enough(self) -> None:
        """What is only seen once is not started: somebody may be about to start it."""
        stopped = self.container("i-1")
        stopped.running = False
        self.ping("e-2")
        self.stack.advance(BETWEEN / 2)
        stopped.running = True
        started = called(self.stack.engine, "start")
        self.stack.advance(SOON)
        self.assertEqual(called(self.stack.engine, "start"), started)

    def test_known_already(self) -> None:
        """The same session, the first one that is heard, none, and one in trouble tell of nothing."""
        self.stack.engine.restart()
        self.ping("e-1")
        self.ping("e-2", trouble="It does not answer.")
        self.ping(None)
        neighbour = self.stack.neighbour()
        self.addCleanup(neighbour.restarts.stop)
        self.ping("e-2", neighbour)
        self.stack.advance(SOON)
        self.assertEqual(self.running(), 0)

    def test_after_trouble(self) -> None:
        """An engine that was in trouble and answers again is looked at if it was restarted meanwhile."""
        self.stack.engine.restart()
        self.ping("e-1", trouble="It does not answer.")
        self.ping("e-2")
        self.stack.advance(BETWEEN)
        self.assertEqual(self.running(), 3)

    def test_again_and_again(self) -> None:
        """However often the engine is restarted, all runs again: that is not the containers' fault."""
        for number in range(MOST_STARTS + 2):
            self.stack.engine.restart()
            self.ping(f"e-2-{number}")
            self.stack.advance(SOON)
            self.assertEqual(self.running(), 3)
        self.assertLess(self.stack.clock.seconds(), START_PAUSE * MOST_STARTS)

    def test_restarted_while_it_is_looked_at(self) -> None:
        """An engine that is restarted once more while its host is compared is compared once more."""
        self.ping("e-2")
        hang = self.stack.engine.hang_next("containers")
        self.ping("e-3")
        self.stack.advance(BETWEEN)
        self.stack.engine.restart()
        self.ping("e-4")
        self.assertTrue(hang.reached)
        hang.release()
        self.stack.advance(2 * SOON)
        self.assertEqual(self.running(), 3)

    def test_not_meant_to_run(self) -> None:
        """A container whose plan says that it is not restarted is left as it is."""
        plan = evolve(REDIS.plan, id="once_100", options=ContainerOptions(restart="no"))
        self.stack.add_definition(evolve(REDIS, name="once", plans=(plan,)))
        made = self.stack.provision("i-4", service_id="once", plan_id="once_100")
        self.assertEqual(made.status, 201)
        self.stack.engine.restart()
        self.ping("e-2")
        self.stack.advance(SOON)
        self.assertFalse(self.container("i-4").running)
        self.assertEqual(self.running(), 3)

    def test_costly_looks_are_rare(self) -> None:
        """The more of a processor a look takes, the later the next one is."""
        spent = iter(range(0, 10_000, 10))
        self.stack.comparer.spent = lambda: float(next(spent))
        self.ping("e-2")
        self.stack.advance(SOON)
        before = called(self.stack.engine, "containers")
        self.ping("e-3")
        self.stack.advance(100)
        self.assertEqual(called(self.stack.engine, "containers"), before)
        self.stack.advance(100)
        self.assertGreater(called(self.stack.engine, "containers"), before)

    def test_other_hosts(self) -> None:
        """Only the hosts whose engine was restarted are looked at."""
        other = self.stack.add_host(OTHER)
        add_service(other)
        self.stack.engine.restart()
        before = called(other, "containers")
        self.ping("e-2")
        self.stack.advance(SOON)
        self.assertEqual(called(other, "containers"), before)

    def test_database_away(self) -> None:
        """When the database fails in the middle, the next restart is heard of all the same."""
        self.stack.engine.restart()
        persister = self.stack.comparer.persister
        broken = Overlaid(persister, instances=_broken)
        self.stack.comparer.persister = broken  # type: ignore[assignment]
        self.ping("e-2")
        self.stack.advance(SOON)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.stack.comparer.persister = persister
        self.ping("e-3")
        self.stack.advance(SOON)
        self.assertEqual(self.running(), 3)

    def test_paused(self) -> None:
        """While the database is another deployment's nothing is looked at."""
        self.stack.engine.restart()
        self.stack.restarts.is_paused = True
        self.ping("e-2")
        self.stack.advance(SOON)
        self.assertEqual(self.running(), 0)

    def test_stopped(self) -> None:
        """A broker that ends looks at nothing any more, and leaves no timer."""
        self.stack.engine.restart()
        self.ping("e-2")
        before = len(self.stack.clock.getDelayedCalls())
        self.stack.restarts.stop()
        self.ping("e-3")
        self.assertEqual(len(self.stack.clock.getDelayedCalls()), before - 1)
        self.stack.advance(SOON)
        self.assertEqual(self.running(), 0)


def called(engine: MemoryEngine, method: str) -> int:
    """Return how often that was asked of the engine."""
    return sum(call[0] == method for call in engine.calls)


async def _broken(after: str, limit: int) -> Any:
    del after, limit
    raise ZeroDivisionError("a defect")
