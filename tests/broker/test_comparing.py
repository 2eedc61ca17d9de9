"""Rows are compared with Docker again and again: what has stopped, what is missing, what nobody owns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.comparing import JITTER, KEPT, PERIOD
from dockerbroker.broker.observing import HOST_DEADLINE
from dockerbroker.errors import BadCommand, Unavailable
from dockerbroker.model.containers import LABEL_INSTANCE, ContainerSpec, container_name
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.orphans import GRACE
from tests.stack import REDIS, Stack, add_service

#: Long enough for one pass, and for two.
ONE: Final = PERIOD + JITTER
#: Long enough for an orphan to be removed.
ALL: Final = GRACE + 3 * ONE
OTHER: Final = DockerHost(
    key=HostKey(service_host="10.0.0.9", docker_host="10.0.0.9", docker_port=2375), keep_alive=86400
)


class ComparerCase(SynchronousTestCase):
    """A broker whose comparer runs."""

    def stack(self, *instances: str) -> Stack:
        """Return a broker with these instances."""
        stack = Stack()
        for instance_id in instances:
            self.assertEqual(stack.provision(instance_id).status, 201)
        stack.comparer.start()
        self.addCleanup(stack.comparer.stop)
        return stack

    def container(self, stack: Stack, instance_id: str) -> Any:
        """Return the instance's container."""
        (found,) = [
            one for one in stack.engine.world.values() if one.spec.labels[LABEL_INSTANCE] == instance_id
        ]
        return found

    def condition(self, stack: Stack, instance_id: str = "i-1") -> str | None:
        """Return what is on record of the instance."""
        conditions: dict[str, str] = value(stack.persister.conditions())
        return conditions.get(instance_id)


def value(coroutine: Any) -> Any:
    """Return what a coroutine returns that never waits."""
    outcome: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
    return outcome[0]


def orphan(stack: Stack, instance_id: str) -> str:
    """Leave a container of an instance that was deprovisioned; return its id."""
    stack.provision(instance_id)
    (spec,) = [
        one.spec for one in stack.engine.world.values() if one.spec.labels[LABEL_INSTANCE] == instance_id
    ]
    stack.deprovision(instance_id)
    made: str = value(stack.engine.create(spec))
    return made


class HealingTests(ComparerCase):
    """Instances that are not as they should be."""

    def test_stopped(self) -> None:
        """A container that somebody stopped runs again after two passes, and nothing is told of it."""
        stack = self.stack("i-1")
        stack.engine.crash(self.container(stack, "i-1").id)
        stack.advance(2 * ONE)
        self.assertTrue(self.container(stack, "i-1").running)
        self.assertIsNone(self.condition(stack))

    def test_after_a_restart_of_docker(self) -> None:
        """When Docker was restarted, all that should run is started again."""
        stack = self.stack("i-1", "i-2", "i-3")
        stack.engine.restart()
        stack.advance(2 * ONE)
        self.assertEqual(len(stack.engine.running()), 3)

    def test_does_not_start(self) -> None:
        """A container that cannot be started is told of, and the others are started all the same."""
        stack = self.stack("i-1", "i-2")
        stack.engine.restart()
        stack.engine.fail_next("start", BadCommand("It cannot be run."))
        stack.advance(2 * ONE)
        self.assertEqual(len(stack.engine.running()), 1)
        stack.image.startable = False
        stack.engine.restart()
        stack.advance(10 * ONE)
        self.assertIn("does not stay up", self.condition(stack) or "")

    def test_missing(self) -> None:
        """A container that somebody removed is told of and never made again; its return clears that."""
        stack = self.stack("i-1")
        lost = stack.engine.world.pop(self.container(stack, "i-1").id)
        stack.advance(3 * ONE)
        self.assertIn("missing", self.condition(stack) or "")
        self.assertEqual(stack.engine.world, {})
        stack.engine.world[lost.id] = lost
        stack.advance(ONE)
        self.assertIsNone(self.condition(stack))

    def test_silent_host(self) -> None:
        """A host that does not answer is told of; when it answers again, that is cleared."""
        stack = self.stack("i-1")
        stack.engine.reachable = False
        stack.advance(3 * ONE)
        self.assertIn("does not answer", self.condition(stack) or "")
        stack.engine.reachable = True
        stack.advance(ONE)
        self.assertIsNone(self.condition(stack))

    def test_complaint(self) -> None:
        """Why the Docker of a host cannot be used is on record, and told to the log once, until it can."""
        stack = self.stack("i-1")
        stack.engine.reachable = False
        events: list[LogEvent] = []
        observer = cast("ILogObserver", events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        stack.advance(3 * ONE)
        [report] = value(stack.persister.hosts())
        self.assertIn("cannot be reached", report.complaint)
        self.assertTrue(report.is_doubtful)
        told = [event for event in events if "cannot be used" in str(event.get("log_format"))]
        self.assertEqual(len(told), 1)
        stack.engine.reachable = True
        stack.advance(ONE)
        [report] = value(stack.persister.hosts())
        self.assertEqual((report.complaint, report.is_doubtful), ("", False))

    def test_hanging_host(self) -> None:
        """A host that hangs holds up nobody: the containers of the others are looked after."""
        stack = self.stack("i-1")
        other = stack.add_host(OTHER)
        hangs = [other.hang_next("containers") for _ in range(50)]
        stack.engine.crash(self.container(stack, "i-1").id)
        stack.advance(2 * ONE + 2 * HOST_DEADLINE)
        self.assertTrue(hangs[0].reached)
        self.assertTrue(self.container(stack, "i-1").running)

    def test_an_operation_began_meanwhile(self) -> None:
        """A container is not started when an operation has taken its instance since the rows were read."""
        stack = self.stack("i-1")
        stack.engine.crash(self.container(stack, "i-1").id)
        stack.advance(ONE)
        row = stack.persister.tables.instances["i-1"]
        instances = stack.persister.instances

        async def instances_and_then(after: str, limit: int) -> Any:
            page = await instances(after, limit)
            row["operation_id"] = "o-1"
            return page

        stack.comparer.persister = Overlaid(stack.persister, instances=instances_and_then)  # type: ignore[assignment]
        stack.advance(ONE)
        self.assertEqual(stack.engine.running(), [])


class Overlaid:
    """A persister some of whose methods are others."""

    def __init__(self, persister: Any, **methods: Callable[..., Any]) -> None:
        self._persister = persister
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._persister, name)


class ReapingTests(ComparerCase):
    """What nobody owns."""

    def test_orphan(self) -> None:
        """The container of an instance that is gone is removed; the others stay."""
        stack = self.stack("i-1")
        orphan(stack, "i-2")
        stack.advance(ALL)
        self.assertEqual(list(stack.engine.world.values()), [self.container(stack, "i-1")])

    def test_by_id(self) -> None:
        """Containers are removed by id, never by name."""
        stack = self.stack("i-1")
        made = orphan(stack, "i-2")
        stack.advance(ALL)
        removed = [call for call in stack.engine.calls if call[0] == "remove"]
        self.assertEqual(removed[-1][1], made)

    def test_two_brokers(self) -> None:
        """Two brokers that reap at once harm nothing: what is gone already is no error."""
        stack = self.stack("i-1")
        neighbour = stack.neighbour()
        neighbour.comparer.start()
        made = orphan(stack, "i-2")
        stack.advance(ALL)
        self.assertNotIn(made, stack.engine.world)
        self.assertTrue(self.container(stack, "i-1").running)

    def test_existing_container(self) -> None:
        """Containers without the broker's labels are never touched, whatever they are called."""
        stack = self.stack("i-1")
        name = container_name(stack.persister.tables.cluster_id, "i-9", 1)
        spec = ContainerSpec(name=name, image=REDIS.image, labels={}, ports={})
        mine = value(stack.engine.create(spec))
        stack.advance(ALL)
        self.assertIn(mine, stack.engine.world)

    def test_orphan_on_another_host(self) -> None:
        """An orphan is removed wherever it is, while another host is silent."""
        stack = self.stack("i-1")
        other = stack.add_host(OTHER)
        add_service(other)
        made = orphan(stack, "i-2")
        spec = stack.engine.world[made].spec
        value(other.create(spec))
        stack.engine.reachable = False
        stack.advance(ALL)
        self.assertEqual(other.world, {})
        self.assertIn(made, stack.engine.world)


class LoopTests(ComparerCase):
    """The loop itself."""

    def passes(self, stack: Stack) -> int:
        """Return how often the hosts were looked at."""
        return sum(call[0] == "containers" for call in stack.engine.calls)

    def test_never_dies(self) -> None:
        """A pass that fails, with whatever error, is followed by others."""
        stack = self.stack("i-1")
        for error in (Unavailable("The database is away."), ZeroDivisionError()):
            stack.persister.fail_next("operations", error)
        stack.persister.fail_next("cluster_id", Unavailable("The database is away."))
        stack.advance(10 * ONE)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertGreaterEqual(self.passes(stack), 6)

    def test_failed_pass_breaks_the_succession(self) -> None:
        """When every other pass fails nothing is ever seen twice in succession, and nothing is removed."""
        stack = self.stack("i-1")
        made = orphan(stack, "i-2")
        for _ in range(10):
            stack.advance(PERIOD)
            stack.persister.fail_next("conditions", Unavailable("The database is away."))
            stack.advance(PERIOD)
        self.assertIn(made, stack.engine.world)

    def test_stop(self) -> None:
        """Once it was stopped nothing is done any more, not even what a pass had begun."""
        stack = self.stack("i-1")
        for instance_id in ("i-2", "i-3"):
            orphan(stack, instance_id)
        hang = stack.engine.hang_next("remove")
        while not hang.reached:
            stack.advance(PERIOD)
        stack.comparer.stop()
        before = list(stack.engine.calls)
        hang.release()
        stack.advance(10 * ONE)
        self.assertEqual(stack.engine.calls, before)

    def test_costly_passes_are_rare(self) -> None:
        """The more of a processor passes take, the rarer they are: they get a twentieth at most."""
        stack = self.stack("i-1")
        spent = iter(range(0, 100_000, 10))
        stack.comparer.spent = lambda: float(next(spent))
        stack.advance(2000.0)
        self.assertLessEqual(self.passes(stack), 2000 / 200)
        self.assertGreater(self.passes(stack), 5)

    def test_forgets_operations(self) -> None:
        """Operations that have been over for a week are forgotten; the last of an instance is kept."""
        stack = self.stack("i-1")
        stack.provision("i-2")
        stack.deprovision("i-2")
        stack.advance(2 * ONE)
        self.assertEqual(len(stack.persister.tables.operations), 3)
        wall = stack.comparer.wall
        stack.comparer.wall = lambda: wall() + KEPT
        stack.advance(ONE)
        kept = [row["instance_id"] for row in stack.persister.tables.operations.values()]
        self.assertEqual(kept, ["i-1"])
