"""Executables that go on when their broker has died: waited for, and run again with the same ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import LostLease
from dockerbroker.model.instances import BindingState
from dockerbroker.model.requests import Bound
from tests.broker.calls import Call, Platform, platforms, stack_with_plans
from tests.broker.ledger import complaints, stack_binding, stack_instance
from tests.memory_world import Printed
from tests.stack import Stack

#: How long until another broker takes over what a dead one carried, in seconds.
TAKEN_OVER = 21.0


@define
class SlowScript:
    """An executable that ends when it is told, and tells whether two of it were ever at work."""

    printed: bytes = b"{}"
    runs: list[dict[str, Any]] = field(factory=list)
    at_work: list[Deferred[Printed]] = field(factory=list)
    overlapped: bool = False

    def __call__(self, stdin: bytes, _environment: Mapping[str, str]) -> Deferred[Printed]:
        """Begin."""
        self.overlapped = self.overlapped or any(not one.called for one in self.at_work)
        self.runs.append(json.loads(stdin))
        # Killing it is cancelling it.
        self.at_work.append(Deferred())
        return self.at_work[-1]

    def end(self) -> None:
        """End the last run well."""
        self.at_work[-1].callback((0, self.printed, b""))


class OutlivingTests(SynchronousTestCase):
    """A `/bind` at work when its broker dies."""

    def setUp(self) -> None:
        """Make an instance, and let the broker die while `/bind` is at work."""
        self.stack, self.ledger = stack_with_plans(answer=0)
        platforms(self.stack)[0].provision().result()
        self.script = SlowScript(b'{"username": "u"}')
        self.stack.image.scripts["/bind"] = self.script
        self.operation_id = platforms(self.stack)[1].bind().accepted().operation_id
        self.assertEqual(len(self.script.runs), 1)
        # Whatever the dead broker is told from now on, it does not write.
        self.stack.persister.fail_next("commit", LostLease("This broker is dead."))

    def successor(self) -> Stack:
        """Return another broker at the time when it has taken over."""
        successor = self.stack.successor()
        successor.advance(TAKEN_OVER)
        return successor

    def state(self, stack: Stack) -> str:
        """Return how the bind stands."""
        return Platform(stack).poll(self.operation_id, "b-1").state

    def test_waited_for(self) -> None:
        """It is waited for, then run once more with the same ids: its output is lost."""
        successor = self.successor()
        self.assertEqual((len(self.script.runs), self.state(successor)), (1, "in progress"))
        self.script.end()
        successor.advance(2)
        first, second = self.script.runs
        self.assertEqual(
            (first["instance_id"], first["binding_id"]), (second["instance_id"], second["binding_id"])
        )
        self.script.end()
        successor.advance(1)
        self.assertEqual(self.state(successor), "succeeded")
        document = stack_binding(successor, "i-1", "b-1").document.reveal()
        self.assertEqual(document, {"credentials": {"username": "u"}})
        self.assertFalse(self.script.overlapped)
        self.assertEqual(complaints(successor), [])

    def test_ended_meanwhile(self) -> None:
        """One that has ended before anybody took over is run once more as well."""
        self.script.end()
        successor = self.successor()
        self.assertEqual(len(self.script.runs), 2)
        self.script.end()
        successor.advance(1)
        self.assertEqual(self.state(successor), "succeeded")

    def test_never_ends(self) -> None:
        """One that does not end is ended, and then run once more: two are never at work at once."""
        successor = self.successor()
        successor.advance(17)
        self.assertEqual(len(self.script.runs), 2)
        self.assertFalse(self.script.overlapped)
        self.script.end()
        successor.advance(1)
        self.assertEqual(self.state(successor), "succeeded")

    def test_cannot_be_ended(self) -> None:
        """One that cannot be ended is not run beside itself: the binding is dirty, and can be removed."""
        self.stack.image.shell = False
        successor = self.successor()
        successor.advance(60)
        self.assertEqual((len(self.script.runs), self.state(successor)), (1, "failed"))
        self.assertIs(stack_binding(successor, "i-1", "b-1").state, BindingState.DIRTY)
        self.stack.image.shell = True
        Platform(successor).unbind().result()
        self.assertEqual(complaints(successor, self.ledger), [])

    def test_engine_that_was_restarted(self) -> None:
        """When the engine knows nothing of it any more, it is run anew in the container, started again."""
        self.stack.engine.restart()
        successor = self.successor()
        self.assertEqual(len(self.script.runs), 2)
        self.script.end()
        successor.advance(1)
        self.assertEqual(self.state(successor), "succeeded")
        self.assertEqual(len(successor.engine.running()), 1)

    def test_unbind_meanwhile(self) -> None:
        """An unbind that comes before anybody has taken over ends it, and removes what it made."""
        successor = self.stack.successor()
        Platform(successor).unbind().result()
        self.assertFalse(any(one.running for one in successor.engine.execs.values()))
        self.assertEqual(self.ledger.actions(), ["provision", "unbind"])
        successor.advance(TAKEN_OVER)
        self.assertEqual((successor.persister.tables.bindings, complaints(successor)), ({}, []))

    def test_repeated_request(self) -> None:
        """The same request at another broker waits for the operation, whoever carries it in the end."""
        successor = self.stack.successor()
        call: Call = Platform(successor).bind()
        successor.advance(TAKEN_OVER)
        for _ in range(2):
            self.script.end()
            successor.advance(1)
        self.assertIsInstance(call.result(), Bound)


class OtherTests(SynchronousTestCase):
    """The other executables, at work when their broker dies."""

    def died(self, path: str, ask: str, *before: str) -> tuple[Stack, SlowScript, str]:
        """Return the broker that has taken over, the executable, and the operation."""
        stack, _ = stack_with_plans(answer=0)
        patient, platform = platforms(stack)
        for name in before:
            getattr(patient, name)().result()
        script = SlowScript()
        stack.image.scripts[path] = script
        call = platform.update(parameters={"a": 1}) if ask == "update" else getattr(platform, ask)()
        operation_id = call.accepted().operation_id
        successor = stack.successor()
        successor.advance(TAKEN_OVER)
        return successor, script, operation_id

    def test_made_again(self) -> None:
        """`/provision` and `/update` are waited for and run once more, never beside themselves."""
        for path, ask, before in (("/provision", "provision", ()), ("/update", "update", ("provision",))):
            successor, script, operation_id = self.died(path, ask, *before)
            self.assertEqual(len(script.runs), 1)
            for _ in range(2):
                script.end()
                successor.advance(2)
            self.assertEqual((len(script.runs), script.overlapped), (2, False), path)
            self.assertEqual(Platform(successor).poll(operation_id).state, "succeeded")
            self.assertEqual(complaints(successor), [])

    def test_update_remembers_what_was(self) -> None:
        """`/update` is told the same plan and parameters of before when it is run once more."""
        successor, script, _ = self.died("/update", "update", "provision")
        script.end()
        successor.advance(2)
        first, second = script.runs
        self.assertEqual(first["previous"], second["previous"])
        script.end()
        successor.advance(1)
        self.assertEqual(stack_instance(successor, "i-1").parameters.reveal(), {"a": 1})

    def test_cleaning_up(self) -> None:
        """`/unbind` and `/deprovision` are ended and run once more: what they print does not matter."""
        for path, ask in (("/unbind", "unbind"), ("/deprovision", "deprovision")):
            successor, script, operation_id = self.died(path, ask, "provision", "bind")
            self.assertEqual((len(script.runs), script.overlapped), (2, False), path)
            script.end()
            successor.advance(2)
            binding_id = "b-1" if ask == "unbind" else None
            self.assertEqual(Platform(successor).poll(operation_id, binding_id).state, "succeeded")
            self.assertEqual(complaints(successor), [])
