"""The checker notices each way in which a broker can be broken, and says nothing of a sound one."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.limits import LEASE
from dockerbroker.invariants import Snapshot, breaches
from dockerbroker.model.orphans import Kind
from tests.invariants.living import Deployment
from tests.invariants.sabotage import DenyingPersister, Sabotage
from tests.platform.driving import settle
from tests.stack import Stack

INSTANCE = "/v2/service_instances/i-1?accepts_incomplete=true"
PROVISION = {"service_id": "redis", "plan_id": "small", "organization_guid": "o", "space_guid": "s"}


class LivingCase(SynchronousTestCase):
    """Deployments that live, and what the checker says about them."""

    def deployment(self, flag: Sabotage = Sabotage.NOTHING, **options: Any) -> Deployment:
        """Return a deployment that is closed when the test is over."""
        deployment = Deployment(flag, **options)
        self.addCleanup(deployment.close)
        return deployment

    def found(self, world: Snapshot) -> set[str]:
        """Return the names of the invariants that are breached."""
        return {line.partition(":")[0] for line in breaches(world)}

    def live(self, deployment: Deployment) -> Snapshot:
        """Let a platform do everything that it can do; return what was seen."""
        platform, stack = deployment.platform, deployment.stack
        for instance_id in ("i-1", "i-2", "i-3"):
            deployment.create(instance_id)
        settle(stack, platform.bind("i-1", "b-1"))
        settle(stack, platform.bind("i-2", "b-2"))
        settle(stack, platform.update_service("i-1", plan_id="large"))
        settle(stack, platform.unbind("i-2", "b-2"))
        settle(stack, platform.delete_service("i-2"))
        return deployment.snapshot()


class SoundTests(LivingCase):
    """Nothing is broken."""

    def test_life(self) -> None:
        """A sound build that was used in every way breaches nothing, and all kinds of things were seen."""
        world = self.live(self.deployment())
        self.assertEqual(breaches(world), [])
        self.assertEqual({one.id for one in world.instances}, {"i-1", "i-3"})
        for seen in (world.samples, world.runs, world.history, world.log, world.believed):
            self.assertTrue(seen)

    def test_reaping(self) -> None:
        """A sound reaper removes what is left over, and breaches nothing."""
        deployment = self.deployment()
        deployment.create("i-1")
        leave_orphan(deployment)
        world = deployment.snapshot()
        kinds = [removal.orphan.kind for removal in world.removals]
        self.assertEqual((breaches(world), kinds), ([], [Kind.CONTAINER, Kind.VOLUME]))

    def test_takeover(self) -> None:
        """When a broker hangs and another takes over, the first writes nothing any more."""
        self.assertEqual(self.found(taken_over(self.deployment(hold=Once("provision.create", 1)))), set())


def leave_orphan(deployment: Deployment) -> None:
    """Leave a container of an instance that was deprovisioned."""
    deployment.create("i-9")
    (spec,) = [
        one.spec for one in deployment.stack.engine.world.values() if "i-9" in one.spec.labels.values()
    ]
    settle(deployment.stack, deployment.platform.delete_service("i-9"))
    Deferred.fromCoroutine(deployment.stack.engine.create(spec))


class Once:
    """Holds a broker at the crash point of that name's beginning, so many times."""

    def __init__(self, prefix: str, times: int) -> None:
        self.prefix = prefix
        self.times = times

    def __call__(self, name: str) -> bool:
        """Whether the broker is to be held here."""
        if not name.startswith(self.prefix) or self.times == 0:
            return False
        self.times -= 1
        return True


class Death:
    """Holds a broker at every crash point from the first one of that name's beginning on."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.is_dead = False

    def __call__(self, name: str) -> bool:
        """Whether the broker is to be held here."""
        self.is_dead = self.is_dead or name.startswith(self.prefix)
        return self.is_dead


def taken_over(deployment: Deployment) -> Snapshot:
    """Let a broker hang in a provision until another has taken it over, and go on then."""
    asked = deployment.stack.ask("PUT", INSTANCE, PROVISION)
    # A program that hangs keeps no lease.
    deployment.stack.reconciler.stop()
    other: Stack = deployment.broker("broker-2")
    deployment.stack.advance(LEASE + 15)
    for waiting in deployment.held:
        waiting.callback(None)
    deployment.stack.advance(30)
    assert asked.answer is not None
    world = deployment.snapshot()
    other.reconciler.stop()
    return world


class SabotageTests(LivingCase):
    """Each build is broken in one way."""

    def test_forgotten_removal(self) -> None:
        """I1, I6: a worker that forgets to remove containers, as a platform was told, is noticed."""
        found = self.found(self.live(self.deployment(Sabotage.FORGETS_REMOVAL)))
        self.assertEqual(found, {"I1", "I6"})

    def test_nobody_compares(self) -> None:
        """I2: a missing container of which nobody tells is noticed; a broker that compares does tell."""
        for flag, expected in ((Sabotage.NOTHING, set()), (Sabotage.DOES_NOT_COMPARE, {"I2", "I6"})):
            deployment = self.deployment(flag)
            deployment.create("i-1")
            deployment.stack.engine.world.clear()
            self.assertEqual(self.found(deployment.snapshot()), expected)

    def test_two_containers(self) -> None:
        """I3: two containers of an instance that run at once are noticed, though only for a moment."""
        world = self.live(self.deployment(Sabotage.DOES_NOT_HALT))
        self.assertEqual(self.found(world), {"I3"})

    def test_kept_leases(self) -> None:
        """I4: ports that are reserved for nobody are noticed."""
        deployment = self.deployment(Sabotage.KEEPS_LEASES)
        deployment.stack.image.image = with_ports(deployment.stack.image.image)
        world = self.live(deployment)
        self.assertEqual(self.found(world), {"I4"})

    def test_nobody_takes_over(self) -> None:
        """I5: an operation that was acknowledged and never ends is noticed."""
        for flag, expected in ((Sabotage.NOTHING, set()), (Sabotage.TAKES_NOTHING_OVER, {"I5"})):
            deployment = self.deployment(flag, hold=Death("provision.ready"))
            deployment.stack.ask("PUT", INSTANCE, PROVISION)
            deployment.stack.advance(5)
            # Nothing of the first broker goes on any more; another one is started.
            other = deployment.broker("broker-2")
            deployment.stack.advance(1000)
            self.assertEqual(self.found(deployment.snapshot()), expected)
            other.reconciler.stop()

    def test_denied_instance(self) -> None:
        """I6, I7: an instance that is told to be gone, and lives, is noticed."""
        deployment = self.deployment(Sabotage.DENIES_INSTANCES)
        deployment.create("i-1")
        assert isinstance(deployment.persister, DenyingPersister)
        deployment.persister.denies = "instances"
        settle(deployment.stack, deployment.platform.delete_service("i-1"))
        self.assertEqual(self.found(deployment.snapshot()), {"I6", "I7"})

    def test_denied_binding(self) -> None:
        """I7: a binding that is believed to be gone, and is on record, is noticed."""
        deployment = self.deployment(Sabotage.DENIES_BINDINGS)
        deployment.create("i-1")
        settle(deployment.stack, deployment.platform.bind("i-1", "b-1"))
        assert isinstance(deployment.persister, DenyingPersister)
        deployment.persister.denies = "bindings"
        settle(deployment.stack, deployment.platform.unbind("i-1", "b-1"))
        self.assertEqual(self.found(deployment.snapshot()), {"I7"})

    def test_two_operations(self) -> None:
        """I8: two executables that are at work on an instance at once are noticed."""
        for flag, expected in ((Sabotage.NOTHING, set()), (Sabotage.ALLOWS_TWO_OPERATIONS, {"I8"})):
            deployment = self.deployment(flag)
            deployment.create("i-1")
            deployment.slow["bind"] = 5.0
            binds = [deployment.platform.bind("i-1", f"b-{number}") for number in range(2)]
            for bind in binds:
                Deferred.fromCoroutine(bind)
            deployment.stack.advance(100)
            self.assertLessEqual(expected, self.found(deployment.snapshot()))

    def test_ignored_epochs(self) -> None:
        """I10: a broker that goes on writing when another has taken over is noticed."""
        deployment = self.deployment(Sabotage.IGNORES_EPOCHS, hold=Once("provision.create", 1))
        self.assertIn("I10", self.found(taken_over(deployment)))

    def test_no_grace(self) -> None:
        """I12: a reaper that removes what is young is noticed."""
        deployment = self.deployment(Sabotage.HAS_NO_GRACE)
        deployment.create("i-1")
        leave_orphan(deployment)
        self.assertEqual(self.found(deployment.snapshot()), {"I12"})

    def test_leaked_timers(self) -> None:
        """I13: timers that are left behind are noticed."""
        self.assertEqual(self.found(self.live(self.deployment(Sabotage.LEAKS_TIMERS))), {"I13"})

    def test_dropped_errors(self) -> None:
        """I14: an error that nobody handles is noticed."""
        world = self.live(self.deployment(Sabotage.DROPS_ERRORS))
        self.assertIn("I14", self.found(world))
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_falling_over(self) -> None:
        """I16: an answer of 500 when nothing was wrong is noticed."""
        deployment = self.deployment(Sabotage.FALLS_OVER)
        deployment.create("i-1")
        deployment.create("i-2")
        self.assertIn("I16", self.found(deployment.snapshot()))
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))


def with_ports(image: Any) -> Any:
    """Return the image with a port."""
    return evolve(image, ports=("6379/tcp",))
