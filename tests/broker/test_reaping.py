"""The reaper removes what nobody owns, and nothing else, whatever the world looks like."""

from __future__ import annotations

from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.reaping import Reaped, Reaper
from dockerbroker.model.audit import ITSELF, Result
from dockerbroker.model.instances import InstanceState, OperationKind, Phase
from dockerbroker.model.orphans import GRACE, Kind
from dockerbroker.model.world import place_of
from tests.broker.reaper_worlds import HOSTS, RandomWorld, seeded

HOST: Final = HOSTS[0]


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

    def test_told(self) -> None:
        """What is removed is told to the audit log before and after; what stays is not."""
        world = self.world()
        instance_id = world.gone()
        orphan = world.container(HOST, instance_id)
        self.passes(world, world.reaper())
        told = [(one.action, one.subject, one.result, one.origin) for one in world.told]
        expected = [("reap", instance_id, result, ITSELF) for result in (Result.BEGUN, Result.SUCCEEDED)]
        self.assertEqual(told, expected)
        self.assertEqual(
            {one.detail for one in world.told}, {f"container {orphan} on {HOST.key.service_host}"}
        )

    def test_untold(self) -> None:
        """Nothing is removed that the audit log cannot be told of."""
        world = self.world()
        world.container(HOST, world.gone())
        world.is_deaf = True
        self.passes(world, world.reaper())
        self.assertEqual(world.removed, [])

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
        for state in (InstanceState.PROVISIONING, InstanceState.READY):
            world = self.world()
            instance_id = world.gone()
            world.container(HOST, instance_id)
            late = evolve(next(iter(world.rows.values())), id=instance_id, state=state)
            self.assert_not_believed(world, {instance_id: late})

    def test_vanished(self) -> None:
        """Neither is one in which an instance vanishes between the two."""
        world = self.world()
        row = next(iter(world.rows.values()))
        world.container(HOST, row.id, 2)
        world.ended(row.id, OperationKind.DEPROVISION, Phase.SUCCEEDED)
        self.assert_not_believed(world, {row.id: None})

    def assert_not_believed(self, world: RandomWorld, answers: dict[str, Any]) -> None:
        """Nothing is removed when these are the answers at the second time."""

        async def instance(asked: str) -> Any:
            return answers[asked] if asked in answers else world.rows.get(asked)

        reaper = world.reaper()
        reaper.persister = Changing(world, instance)  # type: ignore[assignment]
        outcomes = self.passes(world, reaper)
        self.assertEqual(world.removed, [])
        self.assertIn("was asked twice", outcomes[-1].refusal or "")

    def test_first_sight(self) -> None:
        """What is seen for the first time does not count as too much: much may be on its way to removal."""
        world = self.world()
        old = world.container(HOST, world.gone())
        reaper = world.reaper()
        self.passes(world, reaper, 3)
        for _ in range(30):
            world.container(HOST, world.gone())
        world.reap(reaper)
        self.assertEqual(world.removed, [old])

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

    def test_two_addresses(self) -> None:
        """A volume that no container uses stays where its instance is, also by the engine's other address."""
        world = self.world()
        here, there = (place_of(host.key) for host in HOSTS[:2])
        world.containers[there], world.volumes[there] = world.containers[here], world.volumes[here]
        kept = world.volume(HOST, next(iter(world.rows)))
        self.passes(world, world.reaper())
        self.assertEqual(world.removed, [])
        self.assertEqual(kept[1], here)

    def test_moved_volume(self) -> None:
        """A volume goes that a move has left on the host where the instance was."""
        world = self.world()
        left = world.volume(HOSTS[1], next(iter(world.rows)))
        self.passes(world, world.reaper())
        self.assertEqual(world.removed, [left])

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
