"""Updates that fail: the old container is back with all that it had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockerbroker.errors import (
    BadCommand,
    ConcurrencyError,
    EngineError,
    NoCapacity,
    OperationFailed,
)
from dockerbroker.model.instances import InstanceState, Step
from tests.broker.calls import LARGE
from tests.broker.faults import arrange
from tests.broker.ledger import complaints, printing
from tests.broker.updates import UpdateCase


class RestoredTests(UpdateCase):
    """Updates that fail before the old container is removed."""

    def fail_at(self, step: Step) -> Callable[[], object]:
        """Return what makes the update fail in that step."""
        image, engine = self.stack.image, self.stack.engine
        error = BadCommand("It cannot be done.")

        def never_healthy() -> None:
            # Only what runs in the new container is ill.
            def healthy(_stdin: bytes, _environment: Any) -> tuple[int, bytes, bytes]:
                return 0 if self.old.running else 1, b"", b""

            image.scripts["healthy"] = healthy

        failures: dict[Step, Callable[[], object]] = {
            Step.CREATE: lambda: engine.fail_next("create", error),
            Step.HALT: lambda: engine.fail_next("stop", error),
            Step.START: lambda: engine.fail_next("start", error),
            Step.READY: never_healthy,
            Step.EXECUTE: lambda: image.scripts.update({"/update": printing(b"", b"no\n", exit_code=1)}),
            Step.KEEP: lambda: engine.fail_next("keep_running", error),
        }
        return failures[step]

    def test_each_step(self) -> None:
        """Whichever step fails, the old container runs again with what it had, and the user is told why."""
        steps = (Step.CREATE, Step.HALT, Step.START, Step.READY, Step.EXECUTE, Step.KEEP)
        for step in steps:
            self.setUp()
            self.fail_at(step)()
            error = self.platform.update("large", parameters={"a": 3}).error()
            self.assertIsInstance(error, OperationFailed)
            self.assertEqual((error.instance_usable, error.update_repeatable), (True, True), step)
            self.assert_as_before()
            self.ledger.install(self.stack.image)
            self.stack.image.scripts["healthy"] = printing()
            self.platform.update("large").result()
            self.assertEqual(self.container().spec.memory, 2**30, step)

    def test_each_call(self) -> None:
        """Whichever call of Docker is refused, the update is done whole or not at all."""
        self.platform.update("large").result()
        calls = [call[0] for call in self.stack.engine.calls]
        self.assertGreater(len(calls), 10)

        async def refused(_call: Any) -> Any:
            raise BadCommand("It cannot be done.")

        outcomes = set()
        for position in range(len(calls)):
            self.setUp()
            arrange(self.stack.engine, calls, position, refused)
            call = self.platform.update("large")
            try:
                call.result()
                outcomes.add("done")
            except (OperationFailed, NoCapacity):
                outcomes.add("undone")
            self.stack.advance(120)
            if self.instance().plan == LARGE:
                self.assertEqual(self.container().spec.memory, 2**30, calls[position])
            else:
                self.assert_as_before()
            self.assertEqual(complaints(self.stack, self.ledger), [], calls[position])
        self.assertEqual(outcomes, {"done", "undone"})

    def test_too_late(self) -> None:
        """An update that takes too long is undone in time for its request."""
        hang = self.stack.engine.hang_next("start")
        error = self.platform.update("large").error(within=45)
        self.assertTrue(hang.reached)
        self.assertIn("took too long", error.description)
        self.assert_as_before()

    def test_docker_goes_away(self) -> None:
        """While Docker is away nothing can be restored; it is when Docker is there again."""
        hang = self.stack.engine.hang_next("start")
        call = self.platform.update("large")
        self.stack.engine.reachable = False
        hang.fail(BadCommand("It cannot be done."))
        error = call.error()
        self.assertIn("the broker goes on", error.description)
        self.stack.advance(300)
        self.assertIs(self.instance().state, InstanceState.UPDATING)
        self.assertIsInstance(self.platform.update("large").error(), ConcurrencyError)
        self.stack.engine.reachable = True
        self.stack.advance(120)
        self.assert_as_before()

    def test_old_container_that_does_not_start_at_once(self) -> None:
        """An old container that Docker cannot start now is started a little later."""
        self.stack.engine.fail_next("start", BadCommand("It cannot be done."))
        self.stack.engine.fail_next("start", EngineError("Docker is busy."), times=3)
        self.platform.update("large").error()
        self.stack.advance(60)
        self.assert_as_before()

    def test_old_container_that_is_gone(self) -> None:
        """An instance whose old container cannot be had again is unusable, as is said; a DELETE cleans up."""
        self.fail_at(Step.EXECUTE)()
        hang = self.stack.engine.hang_next("start")
        call = self.platform.update("large")
        del self.stack.engine.world[self.old.id]
        hang.release()
        error = call.error()
        self.assertIn("Cleaning up failed as well", error.description)
        self.assertEqual((error.instance_usable, error.update_repeatable), (False, False))
        self.assertIs(self.instance().state, InstanceState.FAILED)
        self.assertIsNone(self.instance().successor)
        self.platform.deprovision().result()
        self.assertEqual((self.stack.engine.world, complaints(self.stack)), ({}, []))

    def test_ports_that_are_taken(self) -> None:
        """Ports that somebody else has for a while are waited for, since applications know them."""
        hang = self.stack.engine.hang_next("start")
        call = self.platform.update("large")
        self.stack.engine.taken_ports |= set(self.before.ports.values())
        hang.release()
        self.stack.advance(5)
        self.assertFalse(call.is_over)
        self.stack.engine.taken_ports.clear()
        call.result()
        self.assertEqual(self.instance().ports, self.before.ports)
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_ports_that_stay_taken(self) -> None:
        """When that takes too long the update is undone, and the old container started when it can be."""
        hang = self.stack.engine.hang_next("start")
        call = self.platform.update("large")
        self.stack.engine.taken_ports |= set(self.before.ports.values())
        hang.release()
        self.assertIn("Port 20000 of the Docker host memory is in use", call.error().description)
        self.stack.advance(60)
        self.stack.engine.taken_ports.clear()
        self.stack.advance(120)
        self.assert_as_before()
