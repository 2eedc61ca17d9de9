"""What every persister promises of updates of instances."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import Busy
from dockerbroker.model.instances import Change, InstanceState, Phase, ServiceInstance
from dockerbroker.model.secrets import Secret
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values


class UpdateContract(PersisterTestCase):
    """Updates: an instance with a successor."""

    def setUp(self) -> None:
        """Make an instance."""
        super().setUp()
        self.made = self.provisioned(
            values.instance("i1", 20001, volumes={"/data": "v-1"}, state=InstanceState.READY)
        )
        self.successor = evolve(
            self.made,
            definition=values.STATIC,
            parameters=Secret({"a": [1, {"b": None}]}),
            provisioned=Secret({"password": "new"}),
            context={"name": "ümlaut"},
            generation=2,
        )

    def read(self) -> ServiceInstance:
        """Return the stored instance."""
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        return stored

    def updating(self) -> Change:
        """Return the change that begins the update of the instance as it is stored."""
        stored = self.read()
        held = evolve(self.successor, operation_id="not kept", last_operation_id="not kept")
        return values.update("o1", evolve(stored, state=InstanceState.UPDATING, successor=held))

    def test_begin(self) -> None:
        """An update takes the instance; the successor is stored whole, but for its ids of operations."""
        self.begin(self.updating())
        expected = evolve(
            self.made, state=InstanceState.UPDATING, successor=self.successor, operation_id="o1"
        )
        self.assertEqual(self.read(), expected)
        successor = self.read().successor
        assert successor is not None
        self.assertIsNone(successor.last_operation_id)
        self.assertEqual(self.done(self.persister.leased_ports(values.HERE)), {20001})

    def test_succeeds(self) -> None:
        """The successor takes the place of the instance, and keeps its ports."""
        begun = self.begin(self.updating())
        updated = evolve(self.successor, container_id="c2")
        self.succeed(begun, instance=updated)
        self.assertEqual(self.read(), updated)
        self.assertEqual(self.done(self.persister.leased_ports(values.HERE)), {20001})

    def test_fails(self) -> None:
        """An instance whose update failed is what it was; the outcome says what that means for it."""
        begun = self.begin(self.updating())
        failed = evolve(begun.over(Phase.FAILED, 7), instance_usable=True, update_repeatable=False)
        self.done(self.persister.commit(Change(operation=failed, instance=self.made)))
        self.assertEqual(self.read(), self.made)
        self.assertEqual(self.done(self.persister.operation("o1")), evolve(failed, owner=None))

    def test_busy(self) -> None:
        """While another operation holds the instance, or when one has held it since, none begins."""
        late = self.updating()
        held = self.begin(values.deprovision("held"))
        self.refused(Busy, self.persister.begin(late, owner="one", ttl=15, within=60))
        self.succeed(held)
        self.refused(Busy, self.persister.begin(late, owner="one", ttl=15, within=60))
        self.assertEqual(self.read(), self.made)
        self.assertIsNone(self.done(self.persister.operation("o1")))

    def test_gone(self) -> None:
        """On an instance that is gone none begins, nor brings it back."""
        late = self.updating()
        self.succeed(self.begin(values.deprovision("gone")), remove_instance=True)
        self.refused(Busy, self.persister.begin(late, owner="one", ttl=15, within=60))
        self.assertIsNone(self.done(self.persister.instance("i1")))

    def test_over_at_once(self) -> None:
        """An operation that is over when it is written holds nothing; its records are written."""
        renamed = evolve(self.read(), context={"instance_name": "renamed"})
        change = values.update("o1", renamed)
        change = evolve(change, operation=change.operation.over(Phase.SUCCEEDED, 5))
        begun = self.begin(change, within=0)
        self.assertIsNone(begun.owner)
        self.assertEqual(self.done(self.persister.operation("o1")), begun)
        self.assertEqual(self.read(), evolve(renamed, operation_id=None))
        self.fixture.clock.advance(1000)
        self.assertEqual(self.done(self.persister.claim("two", ttl=15)), [])
        self.assertEqual(self.done(self.persister.last_operation("i1")), begun)
