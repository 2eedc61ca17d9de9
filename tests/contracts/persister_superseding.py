"""What every persister promises of deletions that end a creation."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from dockerbroker.errors import BrokerError, Busy, Conflict, LostLease
from dockerbroker.model.instances import (
    BindingState,
    Change,
    InstanceState,
    Operation,
    Phase,
    ServiceInstance,
    Step,
)
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values


def halting(change: Change, halted_id: str, now: float = 77.5) -> Change:
    """Return the change as one that supersedes the operation, `now` in seconds since 1970."""
    operation = evolve(change.operation, halted_id=halted_id, created_at=now)
    return evolve(change, operation=operation, supersedes=halted_id)


class SupersedeContract(PersisterTestCase):
    """Deletions that take the instance from a creation."""

    def setUp(self) -> None:
        """Begin a provision, carried by `one`."""
        super().setUp()
        self.made = values.instance("i1", 20001)
        self.begun = self.begin(values.provision("o1", self.made), owner="one")

    def read(self) -> ServiceInstance:
        """Return the stored instance."""
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        return stored

    def ended(self, operation: Operation) -> Operation:
        """Return the operation as it is when it was superseded."""
        return evolve(
            operation.over(Phase.FAILED, 77.5),
            description="The creation was ended by a deletion.",
            epoch=operation.epoch + 1,
            owner=None,
        )

    def deprovisioning(self) -> Change:
        """Return the change that halts the provision."""
        leaving = evolve(self.read(), state=InstanceState.DEPROVISIONING)
        return halting(evolve(values.deprovision("o2"), instance=leaving), "o1")

    def busy(self, change: Change) -> None:
        """Check that the change is refused, and nothing of it written."""
        before = self.read()
        self.refused(Busy, self.persister.begin(change, owner="two", ttl=15, within=60))
        self.assertEqual(self.read(), before)
        self.assertEqual(self.read().last_operation_id, before.last_operation_id)
        self.assertIsNone(self.done(self.persister.operation(change.operation.id)))

    def test_provision(self) -> None:
        """A deprovision takes the instance from the provision, which has failed."""
        change = self.deprovisioning()
        begun = self.begin(change, owner="two")
        self.assertEqual(begun, evolve(change.operation, owner="two", deadline=60))
        self.assertEqual(self.done(self.persister.operation("o2")), begun)
        self.assertEqual(self.done(self.persister.operation("o1")), self.ended(self.begun))
        expected = evolve(self.made, state=InstanceState.DEPROVISIONING, operation_id="o2")
        self.assertEqual(self.read(), expected)
        self.assertEqual(self.done(self.persister.leased_ports(values.HERE)), {20001})

    def test_bind(self) -> None:
        """An unbind takes the instance from the bind, which has failed."""
        self.succeed(self.begun)
        binding = self.begin(values.bind("o2", values.binding()))
        unbinding = values.binding(state=BindingState.UNBINDING)
        change = evolve(values.unbind("o3"), binding=unbinding)
        self.begin(halting(change, "o2"), owner="two")
        self.assertEqual(self.done(self.persister.operation("o2")), self.ended(binding))
        self.assertEqual(self.done(self.persister.binding("i1", "b1")), unbinding)
        self.assertEqual(self.read(), evolve(self.made, operation_id="o3"))

    def test_progress_kept(self) -> None:
        """What was recorded of the superseded operation is told on, but for an exec under way."""
        moved = evolve(self.begun.at(Step.EXECUTE), exec_id="e1", attempt=3, may_create=True)
        self.done(self.persister.commit(Change(operation=moved)))
        self.begin(self.deprovisioning())
        self.assertEqual(self.done(self.persister.operation("o1")), self.ended(moved))

    def test_carrier_lost_its_lease(self) -> None:
        """Whoever carried the superseded operation writes nothing more, and has nothing to renew."""
        begun = self.begin(self.deprovisioning(), owner="two")
        for late in (self.begun, evolve(self.begun, epoch=2)):
            for written in (late, late.over(Phase.SUCCEEDED, 1)):
                change = Change(operation=written, instance=self.made, remove_instance=True)
                self.refused(LostLease, self.persister.commit(change))
            self.refused(LostLease, self.persister.release(late, delay=0))
        self.refused(Conflict, self.persister.cancel("o1"))
        self.done(self.persister.renew("one", ttl=1000))
        self.fixture.clock.advance(15)
        self.assertEqual(
            self.done(self.persister.claim("three", ttl=15)), [evolve(begun, owner="three", epoch=2)]
        )
        self.assertEqual(self.done(self.persister.operation("o1")), self.ended(self.begun))

    def test_unowned(self) -> None:
        """An operation that waits to be tried again, or has lapsed, is superseded as well."""
        self.done(self.persister.release(self.begun, delay=100))
        begun = self.begin(self.deprovisioning(), owner="two")
        self.assertEqual(self.done(self.persister.operation("o1")), self.ended(self.begun))
        self.fixture.clock.advance(100)
        [claimed] = self.done(self.persister.claim("three", ttl=15))
        self.assertEqual(claimed.id, begun.id)

    def test_taken_over(self) -> None:
        """The epoch of an operation that was taken over is raised from what it is now."""
        self.fixture.clock.advance(15)
        [claimed] = self.done(self.persister.claim("two", ttl=15))
        self.begin(self.deprovisioning())
        self.assertEqual(self.done(self.persister.operation("o1")), self.ended(claimed))

    def test_over(self) -> None:
        """An operation that is over is not superseded, nor changed."""
        change = self.deprovisioning()
        self.succeed(self.begun)
        stored = self.done(self.persister.operation("o1"))
        self.busy(change)
        self.assertEqual(self.done(self.persister.operation("o1")), stored)

    def test_not_the_holder(self) -> None:
        """An operation that does not hold the instance is not superseded, nor changed."""
        other = self.begin(values.provision("other", values.instance("i2")))
        self.busy(halting(values.deprovision("o2"), "other"))
        self.assertEqual(self.done(self.persister.operation("other")), other)
        self.assertEqual(self.done(self.persister.operation("o1")), self.begun)

    def test_unknown(self) -> None:
        """An operation that was never begun is not superseded."""
        self.busy(halting(values.deprovision("o2"), "never"))
        self.succeed(self.begun)
        self.busy(halting(values.deprovision("o2"), "never"))

    def test_held_by_another(self) -> None:
        """When yet another operation holds the instance by now, that one is left alone."""
        self.begin(self.deprovisioning())
        self.busy(halting(values.deprovision("o3"), "o1"))
        self.busy(values.deprovision("o3"))

    def test_changed_meanwhile(self) -> None:
        """What was read before the superseded operation held the instance is not written."""
        self.succeed(self.begun)
        stale = self.read()
        binding = self.begin(values.bind("o2", values.binding()))
        change = evolve(values.unbind("o3"), instance=evolve(stale, dashboard_url="stale"))
        self.busy(halting(change, "o2"))
        self.assertEqual(self.done(self.persister.operation("o2")), binding)

    def test_gone(self) -> None:
        """When the instance is gone nothing is superseded."""
        change = self.deprovisioning()
        self.succeed(self.begun, remove_instance=True)
        self.refused(Busy, self.persister.begin(change, owner="two", ttl=15, within=60))
        self.assertIsNone(self.done(self.persister.instance("i1")))

    def test_race_of_deletions(self) -> None:
        """Of eight deletions that want to end a creation one does."""
        change = self.deprovisioning()
        calls = []
        for number in range(8):
            mine = evolve(change, operation=evolve(change.operation, id=f"d{number}"))
            begin = self.fixture.persister().begin
            calls.append(partial(begin, mine, owner=f"owner{number}", ttl=15, within=60))
        outcomes = self.fixture.race(calls)
        [winner] = [outcome for outcome in outcomes if isinstance(outcome, Operation)]
        losers = [type(outcome) for outcome in outcomes if isinstance(outcome, BrokerError)]
        self.assertEqual(losers, [Busy] * 7)
        self.assertEqual(self.read().operation_id, winner.id)
        self.assertEqual(self.done(self.persister.operation("o1")), self.ended(self.begun))

    def test_race_with_the_outcome(self) -> None:
        """A creation that ends while it is being ended has one outcome."""
        deletion = partial(
            self.fixture.persister().begin, self.deprovisioning(), owner="two", ttl=15, within=60
        )
        done = Change(operation=self.begun.over(Phase.SUCCEEDED, 5))
        begun, committed = self.fixture.race([deletion, partial(self.fixture.persister().commit, done)])
        stored = self.done(self.persister.operation("o1"))
        if isinstance(begun, Busy):
            self.assertIsNone(committed)
            self.assertEqual(stored, evolve(done.operation, owner=None))
            self.assertEqual(self.read(), self.made)
        else:
            self.assertIsInstance(committed, LostLease)
            self.assertEqual(stored, self.ended(self.begun))
            self.assertEqual(self.read().operation_id, begun.id)
