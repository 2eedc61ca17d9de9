"""What an operation does step by step, how it is undone, and how it goes on without its broker."""

from itertools import product
from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import OperationKind, Phase, ServiceInstance, Step
from dockerbroker.model.steps import (
    MOST_ATTEMPTS,
    cancelled,
    failing,
    forward_steps,
    is_final,
    is_on_successor,
    is_replacing,
    next_step,
    remainder,
    resumed,
    undo_steps,
)
from tests.model.values import (
    DEFINITIONS,
    REDIS,
    STATIC,
    instance,
    moving,
    operation,
    updating,
)

Steps = tuple[Step, ...]

MOVE: Final = (Step.CREATE, Step.HALT, Step.COPY, Step.START, Step.READY, Step.KEEP, Step.RETIRE)
#: What each operation does for an own container, an own static one, an existing one, an existing static one.
FORWARD: Final[dict[OperationKind, tuple[Steps, Steps, Steps, Steps]]] = {
    OperationKind.PROVISION: (
        (Step.CREATE, Step.START, Step.READY, Step.EXECUTE, Step.KEEP),
        (Step.CREATE, Step.START, Step.READY, Step.KEEP),
        (Step.READY, Step.EXECUTE),
        (Step.READY,),
    ),
    OperationKind.BIND: ((Step.EXECUTE,),) * 4,
    OperationKind.UNBIND: ((Step.EXECUTE,),) * 4,
    OperationKind.UPDATE: ((Step.EXECUTE,), (), (Step.EXECUTE,), ()),
    OperationKind.MOVE: (MOVE, MOVE, (), ()),
    OperationKind.DEPROVISION: (
        (Step.UNBIND, Step.EXECUTE, Step.REMOVE),
        (Step.UNBIND, Step.REMOVE),
        (Step.UNBIND, Step.EXECUTE, Step.REMOVE),
        (Step.UNBIND, Step.REMOVE),
    ),
}
REPLACEMENT: Final = (
    Step.CREATE,
    Step.HALT,
    Step.START,
    Step.READY,
    Step.EXECUTE,
    Step.KEEP,
    Step.RETIRE,
)
MAKING: Final = (OperationKind.PROVISION, OperationKind.BIND)
DELETING: Final = (OperationKind.UNBIND, OperationKind.DEPROVISION)
OWN: Final = (REDIS, STATIC)


def situations() -> list[tuple[OperationKind, ServiceInstance]]:
    """Return every kind of operation with every kind of instance that it may work on."""
    plain: list[tuple[OperationKind, ServiceInstance]] = [
        (kind, instance(one))
        for kind, one in product(OperationKind, DEFINITIONS)
        if kind not in {OperationKind.UPDATE, OperationKind.MOVE}
    ]
    plain += [(OperationKind.MOVE, moving(one)) for one in OWN]
    in_place = [(OperationKind.UPDATE, updating(one, replaces=False)) for one in DEFINITIONS]
    return plain + in_place + [(OperationKind.UPDATE, updating(one, replaces=True)) for one in OWN]


class ForwardTests(SynchronousTestCase):
    """What an operation does, in order."""

    def test_each_kind_of_definition(self) -> None:
        """Nothing is created for an existing container, and no executable is run for a static service."""
        for kind, steps in FORWARD.items():
            for definition, expected in zip(DEFINITIONS, steps, strict=True):
                asked = instance(definition)
                if kind is OperationKind.UPDATE:
                    asked = updating(definition, replaces=False)
                self.assertEqual(forward_steps(kind, asked), expected, (kind, definition))

    def test_replacement(self) -> None:
        """The old container stops before the new one starts, and goes when nothing can fail any more."""
        self.assertEqual(forward_steps(OperationKind.UPDATE, updating(replaces=True)), REPLACEMENT)
        static = tuple(step for step in REPLACEMENT if step is not Step.EXECUTE)
        self.assertEqual(forward_steps(OperationKind.UPDATE, updating(STATIC, replaces=True)), static)

    def test_update_that_changes_whether_it_is_static(self) -> None:
        """Whether `/update` is run depends on what the instance is to become."""
        for before, after, runs in ((REDIS, STATIC, False), (STATIC, REDIS, True)):
            asked = evolve(updating(before, replaces=False), successor=instance(after))
            found = Step.EXECUTE in forward_steps(OperationKind.UPDATE, asked)
            self.assertEqual(found, runs, (before, after))

    def test_replacing(self) -> None:
        """A container is replaced when the successor is of another generation."""
        found = [
            is_replacing(one) for one in (instance(), *(updating(replaces=is_) for is_ in (False, True)))
        ]
        self.assertEqual(found, [False, False, True])

    def test_what_works_on_the_successor(self) -> None:
        """Only steps of an update or a move do so: those for the new container, and the executable."""
        expected = {*REPLACEMENT, *MOVE, Step.DISCARD} - {Step.HALT, Step.RETIRE}
        changes = {OperationKind.UPDATE, OperationKind.MOVE}
        for kind, step in product(OperationKind, Step):
            found = is_on_successor(operation(kind, step=step))
            self.assertEqual(found, kind in changes and step in expected, (kind, step))

    def test_point_of_no_return(self) -> None:
        """Only the removal of a replaced container is not undone any more."""
        final = [pair for pair in product(OperationKind, Step) if is_final(operation(pair[0], step=pair[1]))]
        self.assertEqual(final, [(kind, Step.RETIRE) for kind in (OperationKind.UPDATE, OperationKind.MOVE)])


class UndoTests(SynchronousTestCase):
    """How an operation is undone, in order."""

    def expected(self, kind: OperationKind, asked: ServiceInstance) -> Steps:
        """Return the steps of undoing, by the rules of each kind."""
        match kind:
            case OperationKind.PROVISION:
                runs = not asked.definition.is_static
                return (Step.UNDO, Step.REMOVE) if runs else (Step.REMOVE,)
            case OperationKind.UPDATE | OperationKind.MOVE if is_replacing(asked):
                return (Step.DISCARD, Step.RESTORE)
            case OperationKind.UPDATE if not asked.definition.is_static:
                return (Step.UNDO,)
            case OperationKind.BIND:
                return (Step.UNDO,)
            case _:
                return ()

    def test_each_situation(self) -> None:
        """What was made is removed, what was replaced is restored, `/update` is ended; deletes go on."""
        for kind, asked in situations():
            self.assertEqual(undo_steps(kind, asked), self.expected(kind, asked), (kind, asked))

    def test_one_after_the_other(self) -> None:
        """In both directions every step is followed by the next, and the last by none."""
        for (kind, asked), phase in product(situations(), (Phase.FORWARD, Phase.FAILING)):
            steps = (forward_steps if phase is Phase.FORWARD else undo_steps)(kind, asked)
            for step, following in zip(steps, (*steps[1:], None), strict=False):
                at = operation(kind, phase=phase, step=step)
                self.assertIs(next_step(at, asked), following, (kind, step))


class FailingTests(SynchronousTestCase):
    """Operations that fail."""

    def test_each_situation(self) -> None:
        """What can be undone is so from the first step of undoing, with its attempts counted anew.

        The exec is kept, since it must be ended first.
        """
        for kind, asked in situations():
            steps = undo_steps(kind, asked)
            at = operation(kind, step=Step.EXECUTE, exec_id="e-1", attempt=5, may_create=True)
            found = failing(at, asked, "It failed.")
            expected = None
            if steps:
                expected = evolve(at, phase=Phase.FAILING, step=steps[0], description="It failed.", attempt=1)
            self.assertEqual(found, expected, (kind, asked))

    def test_what_may_still_be_running(self) -> None:
        """What an executable may still be at work on is undone only when it goes with its container."""
        for kind, asked in situations():
            found = failing(operation(kind), asked, "It hangs.", is_unended=True)
            goes = is_replacing(asked) or (kind is OperationKind.PROVISION and asked.owns_container)
            self.assertEqual(found is not None, goes, (kind, asked))

    def test_what_is_said_of_it(self) -> None:
        """The sentence about what may still run names the deletion that cleans up."""
        for kind in OperationKind:
            expected = "unbind it" if "bind" in kind.value else "deprovision it"
            self.assertIn(expected, remainder(kind))


class ResumedTests(SynchronousTestCase):
    """Operations whose broker died."""

    def resumed(self, kind: OperationKind, asked: ServiceInstance, **members: Any) -> Any:
        """Return the operation, which was running an exec, as another broker goes on with it."""
        return resumed(operation(kind, exec_id="e-1", **members), asked)

    def test_forward(self) -> None:
        """Everything goes on in the step of its record, once more, with the exec that may still run."""
        for kind, asked in situations():
            for step in forward_steps(kind, asked):
                found = self.resumed(kind, asked, step=step, attempt=3)
                self.assertEqual((found.phase, found.step), (Phase.FORWARD, step))
                self.assertEqual((found.attempt, found.exec_id), (4, "e-1"))
                self.assertEqual(found.may_create, step is Step.CREATE, "Docker may create it late")

    def test_undoing(self) -> None:
        """What was being undone goes on being undone, however often, cancelled or not."""
        for kind, asked in situations():
            for step in undo_steps(kind, asked):
                for members in ({}, {"is_cancelled": True}, {"attempt": MOST_ATTEMPTS * 2}):
                    at = {"phase": Phase.FAILING, "step": step, "description": "It failed.", **members}
                    found = self.resumed(kind, asked, **at)
                    self.assertEqual((found.phase, found.step), (Phase.FAILING, step))
                    self.assertEqual(found.description, "It failed.")

    def test_late_create(self) -> None:
        """That Docker may create something late is not forgotten."""
        found = self.resumed(OperationKind.PROVISION, instance(), step=Step.READY, may_create=True)
        self.assertTrue(found.may_create)

    def test_given_up(self) -> None:
        """An operation at which brokers died again and again is undone, if it can be."""
        for kind, asked in situations():
            found = self.resumed(kind, asked, attempt=MOST_ATTEMPTS)
            steps = undo_steps(kind, asked)
            expected = (Phase.FAILING, steps[0]) if steps else (Phase.FORWARD, Step.EXECUTE)
            self.assertEqual((found.phase, found.step), expected)
            if steps:
                self.assertEqual(
                    found.description, f"The {kind.value} was given up after {MOST_ATTEMPTS} attempts."
                )
            last = self.resumed(kind, asked, attempt=MOST_ATTEMPTS - 1)
            self.assertIs(last.phase, Phase.FORWARD)

    def test_cancelled(self) -> None:
        """An operation that was cancelled while nobody carried it is undone, if it can be."""
        for kind, asked in situations():
            found = self.resumed(kind, asked, is_cancelled=True)
            steps = undo_steps(kind, asked)
            self.assertIs(found.phase, Phase.FAILING if steps else Phase.FORWARD)
            self.assertEqual(found.exec_id, "e-1")
            if steps:
                self.assertEqual(found.description, cancelled(kind))

    def test_past_the_point_of_no_return(self) -> None:
        """The removal of a replaced container is repeated, however often, cancelled or not."""
        for members in ({"is_cancelled": True}, {"attempt": MOST_ATTEMPTS * 2}):
            found = self.resumed(OperationKind.UPDATE, updating(replaces=True), step=Step.RETIRE, **members)
            self.assertEqual((found.phase, found.step), (Phase.FORWARD, Step.RETIRE))
