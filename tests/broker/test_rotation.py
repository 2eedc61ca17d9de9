"""Bindings that take the place of others (OSB section Binding Rotation)."""

from __future__ import annotations

import json

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import BrokerError, Conflict, InvalidRequest, OperationFailed
from dockerbroker.model.instances import ServiceBinding
from tests.broker.calls import SERVICE, SMALL, Platform, platforms, stack_with_plans
from tests.broker.ledger import complaints, printing, stack_binding


class RotationTests(SynchronousTestCase):
    """Rotations of the binding `b-1`."""

    def setUp(self) -> None:
        """Make an instance and the binding."""
        self.stack, self.ledger = stack_with_plans()
        self.platform, self.other = platforms(self.stack)
        self.platform.provision().result()
        self.platform.bind(
            parameters={"role": "reader"},
            app_guid="app-1",
            bind_resource={"app_guid": "app-1"},
            context={"a": 1, "b": 1},
        ).result()

    def binding(self, name: str) -> ServiceBinding:
        """Return a binding as it is stored."""
        found: ServiceBinding = stack_binding(self.stack, "i-1", name)
        return found

    def test_made(self) -> None:
        """The new binding has what the old one was asked for with, and credentials of its own."""
        made = self.platform.rotate("b-2", "b-1", context={"b": 2}).result()
        self.assertTrue(made.created)
        self.assertEqual(made.binding.document.reveal()["credentials"]["username"], "b-2")
        old, new = self.binding("b-1"), self.binding("b-2")
        self.assertEqual(new.parameters.reveal(), {"role": "reader"})
        self.assertEqual((new.app_guid, new.bind_resource), (old.app_guid, old.bind_resource))
        self.assertEqual((new.context, new.predecessor_id), ({"a": 1, "b": 2}, "b-1"))

    def test_executable(self) -> None:
        """`/bind` is told which binding the new one replaces, and nothing of that when there is none."""
        self.platform.rotate("b-2", "b-1").result()
        first, second = (run for run in self.ledger.runs if run["action"] == "bind")
        self.assertNotIn("predecessor_binding_id", first)
        self.assertEqual((second["binding_id"], second["predecessor_binding_id"]), ("b-2", "b-1"))
        self.assertEqual(second["parameters"], {"role": "reader"})

    def test_both_are_valid(self) -> None:
        """The old binding stays until it is removed, and either goes without the other."""
        self.platform.rotate("b-2", "b-1").result()
        self.assertEqual(self.ledger.users, {("i-1", "b-1"), ("i-1", "b-2")})
        self.platform.unbind("b-1").result()
        self.assertEqual(self.ledger.users, {("i-1", "b-2")})
        self.platform.rotate("b-3", "b-2").result()
        self.assertEqual(self.binding("b-3").parameters.reveal(), {"role": "reader"})
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_repeated(self) -> None:
        """The same rotation finds its binding, also when the predecessor is gone; another one conflicts."""
        self.platform.rotate("b-2", "b-1").result()
        self.platform.unbind("b-1").result()
        self.assertFalse(self.platform.rotate("b-2", "b-1").result().created)
        self.assertIsInstance(self.platform.rotate("b-2", "b-3").error(), Conflict)
        self.assertIsInstance(self.platform.bind("b-2").error(), Conflict)

    def test_repeated_meanwhile(self) -> None:
        """The same rotation joins the one that runs."""
        hang = self.stack.engine.hang_next("start_exec")
        first = self.other.rotate("b-2", "b-1").accepted()
        self.assertEqual(self.other.rotate("b-2", "b-1").accepted().operation_id, first.operation_id)
        hang.release()
        self.stack.advance(1)
        self.assertEqual(self.other.poll(first.operation_id, "b-2").state, "succeeded")

    def test_predecessors(self) -> None:
        """What is no binding of the instance, not bound, expired or itself cannot be rotated."""
        self.stack.image.scripts["/bind"] = printing(
            b'{"credentials": {}, "metadata": {"expires_at": "2001-01-01T00:00:00.0Z"}}'
        )
        self.platform.bind("b-old").result()
        self.stack.image.scripts["/unbind"] = printing(b"", b"no\n", exit_code=1)
        self.platform.bind("b-dirty").result()
        self.platform.unbind("b-dirty").error()
        operations = len(self.stack.persister.history())
        for predecessor in ("b-9", "b-old", "b-dirty", "b-2"):
            self.assertIsInstance(self.platform.rotate("b-2", predecessor).error(), InvalidRequest)
        self.assertEqual(len(self.stack.persister.history()), operations)

    def test_plan_without_rotation(self) -> None:
        """A plan whose bindings cannot be rotated says so."""
        plain = evolve(SERVICE, plans=(evolve(SMALL, binding_rotatable=False),))
        stack, _ = stack_with_plans(plain)
        platform = Platform(stack)
        platform.provision().result()
        platform.bind().result()
        self.assertIn("cannot be rotated", platform.rotate("b-2", "b-1").error().description)

    def test_unknown_instance(self) -> None:
        """Without the instance nothing is found."""
        platform = Platform(stack_with_plans()[0])
        error = platform.rotate("b-2", "b-1").error()
        self.assertIsInstance(error, BrokerError)
        self.assertIn("service instance 'i-1' does not exist", error.description)

    def test_failure(self) -> None:
        """A rotation that fails is undone, and the old binding is what it was."""
        old = self.binding("b-1")
        self.stack.image.scripts["/bind"] = printing(b"", b"no\n", exit_code=1)
        self.assertIsInstance(self.platform.rotate("b-2", "b-1").error(), OperationFailed)
        self.assertEqual((self.binding("b-1"), self.ledger.users), (old, {("i-1", "b-1")}))
        last = self.ledger.runs[-1]
        self.assertEqual((last["action"], last["binding_id"]), ("unbind", "b-2"))
        self.assertNotIn("swordfish", json.dumps(last))
        self.assertEqual(complaints(self.stack, self.ledger), [])
