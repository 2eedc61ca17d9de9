"""The reaper removes what nobody owns, and nothing else, whatever the world looks like."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.reaping import Reaped, Reaper
from dockerbroker.model.instances import InstanceState, OperationKind, Phase
from dockerbroker.model.orphans import GRACE, Kind, cap
from dockerbroker.model.world import HostSight, Place
from tests.broker.reaper_worlds import HOSTS, RandomWorld, Thing, random_world

#: How many random worlds the reaper is tried on.
WORLDS: Final = 10_000
HOST: Final = HOSTS[0]


def seeded(seed: int) -> Random:
    """Return random numbers that are the same every time."""
    return Random(seed)  # noqa: S311 (nothing secret is made of them)


class ReaperCase(SynchronousTestCase):
    """What is true of every pass of a reaper."""

    def world(self) -> RandomWorld:
        """Return a world with many containers that are owned, so that ten of a hundred may go."""
        world = RandomWorld(seeded(0))
        for _ in range(100):
            row = world.row(HOST)
            container = world.container(HOST, row.id)
            world.rows[row.id] = evolve(row, container_id=container)
        return world


class PropertyTests(SynchronousTestCase):
    """Random worlds."""

    seed = ""

    def test_random_worlds(self) -> None:
        """What I12 protects is never removed, the rest within two passes after the grace."""
        seen: Counter[str] = Counter()
        for seed in range(WORLDS):
            self.seed = f"seed {seed}"
            random = seeded(seed)
            self.live_through(random_world(random), random, seen)
        # A test in which nothing is ever removed or refused would prove nothing.
        self.assertGreater(seen["removed"], WORLDS)
        self.assertGreater(seen["refused"], WORLDS // 20)

    def live_through(self, world: RandomWorld, random: Random, seen: Counter[str]) -> None:
        """Do passes while hosts fall silent, and then more until everything must have been removed."""
        reaper = world.reaper()
        first: dict[Thing, float] = {}
        for _ in range(random.randrange(3)):
            silent = random.sample(HOSTS, random.choice([0, 0, 1, 2]))
            self.one_pass(world, reaper, first, random.uniform(5, 50), silent)
        for _ in range(4):
            self.one_pass(world, reaper, first, 31.0, [])
        left = world.doomed - set(world.removed)
        if is_suspicious(world):
            seen["refused"] += 1
        else:
            self.assertEqual(left, set(), self.seed)
        seen["removed"] += len(world.removed)

    def one_pass(
        self,
        world: RandomWorld,
        reaper: Reaper,
        first: dict[Thing, float],
        after: float,
        silent: list[Any],
    ) -> None:
        """Do a pass and check each of its removals."""
        before = len(world.removed)
        world.clock.advance(after)
        sights = world.look(silent)
        things = there(sights)
        total = Counter(isinstance(thing, str) for thing in things)
        for thing in list(first):
            if thing not in things:
                del first[thing]
        outcome = world.reap_seen(reaper, sights)
        for thing in things:
            first.setdefault(thing, world.clock.seconds())
        removed = world.removed[before:]
        self.assertLessEqual(set(removed), world.doomed, self.seed)
        self.assertFalse(set(removed) & world.sacred, self.seed)
        for thing in removed:
            self.assertGreater(world.clock.seconds() - first[thing], GRACE, self.seed)
        for is_container, count in Counter(isinstance(thing, str) for thing in removed).items():
            self.assertLessEqual(count, cap(total[is_container]), self.seed)
        self.assertEqual(len(outcome.removals), len(removed))


def there(sights: dict[Place, HostSight]) -> set[Thing]:
    """Return what is seen of the hosts that answer."""
    found: set[Thing] = set()
    for place, sight in sights.items():
        found |= set(sight.containers)
        found |= {(volume.name, place) for volume in sight.volumes}
    return found


def is_suspicious(world: RandomWorld) -> bool:
    """Whether so much is without an owner that nothing may be removed."""
    things = there(world.look())
    total = Counter(isinstance(thing, str) for thing in things)
    containers = len(world.doomed & {thing for thing in things if isinstance(thing, str)})
    # Volumes that somebody uses cannot go, but have no owner either.
    owners = [owner for there in world.volumes.values() for owner in there.values()]
    volumes = sum(owner not in world.rows for owner in owners)
    return containers > cap(total[True]) or volumes > cap(total[False])


class GuardTests(ReaperCase):
    """Each of the reasons to remove nothing."""

    def passes(self, world: RandomWorld, reaper: Reaper, count: int = 6) -> list[Reaped]:
        """Do passes, more than the grace takes."""
        return [world.reap(reaper) for _ in range(count)]

    def assert_refused(self, world: RandomWorld, fragment: str, **options: Any) -> None:
        """Nothing is removed in many passes, and the reason is told."""
        outcomes = self.passes(world, world.reaper(**options), 20)
        self.assertEqual(world.removed, [])
        self.assertIn(fragment, outcomes[-1].refusal or "")

    def test_grace(self) -> None:
        """An orphan is removed in the first pass after its grace."""
        world = self.world()
        orphan = world.container(HOST, world.gone())
        outcomes = self.passes(world, world.reaper())
        self.assertEqual([len(one.removals) for one in outcomes], [0, 0, 0, 1, 0, 0])
        (removal,) = outcomes[3].removals
        self.assertEqual((removal.orphan.id, removal.count, removal.total), (orphan, 1, 101))
        self.assertGreater(removal.at - removal.sighting.first, GRACE)

    def test_two_passes(self) -> None:
        """An orphan is seen twice before it is removed, however long the time between was."""
        world = self.world()
        world.container(HOST, world.gone())
        reaper = world.reaper()
        self.assertEqual([len(world.reap(reaper, 500.0).removals) for _ in range(2)], [0, 1])

    def test_not_in_succession(self) -> None:
        """A pass that failed, or a host that was silent, begins the count again."""
        world = self.world()
        world.container(HOST, world.gone())
        reaper = world.reaper()
        world.reap(reaper)
        reaper.begin_again()
        world.reap(reaper, 500.0)
        world.reap(reaper, 500.0, silent=[HOST])
        world.reap(reaper, 500.0)
        self.assertEqual(world.removed, [])

    def test_too_many(self) -> None:
        """When more than a tenth has no owner nothing is removed at all."""
        world = self.world()
        for _ in range(12):
            world.container(HOST, world.gone())
        self.assert_refused(world, "12 of 112 containers have no owner")

    def test_too_many_young(self) -> None:
        """Those whose grace has not passed count as well, so that the hosts are not emptied slowly."""
        world = self.world()
        reaper = world.reaper()
        for _ in range(30):
            world.container(HOST, world.gone())
            world.reap(reaper)
        self.assertLess(len(world.removed), 30)
        world.removed.clear()
        for _ in range(15):
            world.container(HOST, world.gone())
        world.reap(reaper)
        self.assertEqual(len(self.passes(world, reaper, 3)[0].removals), 0)

    def test_too_many_volumes(self) -> None:
        """Volumes have a cap of their own."""
        world = RandomWorld(seeded(0))
        for _ in range(4):
            world.volume(HOST, world.gone())
        self.assert_refused(world, "4 of 4 volumes have no owner")

    def test_unknown_operation(self) -> None:
        """A container made by an operation that the database does not know means that the database is old."""
        world = self.world()
        world.container(HOST, world.gone())
        world.container(HOST, world.gone(), operation_id="o-unknown")
        self.assert_refused(world, "an operation of which the database knows nothing")

    def test_unknown_operation_beside(self) -> None:
        """So does one beside an instance's own: the row may be older than the container."""
        world = self.world()
        row = next(iter(world.rows.values()))
        world.container(HOST, row.id, 2, operation_id="o-unknown")
        self.assert_refused(world, "an operation of which the database knows nothing")

    def test_untold_end(self) -> None:
        """An instance of which the database does not know how it ended may never have ended."""
        for kind, phase in (
            (OperationKind.PROVISION, Phase.SUCCEEDED),
            (OperationKind.UPDATE, Phase.SUCCEEDED),
            (OperationKind.DEPROVISION, Phase.FAILED),
            (OperationKind.DEPROVISION, Phase.FORWARD),
        ):
            world = self.world()
            world.ended("i-old", kind, phase)
            world.container(HOST, "i-old")
            self.assert_refused(world, "of whose end the database knows nothing")
        world = self.world()
        world.volume(HOST, "i-unheard-of")
        self.assert_refused(world, "of whose end the database knows nothing")

    def test_changed(self) -> None:
        """A database that answers differently when it is asked twice is not believed."""
        world = self.world()
        instance_id = world.gone()
        world.container(HOST, instance_id)
        late = evolve(next(iter(world.rows.values())), id=instance_id, state=InstanceState.PROVISIONING)

        async def instance(asked: str) -> Any:
            return late if asked == instance_id else world.rows.get(asked)

        reaper = world.reaper()
        reaper.persister = Changing(world, instance)  # type: ignore[assignment]
        outcomes = self.passes(world, reaper)
        self.assertEqual(world.removed, [])
        self.assertIn("and then had one", outcomes[-1].refusal or "")

    def test_other_database(self) -> None:
        """Nothing is removed when the database has become another one during the pass."""
        world = self.world()
        world.container(HOST, world.gone())
        world.cluster = "f" * 32
        self.assert_refused(world, "is not the one that it was")

    def test_force(self) -> None:
        """An operator's word lifts the cap and the doubts, but neither the grace nor the other marks."""
        world = self.world()
        orphans = {world.container(HOST, world.gone(), operation_id="o-unknown") for _ in range(40)}
        world.container(HOST, world.gone(), name="a-copy")
        reaper = world.reaper(forced=True)
        self.assertEqual(len(world.reap(reaper).removals), 0)
        self.assertEqual(len(world.reap(reaper).removals), 0)
        self.passes(world, reaper)
        self.assertEqual(set(world.removed), orphans)

    def test_force_and_another_database(self) -> None:
        """An operator's word is about this database, not about another one."""
        world = self.world()
        world.container(HOST, world.gone())
        world.cluster = "f" * 32
        self.assert_refused(world, "is not the one that it was", forced=True)

    def test_volumes_after_containers(self) -> None:
        """A volume goes in the same pass as the last container that used it."""
        world = self.world()
        instance_id = world.gone()
        container = world.container(HOST, instance_id)
        volume = world.volume(HOST, instance_id, container)
        (outcome,) = [one for one in self.passes(world, world.reaper()) if one.removals]
        self.assertEqual(world.removed, [container, volume])
        self.assertEqual([one.orphan.kind for one in outcome.removals], [Kind.CONTAINER, Kind.VOLUME])

    def test_used_volume(self) -> None:
        """A volume that another container uses stays."""
        world = self.world()
        instance_id = world.gone()
        copy = world.container(HOST, instance_id, name="a-copy")
        world.volume(HOST, instance_id, copy)
        self.passes(world, world.reaper())
        self.assertEqual(world.removed, [])


class Changing:
    """A database whose rows change between two reads."""

    def __init__(self, world: RandomWorld, instance: Any) -> None:
        self.world = world
        self.instance = instance

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world, name)
