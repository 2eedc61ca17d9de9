"""What platforms are told that ask for the last operation."""

from itertools import product
from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import NotFound
from dockerbroker.model.instances import Operation, OperationKind, Phase
from dockerbroker.model.polling import RETRY_AFTER, is_parked, last_operation
from dockerbroker.model.requests import LastOperation, PollRequest
from tests.model.values import instance, operation

ON_INSTANCE: Final = PollRequest(instance_id="i-1")
ON_BINDING: Final = PollRequest(instance_id="i-1", binding_id="b-1")


def of(kind: OperationKind, **members: Any) -> Operation:
    """Return an operation of the kind, on the binding `b-1` if it is about bindings."""
    on_binding = {"binding_id": "b-1"} if kind in {OperationKind.BIND, OperationKind.UNBIND} else {}
    return operation(kind, **{**on_binding, **members})


def polled(found: Operation) -> LastOperation:
    """Return the answer about an operation to whoever asks for it rightly."""
    request = ON_BINDING if found.binding_id is not None else ON_INSTANCE
    return last_operation(request, found, instance(), 12.0)


class AnswerTests(SynchronousTestCase):
    """The answer about an operation."""

    def test_states(self) -> None:
        """There are three states; what is being undone is in progress until nothing of it is left."""
        expected = {
            Phase.FORWARD: "in progress",
            Phase.FAILING: "in progress",
            Phase.SUCCEEDED: "succeeded",
            Phase.FAILED: "failed",
        }
        for kind, phase in product(OperationKind, Phase):
            answer = polled(of(kind, phase=phase))
            self.assertEqual(answer.state, expected[phase], (kind, phase))
            self.assertTrue(answer.description)

    def test_when_to_ask_again(self) -> None:
        """Only of what is in progress it is said when to ask again."""
        for kind, phase in product(OperationKind, Phase):
            answer = polled(of(kind, phase=phase))
            self.assertEqual(answer.retry_after, RETRY_AFTER if answer.state == "in progress" else None)

    def test_what_a_failure_means(self) -> None:
        """What a failure means for the instance is told when it has failed, and not before."""
        for phase in Phase:
            found = of(OperationKind.UPDATE, phase=phase, instance_usable=False, update_repeatable=False)
            answer = polled(found)
            expected = (False, False) if phase is Phase.FAILED else (None, None)
            self.assertEqual((answer.instance_usable, answer.update_repeatable), expected)

    def test_waiting(self) -> None:
        """What cannot be undone now is told as going on, whoever has it: a final answer never changes."""
        for kind, phase, owner in product(OperationKind, Phase, (None, "broker-1")):
            found = of(kind, phase=phase, owner=owner, description="It failed.")
            self.assertEqual(is_parked(found), owner is None and not found.is_over)
            if phase is Phase.FAILING:
                answer = polled(found)
                self.assertEqual(answer.state, "in progress")
                self.assertIn("It failed. Undoing it", answer.description)

    def test_description_of_a_failure(self) -> None:
        """A failure is told as its record tells it."""
        self.assertEqual(
            polled(of(OperationKind.BIND, phase=Phase.FAILED, description="No.")).description, "No."
        )

    def test_gone(self) -> None:
        """The deletion of an instance that is gone has succeeded."""
        found = of(OperationKind.DEPROVISION, phase=Phase.SUCCEEDED)
        self.assertEqual(last_operation(ON_INSTANCE, found, None, 1.0).state, "succeeded")


class MismatchTests(SynchronousTestCase):
    """Questions about operations that are not there."""

    def assert_unknown(self, request: PollRequest, found: Operation | None) -> None:
        """The question is answered with `NotFound`, whatever the phase, and with nothing that is final."""
        for phase in Phase:
            asked = None if found is None else evolve(found, phase=phase)
            self.assertRaises(NotFound, last_operation, request, asked, instance(), 1.0)

    def test_unknown(self) -> None:
        """An instance or binding without such an operation is named."""
        for request, name in ((ON_INSTANCE, "service instance 'i-1'"), (ON_BINDING, "binding 'b-1'")):
            self.assert_unknown(request, None)
            error = self.assertRaises(NotFound, last_operation, request, None, None, 1.0)
            assert isinstance(error, NotFound)
            self.assertIn(name, error.description)

    def test_of_another(self) -> None:
        """An operation of another instance or binding, or of the instance for a binding, is none of it."""
        on_binding = of(OperationKind.BIND)
        on_instance = of(OperationKind.PROVISION)
        self.assert_unknown(ON_INSTANCE, on_binding)
        self.assert_unknown(ON_BINDING, on_instance)
        self.assert_unknown(evolve(ON_INSTANCE, instance_id="i-2"), on_instance)
        self.assert_unknown(evolve(ON_BINDING, binding_id="b-2"), on_binding)
        self.assert_unknown(evolve(ON_BINDING, instance_id="i-2"), on_binding)

    def test_plan_of_the_question(self) -> None:
        """The ids of service and plan do not count: during an update they are those of before."""
        asked = evolve(ON_INSTANCE, service_id="mysql", plan_id="mysql_200", operation_id="o-1")
        self.assertEqual(
            last_operation(asked, of(OperationKind.UPDATE), instance(), 1.0).state, "in progress"
        )
