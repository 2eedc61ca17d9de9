"""What every persister promises of instances that move from one host to another."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from dockerbroker.errors import Busy, HostFull, PortLeased
from dockerbroker.model.instances import Change, OperationKind, Phase, ServiceInstance, neighbourhood_of
from dockerbroker.model.reservations import Most, Reserved
from tests.contracts.persister_case import PersisterTestCase
from tests.contracts.persister_reservations import MIB, apart, large
from tests.persisters import values
from tests.persisters.values import HERE, THERE
from tests.pinging import pings


class MovesContract(PersisterTestCase):
    """Moves: what they hold on both hosts, and what they leave."""

    def stored(self) -> ServiceInstance:
        """Return the instance as it is stored."""
        found = self.done(self.persister.instance("i1"))
        assert found is not None
        return found

    def moving(self, *ports: int) -> ServiceInstance:
        """Return the stored instance as it is to be written when it begins to move."""
        stored = self.stored()
        leased = {f"{6379 + number}/tcp": port for number, port in enumerate(ports)}
        there = evolve(
            stored,
            host=THERE,
            ports=leased,
            generation=2,
            moves=1,
            operation_id=None,
            last_operation_id=None,
        )
        return evolve(stored, successor=there)

    def ports(self) -> tuple[set[int], set[int]]:
        """Return the ports that are leased here and there."""
        here, there = (self.done(self.persister.leased_ports(key)) for key in (HERE, THERE))
        return set(here), set(there)

    def reserved(self) -> dict[Any, Reserved]:
        """Return what is reserved on hosts that have instances."""
        return {key: sums for key, sums in self.done(self.persister.reserved()).items() if sums}

    def refuse(self, error: type[Any], change: Change) -> None:
        """Check that a change is refused, and that nothing of it stays."""
        before = self.stored(), self.ports(), self.reserved()
        self.refused(error, self.persister.begin(change, owner="one", ttl=15, within=60))
        self.assertEqual((self.stored(), self.ports(), self.reserved()), before)
        self.assertIsNone(self.done(self.persister.operation(change.operation.id)))

    def test_both(self) -> None:
        """While an instance moves it holds ports and reserves on both hosts, and is kept so."""
        self.provisioned(values.instance("i1", 20001, definition=large()))
        begun = self.begin(values.move("m", self.moving(20001, 20007)))
        one = Reserved(memory=512 * MIB, cpus=500, ports=1, instances=1)
        for _ in range(2):
            self.assertEqual(self.ports(), ({20001}, {20001, 20007}))
            self.assertEqual(self.reserved(), {HERE: one, THERE: evolve(one, ports=2)})
            successor = self.stored().successor
            assert successor is not None
            self.assertEqual((successor.host, successor.generation, successor.moves), (THERE, 2, 1))
            self.persister = self.fixture.restart()
        copied = evolve(begun, copied=2**40)
        self.done(self.persister.commit(Change(operation=copied, instance=self.stored())))
        self.assertEqual(self.done(self.persister.operation("m")), copied)
        self.assertIs(copied.kind, OperationKind.MOVE)
        self.assertEqual(self.ports(), ({20001}, {20001, 20007}))

    def test_moved(self) -> None:
        """When it has moved it holds nothing of the former host, and what it had there is free."""
        self.provisioned(values.instance("i1", 20001, definition=large()))
        begun = self.begin(values.move("m", self.moving(20002)))
        successor = self.stored().successor
        assert successor is not None
        self.succeed(begun, instance=successor)
        self.assertEqual(self.ports(), (set(), {20002}))
        self.assertEqual(set(self.reserved()), {THERE})
        self.assertEqual((self.stored().host, self.stored().moves), (THERE, 1))
        self.provisioned(values.instance("i2", 20001))
        self.succeed(self.begin(values.deprovision("d")), remove_instance=True)
        self.assertEqual(self.ports(), ({20001}, set()))
        self.assertEqual(set(self.reserved()), {HERE})

    def test_stayed(self) -> None:
        """When the move was undone it holds nothing of the other host."""
        made = self.provisioned(values.instance("i1", 20001))
        begun = self.begin(values.move("m", self.moving(20002)))
        failed = Change(operation=begun.over(Phase.FAILED, 1.0), instance=made)
        self.done(self.persister.commit(failed))
        self.assertEqual((self.ports(), set(self.reserved())), (({20001}, set()), {HERE}))

    def test_removed(self) -> None:
        """What goes while it moves leaves nothing on either host."""
        self.provisioned(values.instance("i1", 20001, definition=apart("never")))
        begun = self.begin(values.move("m", self.moving(20002)))
        self.succeed(begun, remove_instance=True)
        self.assertEqual((self.ports(), self.reserved()), ((set(), set()), {}))
        self.assertEqual(dict(self.done(self.persister.neighbours(neighbourhood_of("redis", "space")))), {})
        for number, key in enumerate((HERE, THERE)):
            self.provisioned(values.instance(f"new{number}", 20001, host=key, definition=apart("never")))

    def test_taken_port(self) -> None:
        """A port that another instance has there is refused; so is one that an instance which moves has."""
        self.provisioned(values.instance("i1", 20001))
        self.provisioned(values.instance("i2", 20002, host=THERE))
        self.refuse(PortLeased, values.move("m", self.moving(20002)))
        self.begin(values.move("m", self.moving(20003)))
        for key, port in ((HERE, 20001), (THERE, 20003)):
            change = values.provision("p", values.instance("i3", port, host=key))
            self.refuse(PortLeased, change)

    def test_no_room(self) -> None:
        """What has no room there is refused, however much there is here."""
        self.provisioned(values.instance("i1", definition=large()))
        self.provisioned(values.instance("i2", host=THERE, definition=large()))
        change = values.move("m", self.moving())
        self.refuse(HostFull, evolve(change, most=Most(memory=1024 * MIB - 1)))
        self.begin(evolve(change, most=Most(memory=1024 * MIB)))
        self.assertEqual(self.reserved()[THERE].memory, 1024 * MIB)

    def test_unfit_host(self) -> None:
        """Nothing moves to a host that has got a cordon, or has died, since it was looked at."""
        self.provisioned(values.instance("i1", 20001))
        self.done(self.persister.record_pings(pings([values.host(THERE)])))
        self.done(self.persister.cordon(THERE, is_cordoned=True))
        self.refuse(HostFull, values.move("m", self.moving(20002)))
        self.done(self.persister.cordon(THERE, is_cordoned=False))
        self.begin(values.move("m", self.moving(20002)))

    def test_neighbours(self) -> None:
        """It is a neighbour on both hosts, and has both places for itself; afterwards only one."""
        self.provisioned(values.instance("i1", definition=apart("never")))
        begun = self.begin(values.move("m", self.moving()))
        neighbourhood = neighbourhood_of("redis", "space")
        self.assertEqual(dict(self.done(self.persister.neighbours(neighbourhood))), {HERE: 1, THERE: 1})
        for key in (HERE, THERE):
            self.refuse(
                HostFull, values.provision("p", values.instance("i2", host=key, definition=apart("never")))
            )
        successor = self.stored().successor
        assert successor is not None
        self.succeed(begun, instance=successor)
        self.assertEqual(dict(self.done(self.persister.neighbours(neighbourhood))), {THERE: 1})
        self.provisioned(values.instance("i2", definition=apart("never")))
        self.refuse(
            HostFull, values.provision("p", values.instance("i3", host=THERE, definition=apart("never")))
        )

    def test_taken_place(self) -> None:
        """One that must be alone does not move to where one is that must be so, too."""
        self.provisioned(values.instance("i1", definition=apart("never")))
        self.provisioned(values.instance("i2", host=THERE, definition=apart("never")))
        self.refuse(HostFull, values.move("m", self.moving()))

    def test_race(self) -> None:
        """Of a move to a place and those that are placed there at once one gets it."""
        self.provisioned(values.instance("i1", definition=apart("never")))
        moving = values.move("m", self.moving())
        calls: list[Any] = [lambda: self.persister.begin(moving, owner="one", ttl=15, within=60)]
        calls += [
            lambda number=number: self.persister.begin(
                values.provision(
                    f"p{number}", values.instance(f"new{number}", host=THERE, definition=apart("never"))
                ),
                owner="one",
                ttl=15,
                within=60,
            )
            for number in range(3)
        ]
        outcomes = self.fixture.race(calls)
        self.assertEqual(sum(isinstance(one, HostFull) for one in outcomes), 3, outcomes)

    def test_busy(self) -> None:
        """Nothing else holds an instance that moves."""
        self.provisioned(values.instance("i1", 20001))
        self.begin(values.move("m", self.moving(20002)))
        self.refuse(Busy, values.deprovision("d"))
        self.refuse(Busy, values.bind("b", values.binding()))
