"""Deletions that cannot be done now: they wait, and are tried again until they succeed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.broker.calls import Platform
from tests.broker.ledger import complaints
from tests.broker.test_asynchronous import world


class DeletionTests(SynchronousTestCase):
    """Deletions, which are not undone, and so go on until they have succeeded."""

    def test_host_that_is_away(self) -> None:
        """While the host is away a deletion is in progress, and says why; then it succeeds."""
        for ask, binding_id in ((Platform.unbind, "b-1"), (Platform.deprovision, None)):
            platform = world("provision bind")[1]
            platform.stack.engine.reachable = False
            operation_id = ask(platform).accepted().operation_id
            platform.stack.advance(2000)
            answer = platform.poll(operation_id, binding_id)
            self.assertEqual(answer.state, "in progress")
            self.assertIn("cannot be reached", answer.description)
            platform.stack.engine.reachable = True
            platform.stack.advance(100)
            self.assertEqual(platform.poll(operation_id, binding_id).state, "succeeded")
            self.assertEqual(complaints(platform.stack), [])

    def test_asked_again(self) -> None:
        """Who asks again while it waits has it tried at once, by whichever broker."""
        for elsewhere in (False, True):
            patient, platform = world("provision")
            platform.stack.engine.reachable = False
            first = platform.deprovision().accepted()
            platform.stack.advance(700)
            platform.stack.engine.reachable = True
            stack = patient.stack.neighbour() if elsewhere else patient.stack
            Platform(stack).deprovision().result(within=10)
            self.assertEqual(platform.poll(first.operation_id).state, "succeeded")
            self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))
