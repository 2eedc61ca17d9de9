"""What a worker has in hand, and how an operation ends."""

from itertools import product
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import (
    BindingState,
    Change,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceInstance,
    Step,
)
from dockerbroker.model.steps import is_on_successor
from dockerbroker.model.work import Work, ending, focused, progress, widened
from tests.model.values import binding, instance, moving, operation, updating


class SuccessorTests(SynchronousTestCase):
    """Steps of an update that work on what the instance is to become."""

    def work(self, kind: OperationKind, step: Step) -> Work:
        """Return an operation in that step; the instance has a successor."""
        return Work(operation=operation(kind, step=step), instance=updating(replaces=True), binding=binding())

    def test_focus(self) -> None:
        """Such a step sees the successor, and what was before beside it; any other sees all as it is."""
        for kind, step in product(OperationKind, Step):
            work = self.work(kind, step)
            found = focused(work)
            if is_on_successor(work.operation):
                self.assertEqual(found.instance, work.instance.successor)
                self.assertEqual(found.former, work.instance)
            else:
                self.assertEqual(found, work)

    def test_back(self) -> None:
        """What such a step has made of the successor is recorded in it, and nothing else changes."""
        for kind, step in product(OperationKind, Step):
            work = self.work(kind, step)
            seen = focused(work)
            done = evolve(seen, instance=evolve(seen.instance, container_id="c-2"), back_to=Step.CREATE)
            found = widened(work, done)
            changed: ServiceInstance | None = found.instance
            if is_on_successor(work.operation):
                self.assertEqual(evolve(found.instance, successor=work.instance.successor), work.instance)
                self.assertIsNone(found.former)
                changed = found.instance.successor
            assert changed is not None
            self.assertEqual((changed.container_id, found.back_to), ("c-2", Step.CREATE))


def moved() -> ServiceInstance:
    """Return the instance that has moved."""
    successor = moving().successor
    assert successor is not None
    return evolve(successor, moved_at=12.0)


class EndingTests(SynchronousTestCase):
    """The last write of an operation."""

    def end(self, kind: OperationKind, phase: Phase, *, clean: bool = True) -> tuple[Operation, Change]:
        """Return the operation at its end, and the change that ends it."""
        held = updating(replaces=True) if kind is OperationKind.UPDATE else instance()
        held = moving() if kind is OperationKind.MOVE else held
        work = Work(operation=operation(kind, phase=phase), instance=held, binding=binding())
        change = ending(work, 12.0, clean=clean)
        return change.operation, change

    def test_success(self) -> None:
        """What was made is there to be used, and what was deleted is not there."""
        expected: dict[OperationKind, dict[str, Any]] = {
            OperationKind.PROVISION: {"instance": instance(state=InstanceState.READY)},
            OperationKind.UPDATE: {"instance": updating(replaces=True).successor},
            OperationKind.MOVE: {"instance": moved()},
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
            (OperationKind.UPDATE, True): {"instance": instance()},
            (OperationKind.UPDATE, False): failed,
            (OperationKind.MOVE, True): {"instance": instance()},
            (OperationKind.MOVE, False): {"instance": instance()},
            (OperationKind.DEPROVISION, True): failed,
            (OperationKind.DEPROVISION, False): failed,
            (OperationKind.BIND, True): {"remove_binding": "b-1"},
            (OperationKind.BIND, False): dirty,
            (OperationKind.UNBIND, True): dirty,
            (OperationKind.UNBIND, False): dirty,
        }
        for (kind, clean), members in expected.items():
            over, change = self.end(kind, Phase.FAILING, clean=clean)
            self.assertEqual((over.phase, over.is_over), (Phase.FAILED, True))
            self.assertEqual(change, Change(operation=over, **members))

    def test_what_is_told_of_the_instance(self) -> None:
        """Whether it is usable is told of updates and deprovisions, and of updates whether to try again."""
        said: dict[tuple[OperationKind, bool], tuple[bool | None, bool | None]] = {
            (OperationKind.UPDATE, True): (True, True),
            (OperationKind.UPDATE, False): (False, False),
            (OperationKind.DEPROVISION, True): (False, None),
            (OperationKind.DEPROVISION, False): (False, None),
        }
        for kind, clean in product(OperationKind, (True, False)):
            over, _ = self.end(kind, Phase.FAILING, clean=clean)
            found = (over.instance_usable, over.update_repeatable)
            self.assertEqual(found, said.get((kind, clean), (None, None)), (kind, clean))
            over, _ = self.end(kind, Phase.FORWARD)
            self.assertEqual((over.instance_usable, over.update_repeatable), (None, None))

    def test_exec_of_an_operation_that_is_over(self) -> None:
        """No exec is remembered of an operation that is over."""
        for phase in (Phase.SUCCEEDED, Phase.FAILED):
            self.assertIsNone(operation(exec_id="e-1").over(phase, 1.0).exec_id)

    def test_description_of_an_operation_that_is_over(self) -> None:
        """A failure keeps why; a success has nothing more to tell of what went wrong on its way."""
        for phase, expected in ((Phase.SUCCEEDED, ""), (Phase.FAILED, "Docker is away.")):
            found = operation(description="Docker is away.").over(phase, 1.0)
            self.assertEqual(found.description, expected)

    def test_progress(self) -> None:
        """Progress is written with the records as they are."""
        work = Work(operation=operation(), instance=instance(), binding=binding())
        later = work.operation.at(Step.KEEP)
        expected = Change(operation=later, instance=work.instance, binding=work.binding)
        self.assertEqual(progress(work, later), expected)
