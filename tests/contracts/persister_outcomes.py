"""What every persister promises of the progress and the outcome of operations."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import LostLease, PortLeased
from dockerbroker.model.instances import BindingState, Change, InstanceState, Phase, ServiceInstance, Step
from dockerbroker.model.secrets import Secret
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.persisters.values import HERE, THERE


class CommitContract(PersisterTestCase):
    """Progress and outcomes."""

    def setUp(self) -> None:
        """Begin a provision."""
        super().setUp()
        self.made = values.instance("i1", 20001, 20002)
        self.begun = self.begin(values.provision("o1", self.made))

    def stored(self, instance_id: str = "i1") -> ServiceInstance | None:
        """Return the stored instance."""
        return self.done(self.persister.instance(instance_id))

    def test_progress(self) -> None:
        """Progress is written; the operation keeps its owner and its instance."""
        moved = evolve(
            self.begun.at(Step.START), attempt=2, exec_id="e1", phase=Phase.FAILING, description="why"
        )
        grown = evolve(self.made, container_id="c1", provisioned=Secret({"a": 1}), state=InstanceState.READY)
        self.done(self.persister.commit(Change(operation=moved, instance=grown)))
        self.assertEqual(self.done(self.persister.operation("o1")), moved)
        self.assertEqual(self.stored(), evolve(grown, operation_id="o1"))
        self.done(self.persister.commit(Change(operation=moved.at(Step.READY))))
        self.assertEqual(self.stored(), evolve(grown, operation_id="o1"))

    def test_marker_is_the_persisters(self) -> None:
        """Which operation holds the instance does not depend on what the written instance says."""
        self.done(self.persister.commit(Change(operation=self.begun, instance=self.made)))
        self.assertEqual(self.stored(), evolve(self.made, operation_id="o1"))
        self.succeed(self.begun, instance=evolve(self.made, operation_id="o1"))
        self.assertEqual(self.stored(), self.made)

    def test_over(self) -> None:
        """An operation that is over has no owner and lets go of its instance, but is kept."""
        for phase, operation_id in ((Phase.SUCCEEDED, "o1"), (Phase.FAILED, "o2")):
            ended = self.begun.over(phase, 12.5)
            self.done(self.persister.commit(Change(operation=ended)))
            self.assertEqual(self.done(self.persister.operation(operation_id)), evolve(ended, owner=None))
            self.assertEqual(self.stored(), self.made)
            self.begun = self.begin(values.deprovision("o2" if phase is Phase.SUCCEEDED else "o3"))
        self.assertEqual(self.stored(), evolve(self.made, operation_id="o3"))

    def test_never_changes_again(self) -> None:
        """An operation that is over refuses every write, with whatever epoch, and nothing is written."""
        self.succeed(self.begun)
        stored = self.done(self.persister.operation("o1"))
        for epoch in (0, 1, 2):
            late = evolve(self.begun, epoch=epoch, phase=Phase.FAILED, description="late")
            self.refused(LostLease, self.persister.commit(Change(operation=late, remove_instance=True)))
            self.refused(LostLease, self.persister.release(late, delay=0))
        self.assertEqual(self.done(self.persister.operation("o1")), stored)
        self.assertEqual(self.stored(), self.made)

    def test_unknown_operation(self) -> None:
        """An operation that was never begun is not written."""
        unknown = evolve(self.begun, id="o9")
        self.refused(LostLease, self.persister.commit(Change(operation=unknown, remove_instance=True)))
        self.assertEqual(self.stored(), evolve(self.made, operation_id="o1"))
        self.assertIsNone(self.done(self.persister.operation("o9")))

    def test_ports_replaced(self) -> None:
        """The instance's leases become those that it is written with, on whichever host."""
        for written in (values.instance("i1", 20002, 20003), values.instance("i1", 20001, host=THERE)):
            self.done(self.persister.commit(Change(operation=self.begun, instance=written)))
            self.assertEqual(
                self.done(self.persister.leased_ports(written.host)), set(written.ports.values())
            )
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), frozenset())
        self.provisioned(values.instance("i2", 20001, 20002, 20003))

    def test_ports_taken(self) -> None:
        """A new port that another instance has is refused, and nothing of the change is written."""
        self.provisioned(values.instance("i2", 20003))
        change = Change(
            operation=self.begun.over(Phase.SUCCEEDED, 1), instance=values.instance("i1", 20001, 20003)
        )
        self.refused(PortLeased, self.persister.commit(change))
        self.assertEqual(self.stored(), evolve(self.made, operation_id="o1"))
        self.assertEqual(self.done(self.persister.operation("o1")), self.begun)
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), {20001, 20002, 20003})

    def test_ports_kept_when_over(self) -> None:
        """The leases outlive the operation: they are the instance's."""
        self.succeed(self.begun)
        wants = values.provision("o2", values.instance("i2", 20002))
        self.refused(PortLeased, self.persister.begin(wants, owner="one", ttl=15, within=60))

    def test_remove_instance(self) -> None:
        """With an instance go its bindings and its port leases, and its identifier is free."""
        self.succeed(self.begun)
        self.bound(values.binding("i1", "b1"))
        self.bound(values.binding("i1", "b2"))
        self.provisioned(values.instance("i2", 20003))
        other = self.bound(values.binding("i2", "b1"))
        removing = self.begin(values.deprovision("o2"))
        self.succeed(removing, remove_instance=True)
        self.assertIsNone(self.stored())
        self.assertEqual(self.done(self.persister.bindings("i1")), [])
        self.assertEqual(self.done(self.persister.bindings("i2")), [other])
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), {20003})
        self.provisioned(values.instance("i1", 20001))
        self.assertEqual(self.done(self.persister.bindings("i1")), [])

    def test_operations_outlive_instances(self) -> None:
        """The operations of an instance that is gone are still told of."""
        self.succeed(self.begun)
        self.succeed(self.begin(values.deprovision("o2")), remove_instance=True)
        for operation_id in ("o1", "o2"):
            kept = self.done(self.persister.operation(operation_id))
            assert kept is not None
            self.assertEqual(kept.phase, Phase.SUCCEEDED)

    def test_removed_early(self) -> None:
        """An operation that ends after it removed its instance does not free a new one of the same name."""
        removal = Change(operation=self.begun, remove_instance=True)
        self.done(self.persister.commit(removal))
        self.begin(values.provision("o2", self.made))
        self.succeed(self.begun)
        self.assertEqual(self.stored(), evolve(self.made, operation_id="o2"))

    def test_remove_binding(self) -> None:
        """The one binding goes; the instance's others stay."""
        self.succeed(self.begun)
        self.bound(values.binding("i1", "b1"))
        kept = self.bound(values.binding("i1", "b2"))
        self.succeed(self.begin(values.unbind("o2")), remove_binding="b1")
        self.assertEqual(self.done(self.persister.bindings("i1")), [kept])
        self.bound(values.binding("i1", "b3"))

    def test_binding_written(self) -> None:
        """A binding of the change replaces the stored one."""
        self.succeed(self.begun)
        begun = self.begin(values.bind("o2", values.binding()))
        ready = values.binding(document=Secret({"credentials": {"a": "b"}}), state=BindingState.BOUND)
        self.succeed(begun, binding=ready)
        self.assertEqual(self.done(self.persister.binding("i1", "b1")), ready)
