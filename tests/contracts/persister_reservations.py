"""What every persister promises of what is reserved on hosts."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from dockerbroker.errors import AlreadyExists, HostFull
from dockerbroker.model.hosts import HostState
from dockerbroker.model.instances import Change, Phase, ServiceInstance, neighbourhood_of
from dockerbroker.model.liveness import Verdict
from dockerbroker.model.plans import ContainerOptions, PlacementRules
from dockerbroker.model.reservations import Most, Reserved
from dockerbroker.model.secrets import Secret
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.pinging import pings

MIB = 1024**2


def large(memory: int | None = 512 * MIB, cpus: float | None = 0.5) -> Any:
    """Return a definition whose plan has these limits."""
    [plan] = values.REDIS.plans
    options = ContainerOptions(memory=memory, cpus=cpus)
    return evolve(values.REDIS, plans=(evolve(plan, options=options),))


class ReservationsContract(PersisterTestCase):
    """The sums of what instances reserve."""

    def reserved(self) -> dict[Any, Reserved]:
        """Return what is reserved on hosts that have instances."""
        return {key: sums for key, sums in self.done(self.persister.reserved()).items() if sums}

    def limited(self, made: ServiceInstance, *, most: Most) -> Change:
        """Return the change that begins a provision when that much may be reserved."""
        return evolve(values.provision(f"by-{made.id}", made), most=most)

    def unfit(self, *instances: ServiceInstance) -> None:
        """Check that no instance is begun, and that nothing of it is there."""
        before = self.reserved()
        for one in instances:
            change = values.provision("o-unfit", one)
            self.refused(HostFull, self.persister.begin(change, owner="one", ttl=15, within=60))
            self.assertIsNone(self.done(self.persister.instance(one.id)))
            self.assertIsNone(self.done(self.persister.operation("o-unfit")))
        self.assertEqual(self.reserved(), before)
        self.assertEqual(self.done(self.persister.leased_ports(values.HERE)), {20001})

    def test_cordoned(self) -> None:
        """A new instance is not begun on a host that is cordoned; those that it has may be changed."""
        self.done(self.persister.record_pings(pings([values.host(), values.host(values.THERE)])))
        self.provisioned(values.instance("i1", 20001))
        self.done(self.persister.cordon(values.HERE, is_cordoned=True))
        self.unfit(values.instance("i2", 20002), values.instance("i3", definition=values.STATIC))
        self.begin(values.provision("o4", values.instance("i4", 1, host=values.THERE)))
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        changed = evolve(stored, parameters=Secret({"new": True}))
        self.succeed(self.begin(values.update("o5", changed)), instance=changed)
        self.done(self.persister.cordon(values.HERE, is_cordoned=False))
        self.begin(values.provision("o6", values.instance("i2", 20002)))

    def test_not_alive(self) -> None:
        """Nor is one on a host that is dead or returns."""
        self.done(self.persister.record_pings(pings([values.host()])))
        self.provisioned(values.instance("i1", 20001))
        for state in (HostState.DEAD, HostState.RETURNING):
            [life] = self.done(self.persister.fleet()).lives()
            self.done(self.persister.judge([Verdict(life=life, state=state)]))
            self.unfit(values.instance("i2", 20002))

    def test_fleet(self) -> None:
        """With all hosts it is told what is reserved on each; what has not changed is the same object."""
        self.done(self.persister.record_pings(pings([values.host(), values.host(values.THERE)])))
        before = {one.host.key: one for one in self.done(self.persister.fleet()).hosts}
        self.assertEqual({one.reserved for one in before.values()}, {Reserved()})
        self.provisioned(values.instance("i1", 20001, 20002, definition=large()))
        after = {one.host.key: one for one in self.done(self.persister.fleet()).hosts}
        wanted = Reserved(memory=512 * MIB, cpus=500, ports=2, instances=1)
        self.assertEqual(after[values.HERE], evolve(before[values.HERE], reserved=wanted))
        self.assertIs(after[values.THERE], before[values.THERE])

    def test_none(self) -> None:
        """Without instances nothing is reserved."""
        self.assertEqual(self.reserved(), {})

    def test_sums(self) -> None:
        """What the instances of a host reserve is added up, and kept: memory, processors, ports."""
        self.provisioned(values.instance("i1", 20001, 20002, definition=large()))
        self.provisioned(values.instance("i2", 20003, definition=large(MIB * 2**30, 1.25)))
        self.provisioned(values.instance("i3"))
        self.provisioned(values.instance("i4", 1, host=values.THERE))
        wanted = {
            values.HERE: Reserved(memory=512 * MIB + MIB * 2**30, cpus=1750, ports=3, instances=3),
            values.THERE: Reserved(ports=1, instances=1),
        }
        self.assertEqual(self.reserved(), wanted)
        self.persister = self.fixture.restart()
        self.assertEqual(self.reserved(), wanted)

    def test_removed(self) -> None:
        """What an instance reserves it gives back when it is removed, also when it never came to be."""
        self.provisioned(values.instance("i1", 20001, definition=large()))
        begun = self.begin(values.provision("o2", values.instance("i2", 20002, definition=large())))
        self.succeed(begun, remove_instance=True)
        self.assertEqual(self.reserved()[values.HERE].instances, 1)
        self.succeed(self.begin(values.deprovision("o3")), remove_instance=True)
        self.assertEqual(self.reserved(), {})
        self.begin(values.provision("o4", values.instance("i1", 20001, definition=large())))
        self.assertEqual(self.reserved()[values.HERE].memory, 512 * MIB)

    def test_begun(self) -> None:
        """It is reserved from the beginning of the operation on, and other writes leave it as it is."""
        made = values.instance("i1", 20001, definition=large())
        begun = self.begin(values.provision("o1", made))
        wanted = {values.HERE: Reserved(memory=512 * MIB, cpus=500, ports=1, instances=1)}
        self.assertEqual(self.reserved(), wanted)
        self.done(self.persister.commit(Change(operation=begun, instance=made)))
        self.done(self.persister.commit(Change(operation=begun)))
        self.bound_after(begun, made)
        self.assertEqual(self.reserved(), wanted)

    def bound_after(self, begun: Any, made: ServiceInstance) -> None:
        """End the operation, and bind."""
        self.succeed(begun, instance=made)
        self.bound(values.binding())

    def test_ports(self) -> None:
        """Other ports are counted as they are leased."""
        made = values.instance("i1", 20001, 20002)
        begun = self.begin(values.provision("o1", made))
        self.done(self.persister.commit(Change(operation=begun, instance=evolve(made, ports={"1/tcp": 7}))))
        self.assertEqual(self.reserved()[values.HERE].ports, 1)

    def test_update(self) -> None:
        """While an instance is updated the larger of its two containers counts, and then the one it has."""
        made = self.provisioned(values.instance("i1", 20001, definition=large()))
        successor = evolve(made, definition=large(768 * MIB, 0.25), ports={"6379/tcp": 20001, "1/tcp": 20002})
        changing = evolve(made, successor=successor, last_operation_id=self.last())
        begun = self.begin(values.update("o1", changing))
        self.assertEqual(
            self.reserved(), {values.HERE: Reserved(memory=768 * MIB, cpus=500, ports=2, instances=1)}
        )
        self.succeed(begun, instance=successor)
        self.assertEqual(
            self.reserved(), {values.HERE: Reserved(memory=768 * MIB, cpus=250, ports=2, instances=1)}
        )

    def last(self) -> str | None:
        """Return the operation that has held the instance last."""
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        return stored.last_operation_id

    def test_existing_container(self) -> None:
        """An instance whose container is not ours reserves nothing."""
        self.provisioned(values.instance("i1", 20001, definition=values.EXISTING))
        self.assertEqual(self.reserved(), {})
        self.succeed(self.begin(values.deprovision("o1")), remove_instance=True)
        self.assertEqual(self.reserved(), {})

    def test_most(self) -> None:
        """Exactly as much as there may be is given away, and of what is refused nothing stays."""
        most = Most(memory=1024 * MIB, cpus=5000)
        for number in (1, 2):
            self.begin(self.limited(values.instance(f"i{number}", definition=large()), most=most))
        change = self.limited(values.instance("i3", 20003, definition=large()), most=most)
        self.refused(HostFull, self.persister.begin(change, owner="one", ttl=15, within=60))
        self.assertEqual(self.reserved()[values.HERE].instances, 2)
        self.assertIsNone(self.done(self.persister.instance("i3")))
        self.assertIsNone(self.done(self.persister.operation("by-i3")))
        self.assertEqual(self.done(self.persister.leased_ports(values.HERE)), frozenset())

    def test_most_of_an_empty_host(self) -> None:
        """The first instance of a host may be too much, too; by memory, or by processors."""
        for most in (Most(memory=512 * MIB - 1), Most(cpus=499)):
            change = self.limited(values.instance("i1", definition=large()), most=most)
            self.refused(HostFull, self.persister.begin(change, owner="one", ttl=15, within=60))
        self.assertEqual(self.reserved(), {})

    def test_nothing_more(self) -> None:
        """What asks for no more memory and no more processors is not refused, however little there may be."""
        self.provisioned(values.instance("i1", 20001, definition=large()))
        none = Most(memory=0, cpus=0)
        self.begin(self.limited(values.instance("i2", 20002), most=none))
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        smaller = evolve(stored, successor=evolve(stored, definition=large(MIB, None)))
        self.begin(evolve(values.update("o1", smaller), most=none))
        self.assertEqual(self.reserved()[values.HERE].memory, 512 * MIB)

    def test_update_of_a_full_host(self) -> None:
        """An update that would reserve more than there may be is refused, and the instance is as it was."""
        self.provisioned(values.instance("i1", 20001, definition=large()))
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        wanted = evolve(stored, successor=evolve(stored, definition=large(1024 * MIB)))
        change = evolve(values.update("o1", wanted), most=Most(memory=1024 * MIB - 1))
        self.refused(HostFull, self.persister.begin(change, owner="one", ttl=15, within=60))
        self.assertEqual(self.done(self.persister.instance("i1")), stored)
        self.begin(evolve(values.update("o2", wanted), most=Most(memory=1024 * MIB)))
        self.assertEqual(self.reserved()[values.HERE].memory, 1024 * MIB)

    def test_race(self) -> None:
        """Of instances that are placed at once exactly as many are made as have room."""
        most = Most(memory=3 * 512 * MIB)
        changes = [
            self.limited(values.instance(f"i{number}", definition=large()), most=most)
            for number in range(1, 9)
        ]
        calls = [
            lambda change=change: self.persister.begin(change, owner="one", ttl=15, within=60)
            for change in changes
        ]
        outcomes = self.fixture.race(calls)
        self.assertEqual(sum(isinstance(one, HostFull) for one in outcomes), 5, outcomes)
        self.assertEqual(self.reserved()[values.HERE].memory, 3 * 512 * MIB)

    def test_race_for_the_first(self) -> None:
        """Those that are the first ones of a host at once are added up."""
        calls = [
            lambda number=number: self.persister.begin(
                values.provision(f"o{number}", values.instance(f"i{number}", definition=large())),
                owner="one",
                ttl=15,
                within=60,
            )
            for number in range(8)
        ]
        outcomes = self.fixture.race(calls)
        self.assertEqual([one for one in outcomes if isinstance(one, Exception)], [])
        wanted = Reserved(memory=8 * 512 * MIB, cpus=4000, instances=8)
        self.assertEqual(self.reserved(), {values.HERE: wanted})

    def test_race_of_coming_and_going(self) -> None:
        """Instances that come and go at once leave the sums of those that stay."""
        for number in range(4):
            self.provisioned(values.instance(f"old{number}", definition=large()))
        going = [self.begin(values.deprovision(f"d{number}", f"old{number}")) for number in range(4)]
        calls: list[Any] = [
            lambda one=one: self.persister.commit(
                Change(operation=one.over(Phase.SUCCEEDED, 1.0), remove_instance=True)
            )
            for one in going
        ]
        calls += [
            lambda number=number: self.persister.begin(
                values.provision(f"o{number}", values.instance(f"new{number}", definition=large())),
                owner="one",
                ttl=15,
                within=60,
            )
            for number in range(4)
        ]
        outcomes = self.fixture.race(calls)
        self.assertEqual([one for one in outcomes if isinstance(one, Exception)], [])
        self.assertEqual(self.reserved()[values.HERE].instances, 4)


def apart(same_host: str) -> Any:
    """Return a definition whose plan keeps instances of a space apart."""
    [plan] = values.REDIS.plans
    return evolve(values.REDIS, plans=(evolve(plan, placement=PlacementRules(same_host=same_host)),))


class NeighboursContract(PersisterTestCase):
    """Instances that shall not be on one host with others of their space."""

    def instance(self, instance_id: str, same_host: str = "never", **members: Any) -> ServiceInstance:
        """Return an instance of such a plan."""
        return values.instance(instance_id, definition=apart(same_host), **members)

    def refuse(self, made: ServiceInstance) -> None:
        """Check that an instance is not made, and that nothing of it stays."""
        change = values.provision(f"by-{made.id}", made)
        self.refused(HostFull, self.persister.begin(change, owner="one", ttl=15, within=60))
        self.assertIsNone(self.done(self.persister.instance(made.id)))
        self.assertIsNone(self.done(self.persister.operation(f"by-{made.id}")))

    def neighbours(self, space: str = "space") -> dict[Any, int]:
        """Return how many instances of the space are on which host."""
        return dict(self.done(self.persister.neighbours(neighbourhood_of("redis", space))))

    def test_found(self) -> None:
        """Instances whose plans want it are found by service and space, and told by their hosts."""
        self.assertEqual(self.neighbours(), {})
        self.provisioned(self.instance("i1", "avoided"))
        self.provisioned(self.instance("i2", "avoided"))
        self.provisioned(self.instance("i3", host=values.THERE))
        self.provisioned(self.instance("i4", "allowed"))
        self.provisioned(self.instance("i5", "avoided", space_guid="other"))
        self.assertEqual(self.neighbours(), {values.HERE: 2, values.THERE: 1})
        self.persister = self.fixture.restart()
        self.assertEqual(self.neighbours("other"), {values.HERE: 1})
        self.succeed(self.begin(values.deprovision("o1", "i3")), remove_instance=True)
        self.assertEqual(self.neighbours(), {values.HERE: 2})

    def test_never(self) -> None:
        """No two instances that are never on one host get there; what is removed leaves its place."""
        self.provisioned(self.instance("i1"))
        self.refuse(self.instance("i2"))
        self.provisioned(self.instance("i3", host=values.THERE))
        self.provisioned(self.instance("i4", space_guid="other"))
        self.provisioned(self.instance("i5", "avoided"))
        self.succeed(self.begin(values.deprovision("o1")), remove_instance=True)
        self.provisioned(self.instance("i2"))

    def test_taken_id(self) -> None:
        """An id that is in use is told as such."""
        self.provisioned(self.instance("i1"))
        change = values.provision("o1", self.instance("i1", host=values.THERE))
        self.refused(AlreadyExists, self.persister.begin(change, owner="one", ttl=15, within=60))

    def test_update(self) -> None:
        """An update to such a plan takes the place from its beginning on, and may be refused."""
        self.provisioned(self.instance("i1", "allowed"))
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        wanted = evolve(stored, successor=evolve(stored, definition=apart("never")))
        begun = self.begin(values.update("o1", wanted))
        self.refuse(self.instance("i2"))
        self.succeed(begun, instance=stored)
        self.provisioned(self.instance("i2"))
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        change = values.update("o2", evolve(wanted, last_operation_id=stored.last_operation_id))
        self.refused(HostFull, self.persister.begin(change, owner="one", ttl=15, within=60))
        self.assertEqual(self.done(self.persister.instance("i1")), stored)
        self.assertEqual(self.neighbours(), {values.HERE: 1})

    def test_race(self) -> None:
        """Of several that are placed at once on one host one gets there."""
        calls = [
            lambda number=number: self.persister.begin(
                values.provision(f"o{number}", self.instance(f"i{number}")), owner="one", ttl=15, within=60
            )
            for number in range(1, 9)
        ]
        outcomes = self.fixture.race(calls)
        self.assertEqual(sum(isinstance(one, HostFull) for one in outcomes), 7, outcomes)
        self.assertEqual(self.neighbours(), {values.HERE: 1})
