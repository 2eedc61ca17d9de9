"""Databases restored from a copy that was made while an operation was under way, long after its deadline."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import BindingState, InstanceState, Phase
from tests.broker.calls import SERVICE, Call, Platform, stack_with_plans
from tests.broker.ledger import complaints, stack_binding, stack_instance
from tests.broker.test_lost_database import replace
from tests.memory_tables import Tables
from tests.stack import Stack

#: Until every deadline has passed, for long.
_LONG = 200.0


def copied(stack: Stack, method: str, call: Callable[[], Call]) -> Tables:
    """Let the call come to its end; return the database as it was while Docker was asked for that."""
    hang = stack.engine.hang_next(method)
    made = call()
    while not hang.reached:
        stack.advance(0.1)
    backup = deepcopy(stack.persister.tables)
    hang.release()
    made.result()
    return backup


def restored(stack: Stack, backup: Tables, *, after: float = _LONG) -> Stack:
    """Return the broker that is started on the copy."""
    stack.advance(after)
    replace(stack.persister.tables, backup)
    successor = stack.successor()
    successor.advance(90)
    return successor


class FinishedTests(SynchronousTestCase):
    """What was finished after the copy was made stays."""

    def test_provision(self) -> None:
        """An instance is there, whatever its provision was doing."""
        for method in ("create", "start", "create_exec", "start_exec", "keep_running"):
            stack, ledger = stack_with_plans()
            backup = copied(stack, method, Platform(stack).provision)
            (container,) = stack.engine.world
            stack = restored(stack, backup)
            self.assertEqual(list(stack.engine.world), [container], method)
            self.assertIs(stack_instance(stack, "i-1").state, InstanceState.READY)
            self.assertEqual(stack_instance(stack, "i-1").container_id, container)
            self.assertEqual(complaints(stack, ledger), [])
            Platform(stack).bind().result()

    def test_in_time(self) -> None:
        """So it is when the deadline has not passed, though the provision then fails."""
        stack, _ = stack_with_plans()
        stack.image.scripts["/provision"] = lambda _stdin, _environment: (0, b"{}", b"")
        backup = copied(stack, "start_exec", Platform(stack).provision)
        (container,) = stack.engine.world
        stack.image.scripts["/provision"] = lambda _stdin, _environment: (1, b"", b"It exists.")
        stack = restored(stack, backup, after=0)
        self.assertEqual(list(stack.engine.world), [container])
        self.assertIs(stack_instance(stack, "i-1").state, InstanceState.READY)

    def test_update(self) -> None:
        """An instance is what its update has made of it."""
        for method in ("create", "stop", "start", "create_exec", "keep_running"):
            stack, ledger = stack_with_plans()
            Platform(stack).provision().result()
            backup = copied(stack, method, partial(Platform(stack).update, "large"))
            (container,) = stack.engine.world
            stack = restored(stack, backup)
            self.assertEqual(list(stack.engine.world), [container], method)
            self.assertEqual(stack_instance(stack, "i-1").plan.id, "large")
            self.assertEqual(complaints(stack, ledger), [])

    def test_cancelled(self) -> None:
        """What an operator asked to be undone is undone."""
        stack, _ = stack_with_plans()
        backup = copied(stack, "keep_running", Platform(stack).provision)
        for row in backup.operations.values():
            row["is_cancelled"] = True
        stack = restored(stack, backup)
        self.assertEqual((stack.engine.world, stack.engine.disk), ({}, {}))
        self.assertIsNone(stack_instance(stack, "i-1"))


class LaterTests(SynchronousTestCase):
    """What operations have made of which the database knows nothing."""

    def test_updated(self) -> None:
        """The container of an instance that was updated since, however often, is left to be adopted."""
        for plans in (["large"], ["large", "small"], ["large", "small", "large"]):
            stack, _ = stack_with_plans()
            backup = copied(stack, "start", Platform(stack).provision)
            for plan in plans:
                Platform(stack).update(plan).result()
            (container,), disk = stack.engine.world, set(stack.engine.disk)
            stack = restored(stack, backup)
            self.assertEqual((list(stack.engine.world), set(stack.engine.disk)), ([container], disk))
            self.assertIsNone(stack_instance(stack, "i-1"))
            (operation,) = stack.persister.history()
            self.assertIs(operation.phase, Phase.FAILED)
            self.assertIn("may adopt it", operation.description)

    def test_updated_otherwise(self) -> None:
        """An update that failed, and was followed by another one, takes nothing away."""
        stack, _ = stack_with_plans()
        Platform(stack).provision().result()
        update = stack.image.scripts["/update"]
        stack.image.scripts["/update"] = lambda _stdin, _environment: (1, b"", b"It cannot be.")
        hang = stack.engine.hang_next("start")
        failing = Platform(stack).update("large")
        stack.advance(0.1)
        backup = deepcopy(stack.persister.tables)
        hang.release()
        failing.error()
        stack.image.scripts["/update"] = update
        stack.advance(60)
        Platform(stack).update("large").result()
        (container,) = stack.engine.world
        stack = restored(stack, backup)
        self.assertEqual(list(stack.engine.world), [container])
        self.assertIs(stack_instance(stack, "i-1").state, InstanceState.READY)
        self.assertEqual(stack_instance(stack, "i-1").plan.id, "small")

    def test_made_anew(self) -> None:
        """A provision under the id of an instance that the database does not know replaces no container."""
        stack, _ = stack_with_plans()
        empty = deepcopy(stack.persister.tables)
        Platform(stack).provision().result()
        (container,) = stack.engine.world
        stack = restored(stack, empty)
        self.assertIn("stays", Platform(stack).provision().error().description)
        stack.advance(60)
        self.assertEqual(list(stack.engine.world), [container])
        self.assertIsNone(stack_instance(stack, "i-1"))


class UntoldTests(SynchronousTestCase):
    """Operations of which Docker does not tell whether they succeeded."""

    def test_bind(self) -> None:
        """The user of a binding stays until the platform asks for its removal."""
        stack, ledger = stack_with_plans()
        Platform(stack).provision().result()
        backup = copied(stack, "start_exec", Platform(stack).bind)
        stack = restored(stack, backup)
        self.assertIs(stack_binding(stack, "i-1", "b-1").state, BindingState.DIRTY)
        self.assertNotEqual(ledger.users, set())
        self.assertIn("unbind it to clean up", stack.persister.history()[-1].description)
        Platform(stack).unbind().result()
        self.assertEqual(complaints(stack, ledger), [])

    def test_existing_container(self) -> None:
        """In a container that is not the broker's nothing is deprovisioned until the platform asks for it."""
        shared = evolve(SERVICE, container_name="shared", plan_updateable=False)
        stack, _ = stack_with_plans()
        container = stack.engine.world
        Platform(stack).provision("i-0").result()
        (one,) = container.values()
        one.spec = evolve(one.spec, name="shared", labels={})
        stack.persister.tables.instances.clear()
        stack.add_definition(shared)
        ran: list[bytes] = []

        def deprovision(stdin: bytes, _environment: object) -> tuple[int, bytes, bytes]:
            ran.append(stdin)
            return 0, b"", b""

        stack.image.scripts["/provision"] = lambda _stdin, _environment: (0, b"{}", b"")
        stack.image.scripts["/deprovision"] = deprovision
        backup = copied(stack, "start_exec", Platform(stack).provision)
        stack = restored(stack, backup)
        self.assertEqual(ran, [])
        self.assertIs(stack_instance(stack, "i-1").state, InstanceState.FAILED)
        Platform(stack).deprovision().result()
        self.assertEqual(len(ran), 1)
