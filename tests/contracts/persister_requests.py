"""What every persister promises of operators who cancel operations or have them tried again at once."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import Conflict, NotFound
from dockerbroker.model.instances import Change, Operation, Phase
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values

TTL = 15.0


class RequestTestCase(PersisterTestCase):
    """An operation that is carried by `one`."""

    def setUp(self) -> None:
        """Begin the operation."""
        super().setUp()
        self.begun = self.begin(values.provision("o1", values.instance()), owner="one", ttl=TTL)

    def claim(self, owner: str = "two") -> list[Operation]:
        """Claim what can be claimed."""
        return self.done(self.persister.claim(owner, ttl=TTL))

    def renew(self, owner: str = "one") -> frozenset[str]:
        """Renew the owner's leases; returns which are cancelled."""
        return self.done(self.persister.renew(owner, ttl=TTL))


class CancelContract(RequestTestCase):
    """Operations that are to be undone."""

    def test_carrier_is_told(self) -> None:
        """Whoever carries the operation learns of it each time it renews; nobody else does."""
        self.begin(values.provision("o2", values.instance("i2")), owner="one", ttl=TTL)
        self.begin(values.provision("o3", values.instance("i3")), owner="two", ttl=TTL)
        self.assertEqual(self.renew(), frozenset())
        for operation_id in ("o1", "o3"):
            self.done(self.persister.cancel(operation_id))
        for _ in range(2):
            self.assertEqual(self.renew(), {"o1"})
        self.assertEqual(self.renew("two"), {"o3"})
        self.assertEqual(self.renew("three"), frozenset())

    def test_stored(self) -> None:
        """The record says it, and nothing else of it changes; asking twice is asking once."""
        for _ in range(2):
            self.done(self.persister.cancel("o1"))
            self.assertEqual(self.done(self.persister.operation("o1")), evolve(self.begun, is_cancelled=True))
        self.done(self.persister.commit(Change(operation=self.begun.over(Phase.FAILED, 1))))

    def test_taken_over(self) -> None:
        """Whoever takes the operation over learns of it."""
        self.done(self.persister.cancel("o1"))
        self.fixture.clock.advance(TTL)
        self.assertEqual(self.claim(), [evolve(self.begun, is_cancelled=True, owner="two", epoch=2)])
        self.assertEqual(self.renew("one"), frozenset())
        self.assertEqual(self.renew("two"), {"o1"})

    def test_unowned(self) -> None:
        """An operation that waits to be tried again can be cancelled."""
        self.done(self.persister.release(self.begun, delay=0))
        self.done(self.persister.cancel("o1"))
        self.assertEqual([operation.is_cancelled for operation in self.claim()], [True])

    def test_unknown(self) -> None:
        """An operation that was never begun is not found."""
        self.refused(NotFound, self.persister.cancel("o9"))

    def test_over(self) -> None:
        """An operation that is over is not cancelled."""
        for phase in (Phase.SUCCEEDED, Phase.FAILED):
            self.done(self.persister.commit(Change(operation=self.begun.over(phase, 1))))
            stored = self.done(self.persister.operation(self.begun.id))
            self.refused(Conflict, self.persister.cancel(self.begun.id))
            self.assertEqual(self.done(self.persister.operation(self.begun.id)), stored)
            self.begun = self.begin(values.bind(f"o{phase.name}", values.binding(binding_id=phase.name)))

    def test_deletions(self) -> None:
        """A deletion cannot be undone."""
        self.succeed(self.begun)
        self.bound(values.binding())
        for change in (values.unbind("o2"), values.deprovision("o3")):
            begun = self.begin(change)
            self.refused(Conflict, self.persister.cancel(begun.id))
            self.assertEqual(self.done(self.persister.operation(begun.id)), begun)
            self.assertEqual(self.renew(), frozenset())
            self.succeed(begun)

    def test_creations_and_updates(self) -> None:
        """Updates and binds can be cancelled as provisions can."""
        self.succeed(self.begun)
        instance = self.done(self.persister.instance("i1"))
        assert instance is not None
        for change in (values.update("o2", instance), values.bind("o3", values.binding())):
            begun = self.begin(change)
            self.done(self.persister.cancel(begun.id))
            self.assertEqual(self.renew(), {begun.id})
            self.succeed(begun)
            self.assertEqual(self.renew(), frozenset())


class HastenContract(RequestTestCase):
    """Operations that wait to be tried again."""

    def test_waiting(self) -> None:
        """An operation that waits is claimed at once, and is otherwise as it was."""
        self.done(self.persister.release(self.begun, delay=100))
        self.assertEqual(self.claim(), [])
        self.done(self.persister.hasten("o1"))
        self.assertEqual(self.done(self.persister.operation("o1")), evolve(self.begun, owner=None))
        self.assertEqual(self.claim(), [evolve(self.begun, owner="two", epoch=2)])

    def test_one_alone(self) -> None:
        """The others go on waiting."""
        other = self.begin(values.provision("o2", values.instance("i2")))
        for operation in (self.begun, other):
            self.done(self.persister.release(operation, delay=100))
        self.done(self.persister.hasten("o1"))
        self.assertEqual([operation.id for operation in self.claim()], ["o1"])

    def test_lapsed(self) -> None:
        """An operation whose carrier has let its lease lapse is claimed at once in any case."""
        self.fixture.clock.advance(TTL)
        self.done(self.persister.hasten("o1"))
        self.assertEqual([operation.id for operation in self.claim()], ["o1"])

    def test_carried(self) -> None:
        """An operation that somebody carries is not hastened; it keeps its lease."""
        self.fixture.clock.advance(TTL - 0.5)
        self.refused(Conflict, self.persister.hasten("o1"))
        self.assertEqual(self.claim(), [])
        self.assertEqual(self.done(self.persister.operation("o1")), self.begun)

    def test_over(self) -> None:
        """An operation that is over is not hastened."""
        self.succeed(self.begun)
        self.refused(Conflict, self.persister.hasten("o1"))
        self.assertEqual(self.claim(), [])

    def test_unknown(self) -> None:
        """An operation that was never begun is not found."""
        self.refused(NotFound, self.persister.hasten("o9"))
