"""Operations that an operator cancels, and deadlines that count whoever carries an operation."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.reconcile import PERIOD
from dockerbroker.model.instances import OperationKind, Phase
from tests.broker.calls import Platform, platforms, stack_with_plans
from tests.broker.ledger import complaints, never, stack_instance
from tests.stack import Stack

#: How long until another broker takes over what a dead one carried, in seconds.
TAKEN_OVER = 21.0


def cancel(stack: Stack, operation_id: str) -> None:
    """Let an operator cancel the operation."""
    Deferred.fromCoroutine(stack.persister.cancel(operation_id))


class CancelTests(SynchronousTestCase):
    """Operations that are cancelled."""

    def setUp(self) -> None:
        """Start a broker that never waits with its answer."""
        self.stack, self.ledger = stack_with_plans(answer=0)
        self.patient, self.platform = platforms(self.stack)

    def assert_cancelled(self, operation_id: str, binding_id: str | None = None) -> None:
        """The operation is told as cancelled within a few seconds, and nothing of it is left."""
        self.stack.advance(PERIOD + 1)
        answer = self.platform.poll(operation_id, binding_id)
        self.assertEqual(answer.state, "failed")
        self.assertIn("was cancelled by an operator", answer.description)
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_while_it_waits_for_readiness(self) -> None:
        """A provision whose service does not become ready is undone at once."""
        self.stack.image.scripts["healthy"] = never
        operation_id = self.platform.provision().accepted().operation_id
        cancel(self.stack, operation_id)
        self.assert_cancelled(operation_id)
        self.assertEqual(self.stack.engine.world, {})

    def test_while_an_executable_runs(self) -> None:
        """What is being run is ended before it is undone."""
        self.stack.image.scripts["/provision"] = never
        operation_id = self.platform.provision().accepted().operation_id
        cancel(self.stack, operation_id)
        self.assert_cancelled(operation_id)
        self.assertEqual((self.stack.engine.world, self.ledger.actions()), ({}, ["deprovision"]))

    def test_bind(self) -> None:
        """So is a bind, and its binding is gone."""
        self.patient.provision().result()
        self.stack.image.scripts["/bind"] = never
        operation_id = self.platform.bind().accepted().operation_id
        cancel(self.stack, operation_id)
        self.assert_cancelled(operation_id, "b-1")
        self.assertFalse(any(one.running for one in self.stack.engine.execs.values()))
        self.assertEqual(self.stack.persister.tables.bindings, {})

    def test_while_it_pauses(self) -> None:
        """An operation that waits to try again is not waited for."""
        hang = self.stack.engine.hang_next("start")
        operation_id = self.platform.provision().accepted().operation_id
        self.stack.engine.reachable = False
        hang.release()
        self.stack.advance(60)
        cancel(self.stack, operation_id)
        self.stack.engine.reachable = True
        self.assert_cancelled(operation_id)
        self.assertEqual(self.stack.engine.world, {})

    def test_while_docker_is_at_work(self) -> None:
        """A call that changes a container is waited for, so that nothing comes late."""
        hang = self.stack.engine.hang_next("create")
        operation_id = self.platform.provision().accepted().operation_id
        cancel(self.stack, operation_id)
        self.stack.advance(PERIOD * 3)
        self.assertEqual(self.platform.poll(operation_id).state, "in progress")
        hang.release()
        self.assert_cancelled(operation_id)
        self.assertEqual(self.stack.engine.world, {})

    def test_update_in_place(self) -> None:
        """An `/update` that is cancelled has changed nothing, and the instance can be used."""
        self.patient.provision(parameters={"a": 1}).result()
        self.stack.image.scripts["/update"] = never
        operation_id = self.platform.update(parameters={"a": 2}).accepted().operation_id
        cancel(self.stack, operation_id)
        self.assert_cancelled(operation_id)
        self.assertTrue(self.platform.poll(operation_id).instance_usable)
        self.assertEqual(stack_instance(self.stack, "i-1").parameters.reveal(), {"a": 1})
        self.assertFalse(any(one.running for one in self.stack.engine.execs.values()))

    def test_replacement(self) -> None:
        """An update that is replacing the container brings the old one back."""
        self.patient.provision().result()
        (old,) = self.stack.engine.world.values()
        self.stack.image.scripts["/update"] = never
        operation_id = self.platform.update("large").accepted().operation_id
        cancel(self.stack, operation_id)
        self.assert_cancelled(operation_id)
        self.assertEqual(list(self.stack.engine.world.values()), [old])
        self.assertTrue(old.running)

    def test_carried_by_another_broker(self) -> None:
        """It does not matter which broker carries it."""
        self.stack.image.scripts["healthy"] = never
        operation_id = self.platform.provision().accepted().operation_id
        cancel(self.stack.neighbour(), operation_id)
        self.assert_cancelled(operation_id)

    def test_while_nobody_carries_it(self) -> None:
        """An operation whose broker has died is undone by whoever takes it over."""
        for kind in (OperationKind.PROVISION, OperationKind.UPDATE):
            self.setUp()
            if kind is OperationKind.UPDATE:
                self.patient.provision().result()
            self.stack.image.scripts["healthy"] = never
            ask = self.platform.provision if kind is OperationKind.PROVISION else self.platform.update
            operation_id = ask(plan="large").accepted().operation_id
            successor = self.stack.successor()
            cancel(successor, operation_id)
            self.stack.image.scripts["healthy"] = lambda _stdin, _environment: (0, b"", b"")
            successor.advance(TAKEN_OVER)
            self.assertEqual(Platform(successor).poll(operation_id).state, "failed")
            self.assertEqual(complaints(successor, self.ledger), [])


class DeadlineTests(SynchronousTestCase):
    """The deadline of an operation is its own, whoever carries it."""

    def test_after_a_crash(self) -> None:
        """What another broker takes over has as much time left as it had, and no more."""
        stack, _ = stack_with_plans(answer=0, asynchronous=100)
        platform = platforms(stack)[1]
        stack.engine.hang_next("start")
        operation_id = platform.provision().accepted().operation_id
        stack.advance(50)
        successor = stack.successor()
        told = Platform(successor)
        hang = successor.engine.hang_next("start")
        successor.advance(48)
        self.assertTrue(hang.reached)
        self.assertEqual(told.poll(operation_id).state, "in progress")
        successor.advance(20)
        self.assertEqual(told.poll(operation_id).state, "failed")
        self.assertEqual((successor.engine.world, complaints(successor)), ({}, []))

    def test_taken_over_too_late(self) -> None:
        """What nobody carried until its deadline had passed is undone without another try."""
        stack, ledger = stack_with_plans(answer=0, asynchronous=10)
        platform = platforms(stack)[1]
        stack.engine.hang_next("start")
        operation_id = platform.provision().accepted().operation_id
        successor = stack.successor()
        successor.engine.calls.clear()
        successor.advance(TAKEN_OVER)
        self.assertEqual(Platform(successor).poll(operation_id).state, "failed")
        self.assertNotIn("start", [call[0] for call in successor.engine.calls])
        self.assertEqual((successor.engine.world, complaints(successor, ledger)), ({}, []))

    def test_stored(self) -> None:
        """It is written with the operation, and no later write changes it."""
        stack, _ = stack_with_plans(answer=0)
        hang = stack.engine.hang_next("start")
        platforms(stack)[1].provision().accepted()
        (first,) = stack.persister.history()
        self.assertEqual(first.deadline, stack.clock.seconds() + stack.limits.asynchronous)
        stack.advance(5)
        hang.release()
        stack.advance(5)
        (last,) = stack.persister.history()
        self.assertEqual((last.phase, last.deadline), (Phase.SUCCEEDED, first.deadline))
