"""Brokers and operations that come too late, or find things not as they were."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import BadCommand, NoImage, OperationFailed
from dockerbroker.model.instances import InstanceState
from tests.broker.calls import Platform, stack_with_plans
from tests.broker.ledger import Ledger, complaints, stack_instance
from tests.stack import Stack


def sick(_stdin: bytes, _environment: Any) -> tuple[int, bytes, bytes]:
    """Be a HEALTHCHECK that fails."""
    return 1, b"", b""


class FenceTests(SynchronousTestCase):
    """A broker that wakes up without its lease."""

    def abandoned(self, method: str, *errors: Exception) -> tuple[Stack, Ledger, Any]:
        """Return the successor of a broker whose update hangs in a call, and the call."""
        stack, ledger = stack_with_plans()
        Platform(stack).provision().result()
        for error in errors:
            stack.engine.fail_next("create", error)  # type: ignore[arg-type]
        hang = stack.engine.hang_next(method)
        Platform(stack, asynchronous=True).update("large")
        self.assertTrue(hang.reached)
        return stack.successor(), ledger, hang

    def assert_untouched(self, successor: Stack, ledger: Ledger, hang: Any) -> None:
        """What another broker has made meanwhile stays."""
        Platform(successor).update("large").result()
        before = successor.engine.running()
        hang.release()
        self.assertEqual(successor.engine.running(), before)
        self.assertEqual(complaints(successor, ledger), [])

    def test_create(self) -> None:
        """It finds the name of its container taken, and leaves the container to whoever has made it."""
        successor, ledger, hang = self.abandoned("create")
        successor.engine.fail_next("create", BadCommand("It cannot be made."))
        successor.advance(60)
        self.assert_untouched(successor, ledger, hang)

    def test_discard(self) -> None:
        """It was about to discard its container, and leaves the one that has its name now."""
        successor, ledger, hang = self.abandoned("inspect", BadCommand("It cannot be made."))
        successor.advance(90)
        self.assert_untouched(successor, ledger, hang)


class RestoreTests(SynchronousTestCase):
    """An update that fails where the service was not well before."""

    def test_sick_before(self) -> None:
        """The instance is what it was, and can be used as soon as it is well."""
        stack, ledger = stack_with_plans()
        platform = Platform(stack)
        platform.provision().result()
        healthy, stack.image.scripts["healthy"] = stack.image.scripts["healthy"], sick
        stack.engine.fail_next("create", NoImage("There is no such image."))
        error = platform.update("large").error(within=45)
        assert isinstance(error, OperationFailed)
        stack.advance(60)
        self.assertIs(stack_instance(stack, "i-1").state, InstanceState.READY)
        stack.image.scripts["healthy"] = healthy
        platform.update("large").result()
        self.assertEqual(complaints(stack, ledger), [])


class PausedTests(SynchronousTestCase):
    """Containers that somebody has paused."""

    def test_deprovision(self) -> None:
        """An own one goes, though nothing can be executed in it."""
        stack, _ = stack_with_plans()
        platform = Platform(stack)
        platform.provision().result()
        (container,) = stack.engine.world.values()
        container.paused = True
        platform.deprovision().result()
        self.assertEqual((stack.engine.world, stack.engine.disk), ({}, {}))

    def test_unbind(self) -> None:
        """A binding is not told to be gone while its user would be there again later."""
        stack, _ = stack_with_plans()
        platform = Platform(stack)
        platform.provision().result()
        platform.bind().result()
        (container,) = stack.engine.world.values()
        container.paused = True
        self.assertIn("does not run", platform.unbind().error(within=45).description)
        container.paused = False
        platform.unbind().result()


class SecretTests(SynchronousTestCase):
    """What a container logs."""

    def test_of_a_binding(self) -> None:
        """Neither the credentials of bindings nor the plan's environment are shown."""
        stack, _ = stack_with_plans()
        platform = Platform(stack)
        platform.provision().result()
        platform.bind().result()
        binding = next(iter(stack.persister.tables.bindings.values()))
        password = json.loads(binding["secret"])["document"]["credentials"]["password"]
        stack.image.logs = f"login with {password} failed\n"
        stack.image.exit_code = 1
        description = platform.update("large").error(within=45).description
        self.assertIn("login with", description)
        self.assertNotIn(password, description)
