"""The steps of an operation, how it fails, and how it ends."""

from itertools import product
from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import (
    BindingState,
    Change,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    Step,
)
from dockerbroker.model.secrets import Secret
from dockerbroker.model.transitions import (
    failing,
    forward_steps,
    next_step,
    remainder,
    resumed,
    undo_steps,
)
from dockerbroker.model.work import Work, ending, progress
from tests.model.values import EXISTING, REDIS, STATIC, binding, instance, operation

EXISTING_STATIC: Final = evolve(EXISTING, credentials=Secret({"host": "$HOST"}))
DEFINITIONS: Final = (REDIS, STATIC, EXISTING, EXISTING_STATIC)
MAKING: Final = (OperationKind.PROVISION, OperationKind.BIND)
DELETING: Final = (OperationKind.UNBIND, OperationKind.DEPROVISION)


class StepTests(SynchronousTestCase):
    """What an operation does, in order."""

    def test_forward(self) -> None:
        """Nothing is created for an existing container, and no executable is run for a static service."""
        every = (Step.CREATE, Step.START, Step.READY, Step.EXECUTE, Step.KEEP)
        provisions = (
            every,
            (Step.CREATE, Step.START, Step.READY, Step.KEEP),
            (Step.READY, Step.EXECUTE),
            (Step.READY,),
        )
        for definition, provision in zip(DEFINITIONS, provisions, strict=True):
            runs = () if definition.is_static else (Step.EXECUTE,)
            expected = {
                OperationKind.PROVISION: provision,
                OperationKind.BIND: (Step.EXECUTE,),
                OperationKind.UNBIND: (Step.EXECUTE,),
                OperationKind.DEPROVISION: (Step.UNBIND, *runs, Step.REMOVE),
            }
            for kind in OperationKind:
                self.assertEqual(
                    forward_steps(kind, instance(definition)), expected[kind], (kind, definition)
                )

    def test_undo(self) -> None:
        """A provision is undone by its executable and by removing, a bind by its executable alone."""
        expected = {
            OperationKind.PROVISION: (Step.UNDO, Step.REMOVE),
            OperationKind.BIND: (Step.UNDO,),
            OperationKind.UNBIND: (),
            OperationKind.DEPROVISION: (),
        }
        for kind, steps in expected.items():
            self.assertEqual(undo_steps(kind, instance()), steps)
        self.assertEqual(undo_steps(OperationKind.PROVISION, instance(STATIC)), (Step.REMOVE,))

    def test_one_after_the_other(self) -> None:
        """From the first step on, every step is followed by the next, and the last by none."""
        for kind, definition, phase in product(OperationKind, DEFINITIONS, (Phase.FORWARD, Phase.FAILING)):
            asked = instance(definition)
            steps = (forward_steps if phase is Phase.FORWARD else undo_steps)(kind, asked)
            for step, following in zip(steps, (*steps[1:], None), strict=False):
                self.assertIs(next_step(operation(kind, phase=phase, step=step), asked), following)


class FailureTests(SynchronousTestCase):
    """Operations that fail, or whose broker died."""

    def test_what_can_be_undone(self) -> None:
        """A provision and a bind are undone from the first step of undoing; a delete is not."""
        for kind in MAKING:
            found = failing(operation(kind, exec_id="e-1"), instance(), "It failed.")
            assert found is not None
            self.assertEqual((found.phase, found.step, found.exec_id), (Phase.FAILING, Step.UNDO, None))
            self.assertEqual(found.description, "It failed.")
        for kind in DELETING:
            self.assertIsNone(failing(operation(kind), instance(), "It failed."))

    def test_what_may_still_be_running(self) -> None:
        """What an executable may still be at work on is undone only when it goes with its container."""
        for kind, definition in product(OperationKind, DEFINITIONS):
            asked = instance(definition)
            found = failing(operation(kind), asked, "It hangs.", is_unended=True)
            goes = kind is OperationKind.PROVISION and asked.owns_container
            self.assertEqual(found is not None, goes, (kind, definition))
            expected = "unbind it" if "bind" in kind.value else "deprovision it"
            self.assertIn(expected, remainder(kind))

    def test_resumed(self) -> None:
        """What was being made is undone; a deletion, and an undoing, go on where they were."""
        for kind, step in product(OperationKind, (Step.EXECUTE,)):
            found = resumed(operation(kind, step=step, exec_id="e-1"), instance())
            self.assertEqual(found.attempt, 2)
            self.assertEqual(found.exec_id, "e-1", "it may still run, and must be ended")
            if kind in MAKING:
                self.assertEqual((found.phase, found.step), (Phase.FAILING, Step.UNDO))
                self.assertIn(f"stopped during the {kind.value}", found.description)
            else:
                self.assertEqual((found.phase, found.step), (Phase.FORWARD, step))
        parked = operation(phase=Phase.FAILING, step=Step.REMOVE, description="It failed.")
        self.assertEqual(resumed(parked, instance()), evolve(parked, attempt=2))


class EndingTests(SynchronousTestCase):
    """The last write of an operation."""

    def end(self, kind: OperationKind, phase: Phase, *, clean: bool = True) -> tuple[Operation, Change]:
        """Return the operation at its end, and the change that ends it."""
        work = Work(operation=operation(kind, phase=phase), instance=instance(), binding=binding())
        change = ending(work, 12.0, clean=clean)
        return change.operation, change

    def test_success(self) -> None:
        """What was made is there to be used, and what was deleted is not there."""
        expected: dict[OperationKind, dict[str, Any]] = {
            OperationKind.PROVISION: {"instance": instance(state=InstanceState.READY)},
            OperationKind.DEPROVISION: {"remove_instance": True},
            OperationKind.BIND: {"binding": binding(state=BindingState.BOUND)},
            OperationKind.UNBIND: {"remove_binding": "b-1"},
        }
        for kind, members in expected.items():
            over, change = self.end(kind, Phase.FORWARD)
            self.assertEqual((over.phase, over.finished_at, over.is_over), (Phase.SUCCEEDED, 12.0, True))
            self.assertEqual(change, Change(operation=over, **members))

    def test_failure(self) -> None:
        """What was undone is not there; of what could not be, the record tells and only a delete goes on."""
        failed: dict[str, Any] = {"instance": instance(state=InstanceState.FAILED)}
        dirty: dict[str, Any] = {"binding": binding(state=BindingState.DIRTY)}
        expected: dict[tuple[OperationKind, bool], dict[str, Any]] = {
            (OperationKind.PROVISION, True): {"remove_instance": True},
            (OperationKind.PROVISION, False): failed,
            (OperationKind.DEPROVISION, False): failed,
            (OperationKind.BIND, True): {"remove_binding": "b-1"},
            (OperationKind.BIND, False): dirty,
            (OperationKind.UNBIND, False): dirty,
        }
        for (kind, clean), members in expected.items():
            over, change = self.end(kind, Phase.FAILING, clean=clean)
            self.assertEqual((over.phase, over.is_over), (Phase.FAILED, True))
            self.assertEqual(change, Change(operation=over, **members))

    def test_progress(self) -> None:
        """Progress is written with the records as they are."""
        work = Work(operation=operation(), instance=instance(), binding=binding())
        later = work.operation.at(Step.KEEP)
        expected = Change(operation=later, instance=work.instance, binding=work.binding)
        self.assertEqual(progress(work, later), expected)
