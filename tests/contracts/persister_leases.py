"""What every persister promises of leases: they lapse, are renewed, taken over and let go of."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from dockerbroker.errors import LostLease
from dockerbroker.model.instances import Change, Operation, Phase, Step
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values

TTL = 15.0
OPERATIONS = 20


class LeasesContract(PersisterTestCase):
    """The leases of unfinished operations."""

    def setUp(self) -> None:
        """Begin an operation that is leased to `one`."""
        super().setUp()
        self.made = values.instance("i1", 20001)
        self.begun = self.begin(values.provision("o1", self.made), owner="one", ttl=TTL)

    def claim(self, owner: str = "two", ttl: float = TTL) -> list[Operation]:
        """Claim what can be claimed."""
        return self.done(self.persister.claim(owner, ttl=ttl))

    def test_held(self) -> None:
        """Until its lease lapses an operation is not claimed, not even by its owner."""
        self.fixture.clock.advance(TTL - 0.5)
        self.assertEqual(self.claim("one"), [])
        self.assertEqual(self.claim("two"), [])
        self.assertEqual(self.done(self.persister.operation("o1")), self.begun)

    def test_lapsed(self) -> None:
        """An operation whose lease has lapsed goes to whoever claims it, with a new epoch and lease."""
        self.fixture.clock.advance(TTL)
        taken = evolve(self.begun, owner="two", epoch=2)
        self.assertEqual(self.claim("two"), [taken])
        self.assertEqual(self.done(self.persister.operation("o1")), taken)
        self.fixture.clock.advance(TTL - 0.5)
        self.assertEqual(self.claim("three"), [])
        self.fixture.clock.advance(0.5)
        self.assertEqual(self.claim("one"), [evolve(self.begun, owner="one", epoch=3)])

    def test_instance_stays_held(self) -> None:
        """Who takes the operation over has the instance."""
        self.fixture.clock.advance(TTL)
        self.claim()
        self.assertEqual(self.done(self.persister.instance("i1")), evolve(self.made, operation_id="o1"))

    def test_late_writer(self) -> None:
        """Who lost the lease writes nothing more: no progress, no outcome, no records, no release."""
        self.fixture.clock.advance(TTL)
        [taken] = self.claim()
        for late in (self.begun, self.begun.over(Phase.FAILED, 1)):
            change = Change(operation=late, remove_instance=True)
            self.refused(LostLease, self.persister.commit(change))
        self.refused(LostLease, self.persister.release(self.begun, delay=0))
        self.assertEqual(self.done(self.persister.operation("o1")), taken)
        self.assertEqual(self.done(self.persister.instance("i1")), evolve(self.made, operation_id="o1"))

    def test_new_owner_writes(self) -> None:
        """Who took the operation over carries it on."""
        self.fixture.clock.advance(TTL)
        [taken] = self.claim()
        self.done(self.persister.commit(Change(operation=taken.at(Step.START))))
        self.assertEqual(self.done(self.persister.operation("o1")), taken.at(Step.START))

    def test_lapsed_unclaimed(self) -> None:
        """A lapsed lease that nobody has claimed does not stop its owner from writing."""
        self.fixture.clock.advance(TTL * 2)
        self.done(self.persister.commit(Change(operation=self.begun.at(Step.START))))
        self.succeed(self.begun)
        self.assertEqual(self.claim(), [])

    def test_progress_does_not_renew(self) -> None:
        """Writing progress does not prolong the lease."""
        self.fixture.clock.advance(TTL - 1)
        self.done(self.persister.commit(Change(operation=self.begun.at(Step.START))))
        self.fixture.clock.advance(1)
        self.assertEqual(len(self.claim()), 1)

    def test_over(self) -> None:
        """An operation that is over is never claimed, and renewing its former owner's leases leaves it so."""
        self.succeed(self.begun)
        self.done(self.persister.renew("one", ttl=TTL))
        self.fixture.clock.advance(TTL * 10)
        self.assertEqual(self.claim(), [])
        stored = self.done(self.persister.operation("o1"))
        assert stored is not None
        self.assertIsNone(stored.owner)

    def test_renew(self) -> None:
        """Renewing prolongs all leases of the owner, from now, and no others."""
        self.begin(values.provision("o2", values.instance("i2")), owner="one", ttl=TTL)
        self.begin(values.provision("o3", values.instance("i3")), owner="two", ttl=TTL)
        self.fixture.clock.advance(10)
        self.done(self.persister.renew("one", ttl=TTL))
        self.fixture.clock.advance(TTL - 0.5)
        self.assertEqual([operation.id for operation in self.claim("three")], ["o3"])
        self.fixture.clock.advance(0.5)
        self.assertEqual({operation.id for operation in self.claim("three")}, {"o1", "o2"})

    def test_renew_exact(self) -> None:
        """Owners whose names differ by case alone are different."""
        self.done(self.persister.renew("ONE", ttl=TTL * 10))
        self.fixture.clock.advance(TTL)
        self.assertEqual(len(self.claim()), 1)

    def test_renew_lost(self) -> None:
        """Who lost a lease does not prolong it."""
        self.fixture.clock.advance(TTL)
        self.claim("two")
        self.done(self.persister.renew("one", ttl=TTL * 10))
        self.fixture.clock.advance(TTL)
        self.assertEqual(len(self.claim("three")), 1)

    def test_renew_nothing(self) -> None:
        """Renewing without a lease does nothing."""
        self.done(self.persister.renew("nobody", ttl=TTL))

    def test_release(self) -> None:
        """A released operation has no owner and is claimed when the delay is over, not before."""
        self.done(self.persister.release(self.begun, delay=4))
        self.assertEqual(self.done(self.persister.operation("o1")), evolve(self.begun, owner=None))
        self.done(self.persister.renew("one", ttl=TTL))
        self.fixture.clock.advance(3.5)
        self.assertEqual(self.claim(), [])
        self.fixture.clock.advance(0.5)
        self.assertEqual(self.claim(), [evolve(self.begun, owner="two", epoch=2)])

    def test_release_without_delay(self) -> None:
        """An operation that is released without delay can be claimed at once."""
        self.done(self.persister.release(self.begun, delay=0))
        self.assertEqual(self.claim(), [evolve(self.begun, owner="two", epoch=2)])

    def test_release_keeps_instance(self) -> None:
        """A released operation still holds its instance."""
        self.done(self.persister.release(self.begun, delay=4))
        self.assertEqual(self.done(self.persister.instance("i1")), evolve(self.made, operation_id="o1"))

    def test_release_unknown(self) -> None:
        """An operation that was never begun is not released."""
        self.refused(LostLease, self.persister.release(evolve(self.begun, id="o9"), delay=0))

    def test_claim_race(self) -> None:
        """Of eight brokers that claim at once each lapsed operation goes to one."""
        for number in range(2, OPERATIONS + 1):
            self.begin(values.provision(f"o{number}", values.instance(f"i{number}")))
        self.fixture.clock.advance(TTL)
        persisters = [self.fixture.persister() for _ in range(8)]
        outcomes = self.fixture.race(
            [
                partial(persister.claim, f"owner{number}", ttl=TTL)
                for number, persister in enumerate(persisters)
            ]
        )
        claimed = [operation for outcome in outcomes for operation in outcome]
        self.assertEqual(len(claimed), OPERATIONS)
        for operation in claimed:
            self.assertEqual(operation.epoch, 2)
            self.assertEqual(self.done(self.persister.operation(operation.id)), operation)
