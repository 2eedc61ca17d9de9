"""The reaper in ten thousand random worlds."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.reaping import Reaper
from dockerbroker.model.orphans import GRACE, cap
from dockerbroker.model.world import HostSight, Place
from tests.broker.reaper_worlds import (
    HOSTS,
    RandomWorld,
    Thing,
    lives_elsewhere,
    random_world,
    seeded,
)

#: How many random worlds the reaper is tried on.
WORLDS: Final = 10_000


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
        # Somebody may use what nobody owns.
        left = world.doomed - world.sacred - set(world.removed)
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
    owners = [(owner, place) for place, there in world.volumes.items() for owner in there.values()]
    volumes = sum(owner not in world.rows or lives_elsewhere(world, owner, place) for owner, place in owners)
    return containers > cap(total[True]) or volumes > cap(total[False])
