"""What every persister promises of the deadlines of operations."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.model.instances import Change, Operation, Phase, Step
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values


class DeadlinesContract(PersisterTestCase):
    """Deadlines are set once, by the persister's clock."""

    def setUp(self) -> None:
        """Begin an operation at 100 that may go forward until 136."""
        super().setUp()
        self.fixture.clock.advance(100)
        self.begun = self.begin(values.provision("o1", values.instance()), ttl=15, within=36)

    def stored(self) -> Operation:
        """Return the stored operation."""
        stored = self.done(self.persister.operation("o1"))
        assert stored is not None
        return stored

    def test_begin(self) -> None:
        """A new operation has that much time from now, whatever the change says."""
        self.assertEqual(self.begun.deadline, 136)
        self.assertEqual(self.stored(), self.begun)
        change = values.provision("o2", values.instance("i2"))
        change = evolve(change, operation=evolve(change.operation, deadline=5))
        self.assertEqual(self.begin(change, within=0).deadline, 100)

    def test_commit(self) -> None:
        """Neither progress nor the outcome changes the deadline, whatever is written."""
        moved = evolve(self.begun.at(Step.START), deadline=5)
        self.done(self.persister.commit(Change(operation=moved)))
        self.assertEqual(self.stored(), evolve(moved, deadline=136))
        self.done(self.persister.commit(Change(operation=moved.over(Phase.FAILED, 9))))
        self.assertEqual(self.stored().deadline, 136)

    def test_cancellation(self) -> None:
        """Nor do they change whether it is cancelled."""
        moved = evolve(self.begun.at(Step.START), is_cancelled=True)
        self.done(self.persister.commit(Change(operation=moved)))
        self.assertIs(self.stored().is_cancelled, False)
        self.done(self.persister.cancel("o1"))
        self.done(self.persister.commit(Change(operation=self.begun.at(Step.READY))))
        self.assertEqual(self.stored(), evolve(self.begun.at(Step.READY), is_cancelled=True))
        self.done(self.persister.commit(Change(operation=self.begun.over(Phase.FAILED, 9))))
        self.assertIs(self.stored().is_cancelled, True)

    def test_kept(self) -> None:
        """Whoever takes the operation over has what is left of its time; letting go of it adds none."""
        self.done(self.persister.renew("one", ttl=15))
        self.fixture.clock.advance(15)
        [claimed] = self.done(self.persister.claim("two", ttl=15))
        self.assertEqual(claimed.deadline, 136)
        self.done(self.persister.release(claimed, delay=0))
        self.assertEqual(self.stored().deadline, 136)
