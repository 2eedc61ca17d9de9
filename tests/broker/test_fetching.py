"""What platforms see of instances, bindings and operations."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import ConcurrencyError, NotFound
from dockerbroker.model.instances import BindingState
from dockerbroker.model.requests import PollRequest
from tests.broker.calls import SERVICE, Call, platforms, stack_with_plans
from tests.broker.ledger import printing, stack_binding


class FetchingTests(SynchronousTestCase):
    """GET of an instance or a binding."""

    def setUp(self) -> None:
        """Start a broker that never waits with its answer."""
        self.stack, self.ledger = stack_with_plans(answer=0)
        self.patient, self.platform = platforms(self.stack)

    def test_instance(self) -> None:
        """It is there from the moment when its provision has succeeded, with its parameters."""
        self.assertIsInstance(self.platform.fetch().error(), NotFound)
        hang = self.stack.engine.hang_next("start")
        self.platform.provision(parameters={"a": 1}).accepted()
        self.assertIsInstance(self.platform.fetch().error(), NotFound)
        hang.release()
        self.stack.advance(1)
        self.assertEqual(self.platform.poll().state, "succeeded")
        found = self.platform.fetch().result()
        self.assertEqual((found.id, found.parameters.reveal(), found.plan.name), ("i-1", {"a": 1}, "small"))

    def test_instance_that_changes(self) -> None:
        """While it is updated or removed it cannot be read; afterwards it is what it has become, or gone."""
        self.patient.provision().result()
        hang = self.stack.engine.hang_next("start")
        self.platform.update("large").accepted()
        self.assertIsInstance(self.platform.fetch().error(), ConcurrencyError)
        hang.release()
        self.stack.advance(1)
        self.assertEqual(self.platform.fetch().result().plan.name, "large")
        hang = self.stack.engine.hang_next("remove")
        self.platform.deprovision(plan="large").accepted()
        self.assertIsInstance(self.platform.fetch().error(), ConcurrencyError)
        hang.release()
        self.stack.advance(1)
        self.assertIsInstance(self.platform.fetch().error(), NotFound)

    def test_binding(self) -> None:
        """It is there, with its credentials, as soon as its bind has succeeded, until its unbind begins."""
        self.patient.provision().result()
        self.assertIsInstance(self.platform.fetch("b-1").error(), NotFound)
        for ask, expected in ((self.platform.bind, True), (self.platform.unbind, False)):
            hang = self.stack.engine.hang_next("start_exec")
            operation_id = ask().accepted().operation_id
            self.assertIsInstance(self.platform.fetch("b-1").error(), NotFound)
            hang.release()
            self.stack.advance(1)
            self.assertEqual(self.platform.poll(operation_id, "b-1").state, "succeeded")
            if expected:
                found = self.platform.fetch("b-1").result()
                self.assertEqual(found.document.reveal()["credentials"]["password"], "swordfish")
        self.assertIsInstance(self.platform.fetch("b-1").error(), NotFound)

    def test_dirty_binding(self) -> None:
        """A binding that could not be removed is none any more."""
        self.patient.provision().result()
        self.patient.bind().result()
        self.stack.image.scripts["/unbind"] = printing(b"", b"no\n", exit_code=1)
        self.patient.unbind().error()
        self.assertIs(stack_binding(self.stack, "i-1", "b-1").state, BindingState.DIRTY)
        self.assertIsInstance(self.platform.fetch("b-1").error(), NotFound)

    def test_not_retrievable(self) -> None:
        """A service that says so shows neither, though both are there."""
        hidden = evolve(SERVICE, instances_retrievable=False, bindings_retrievable=False)
        stack, _ = stack_with_plans(hidden)
        patient, _ = platforms(stack)
        patient.provision().result()
        patient.bind().result()
        self.assertIsInstance(patient.fetch().error(), NotFound)
        self.assertIsInstance(patient.fetch("b-1").error(), NotFound)


class PollingTests(SynchronousTestCase):
    """GET of the last operation."""

    def setUp(self) -> None:
        """Make and remove an instance, with a binding."""
        self.stack, _ = stack_with_plans()
        self.patient, self.platform = platforms(self.stack)
        for name in ("provision", "bind", "unbind", "deprovision"):
            getattr(self.patient, name)().result()
        self.ids = {one.kind.value: one.id for one in self.stack.persister.history()}

    def unknown(self, **members: str) -> None:
        """Nothing is found by such a question."""
        request = PollRequest(**{"instance_id": "i-1", **members})
        error = Call(self.stack, self.stack.broker.last_operation(request)).error()
        self.assertIsInstance(error, NotFound)

    def test_each(self) -> None:
        """Every operation can be asked about, again and again, also when all is gone."""
        for _ in range(2):
            for kind, operation_id in self.ids.items():
                binding_id = "b-1" if "bind" in kind else None
                self.assertEqual(self.platform.poll(operation_id, binding_id).state, "succeeded")

    def test_last(self) -> None:
        """Without its id the last one on the instance itself, or on the binding, is meant."""
        self.assertEqual(self.platform.poll().description, "the service instance is removed")
        self.assertEqual(self.platform.poll(binding_id="b-1").description, "the binding is removed")

    def test_unknown(self) -> None:
        """There is no answer for what never was, or was something else."""
        self.unknown(instance_id="i-2")
        self.unknown(binding_id="b-2")
        self.unknown(operation_id="o-unknown")
        self.unknown(operation_id=self.ids["bind"])
        self.unknown(operation_id=self.ids["provision"], binding_id="b-1")
        self.unknown(operation_id=self.ids["provision"], instance_id="i-2")

    def test_what_is_done_now(self) -> None:
        """While it runs the answer tells what is done, where, and since when."""
        hang = self.stack.engine.hang_next("start")
        operation_id = self.platform.provision().accepted().operation_id
        answer = self.platform.poll(operation_id)
        self.assertRegex(answer.description, r"^starting redis on 10\.0\.0\.1 \(\d+ s\)$")
        self.assertIsNotNone(answer.retry_after)
        hang.release()
        self.stack.advance(1)
