"""The campaign finds brokers that are broken on purpose: otherwise nothing that it says could be trusted."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.crashpoints import without_place
from dockerbroker.model.instances import BindingState, Change, Operation
from dockerbroker.model.secrets import Secret
from tests.crash.databases import MemoryDatabase
from tests.crash.invariants import empty_complaints, settled_complaints
from tests.crash.platform import Platform
from tests.crash.scenarios import Act
from tests.crash.world import Death, World, result
from tests.memory_persister import MemoryPersister

_MADE = Act(kind="provision", instance_id="i-1")
_BOUND = Act(kind="bind", instance_id="i-1", binding_id="b-1")
_DELETED = Act(kind="deprovision", instance_id="i-1")


@define(eq=False)
class ForgetfulPersister(MemoryPersister):
    """A database in which nothing that a dead broker held is ever claimed."""

    async def claim(self, owner: str, *, ttl: float) -> list[Operation]:
        """Claim nothing."""
        del owner, ttl
        return []


@define(eq=False)
class CarelessPersister(MemoryPersister):
    """A database that loses the credentials of bindings."""

    async def commit(self, change: Change) -> None:
        """Write everything but those."""
        binding = change.binding
        if binding is not None and binding.state is BindingState.BOUND:
            document = Secret({"credentials": {"password": "?"}})
            change = evolve(change, binding=evolve(binding, document=document))
        await MemoryPersister.commit(self, change)


@define(eq=False)
class BrokenDatabase(MemoryDatabase):
    """A database with persisters that are broken."""

    make: Any = MemoryPersister

    def persister(self) -> MemoryPersister:
        """Return a broken one."""
        persister: MemoryPersister = self.make(self.seconds, self.tables)
        return persister


class SabotageTests(SynchronousTestCase):
    """What each breakage is called."""

    def world(self, *deaths: Death, make: Any = MemoryPersister) -> tuple[World, Platform]:
        """Return a world in which brokers die these deaths, on such persisters."""
        clock = Clock()
        world = World(BrokenDatabase(clock.seconds, make=make), clock, list(deaths))
        return world, Platform(world)

    def live(self, world: World, platform: Platform, *acts: Act) -> str:
        """Let the platform act; return all complaints when everything had time to settle."""
        for act in acts:
            world.wait(platform.perform(act), 4000)
        world.advance(200)
        return "\n".join(settled_complaints(world, platform))

    def test_sound(self) -> None:
        """A broker that is not broken gives no cause for complaint, whatever it dies of."""
        world, platform = self.world(Death("engine.start:after"))
        self.assertEqual(self.live(world, platform, _MADE, _BOUND), "")
        self.assertEqual(self.live(world, platform, _DELETED), "")
        self.assertEqual(empty_complaints(world), [])

    def test_not_taken_over(self) -> None:
        """An operation that nobody takes over is found."""
        world, platform = self.world(Death("engine.start:after"), make=ForgetfulPersister)
        found = self.live(world, platform, _MADE)
        self.assertIn("never ends", found)
        self.assertIn("is not over", found)

    def test_lost_container(self) -> None:
        """A container that is gone, or does not run, is found."""
        world, platform = self.world()
        self.live(world, platform, _MADE)
        (name,) = world.engine.running()
        world.engine.crash(name)
        self.assertIn("does not run", self.live(world, platform))
        world.engine.world.clear()
        self.assertIn("lost or double", self.live(world, platform))

    def test_lost_rows(self) -> None:
        """An instance of which no row is left is found: by the platform, and as a leak."""
        world, platform = self.world()
        self.live(world, platform, _MADE)
        world.reader.tables.instances.clear()
        found = self.live(world, platform)
        self.assertIn("lost: the platform believes that ('i-1', None) is there", found)
        self.assertIn("leaked: the container", found)
        self.assertIn("leased are the ports", found)

    def test_lost_credentials(self) -> None:
        """Credentials that are stored otherwise than they are good, or were told, are found."""
        world, platform = self.world(make=CarelessPersister)
        self.assertIn("lost: the binding", self.live(world, platform, _MADE, _BOUND))

    def test_leaked(self) -> None:
        """A container that is left after a deletion is found."""
        world, platform = self.world()
        self.live(world, platform, _MADE)
        kept = dict(world.engine.world)
        self.live(world, platform, _DELETED)
        world.engine.world.update(kept)
        self.assertIn("leaked: the container", self.live(world, platform))
        self.assertIn("left of containers", "\n".join(empty_complaints(world)))

    def test_kept_by_its_image(self) -> None:
        """An image may keep what it does not let go of, unless the platform was told that it is gone."""
        world, platform = self.world()
        self.live(world, platform, _MADE)
        world.service.failing = {"deprovision": 1}
        self.assertEqual(self.live(world, platform, _DELETED), "")
        deed = platform.deeds[-1]
        self.assertEqual(deed.outcome, "failed")
        deed.outcome = "accepted"
        self.assertEqual(self.live(world, platform), "")
        deed.outcome = "done"
        self.assertIn("leaked: the platform believes that ('i-1', None) is gone", self.live(world, platform))

    def test_double_container(self) -> None:
        """A second container of an instance is found the moment it runs."""
        world, platform = self.world()
        self.live(world, platform, _MADE)
        (made,) = world.engine.world.values()
        world.engine.world["other"] = evolve(made, id="other", spec=evolve(made.spec, name="other"))
        found = self.live(world, platform, _BOUND)
        self.assertIn("two containers of one instance run", found)
        self.assertIn("lost or double", found)

    def test_double_run(self) -> None:
        """Two executables of one instance that run at once are found."""
        world, platform = self.world()
        world.service.slow = {"bind": 5.0}
        self.live(world, platform, _MADE)
        ended = platform.perform(_BOUND)
        world.advance(1)
        stdin = next(run.stdin for run in world.engine.execs.values() if run.running)
        world.service._run(stdin or b"", {"BROKER_ACTION": "bind"})
        world.wait(ended, 60)
        self.assertIn("/bind of i-1 beside its /bind", self.live(world, platform))


class DeathTests(SynchronousTestCase):
    """Dying in this world is like dying in a real one."""

    def test_nothing_goes_on(self) -> None:
        """A dead broker does nothing more, not even in what waited when it died."""
        clock = Clock()
        world = World(MemoryDatabase(clock.seconds), clock, [Death("engine.start:before")])
        asked = world.ask("PUT", "/v2/service_instances/i-1?accepts_incomplete=true", {})
        self.assertIsInstance(asked, Deferred)
        platform = Platform(world)
        platform.perform(_MADE)
        world.advance(0)
        self.assertEqual(without_place(world.lives[0].died_at or ""), "engine.start:before")
        reached = world.lives[0].counts.total()
        world.advance(100)
        self.assertEqual(world.lives[0].counts.total(), reached)
        self.assertEqual(len(world.lives), 2)
        asked.addErrback(lambda _: None)

    def test_exact(self) -> None:
        """A broker dies when it comes to its point for the time that was named, wherever that is."""
        clock = Clock()
        world = World(MemoryDatabase(clock.seconds), clock, [Death("persister.host:after", 3)])
        platform = Platform(world)
        platform.perform(_MADE)
        world.advance(0)
        died = world.lives[0]
        self.assertEqual(sum(n for name, n in died.counts.items() if "persister.host:after" in name), 3)
        self.assertIsNotNone(died.died_at)
        self.assertEqual(result(world.reader.instances("", 10))[0].id, "i-1")
