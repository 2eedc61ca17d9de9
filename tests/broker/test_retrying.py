"""Steps that are tried again: what may pass is waited for, what is an answer is not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.carriage import FIRST_PAUSE, LONGEST_PAUSE
from dockerbroker.errors import (
    BadCommand,
    EngineError,
    EngineUnreachable,
    NoCapacity,
    NoImage,
    OperationFailed,
    OutcomeUnknown,
    Unavailable,
)
from dockerbroker.model.instances import Phase
from dockerbroker.model.steps import MOST_ATTEMPTS
from tests.broker.calls import Call, Platform, platforms, stack_with_plans
from tests.broker.faults import arrange, refused, reply_lost, request_lost, unreachable
from tests.broker.ledger import Ledger, complaints, printing

#: The five changes that a platform asks for, and what there is before.
CHANGES: tuple[tuple[tuple[str, ...], Callable[[Platform], Call]], ...] = (
    ((), Platform.provision),
    (("provision",), lambda platform: platform.update("large")),
    (("provision",), Platform.bind),
    (("provision", "bind"), Platform.unbind),
    (("provision", "bind"), Platform.deprovision),
)
PASSING = (EngineUnreachable("Not reached."), OutcomeUnknown("No answer."), EngineError("Docker is busy."))
#: Faults of one call of Docker that pass.
FAULTS = (refused, unreachable, request_lost, reply_lost)
ANSWERS = (BadCommand("It cannot be run."), NoImage("It is not there."))


def prepared(before: tuple[str, ...]) -> tuple[Platform, Ledger]:
    """Return a patient platform and the ledger of its service, after what was asked for before."""
    stack, ledger = stack_with_plans()
    platform = Platform(stack)
    for name in before:
        getattr(platform, name)().result()
    stack.engine.calls.clear()
    return platform, ledger


class EveryCallTests(SynchronousTestCase):
    """A fault that passes, at each call of Docker that an operation makes."""

    def test_request_succeeds(self) -> None:
        """Whatever it is and wherever, the request succeeds all the same; nothing is left of earlier tries.

        Only where a host is looked for is it told at once that there is none.
        """
        for before, ask in CHANGES:
            platform, _ = prepared(before)
            ask(platform).result()
            calls = [call[0] for call in platform.stack.engine.calls]
            for position, fault in ((at, fault) for at in range(len(calls)) for fault in FAULTS):
                self.assert_recovers(before, ask, calls, position, fault)

    def assert_recovers(
        self,
        before: tuple[str, ...],
        ask: Callable[[Platform], Call],
        calls: list[str],
        position: int,
        fault: Any,
    ) -> None:
        """The request meets the fault and succeeds; afterwards there is no contradiction."""
        platform, ledger = prepared(before)
        arrange(platform.stack.engine, calls, position, fault)
        message = f"{before} {calls[position]} at {position} of {len(calls)}: {fault.__name__}"
        try:
            ask(platform).result()
        except NoCapacity as error:
            self.assertEqual((calls[position], position), ("image", 0), f"{message}: {error}")
        platform.stack.advance(120)
        self.assertEqual(complaints(platform.stack, ledger), [], message)

    def test_changes(self) -> None:
        """Each call that changes a container is made again, and the request never learns of it."""
        for method in ("create", "start", "keep_running"):
            for error in PASSING:
                platform, ledger = prepared(())
                platform.stack.engine.fail_next(method, error, times=3)
                platform.provision().result()
                (operation,) = platform.stack.persister.history()
                self.assertEqual((operation.phase, operation.attempt), (Phase.SUCCEEDED, 4), method)
                self.assertEqual(len(platform.stack.engine.world), 1)
                self.assertEqual(complaints(platform.stack, ledger), [])


class GivingUpTests(SynchronousTestCase):
    """What is not tried again, and when trying ends."""

    def test_answers(self) -> None:
        """What Docker says of the request itself is an answer: the operation fails at once."""
        for error in ANSWERS:
            platform, _ = prepared(())
            platform.stack.engine.fail_next("start", error)
            found = platform.provision().error()
            self.assertEqual(found.description, error.description)
            (operation,) = platform.stack.persister.history()
            self.assertEqual((operation.phase, operation.attempt), (Phase.FAILED, 1))
            self.assertEqual(platform.stack.engine.world, {})

    def test_executables(self) -> None:
        """An executable that failed has answered: it is run once."""
        platform, ledger = prepared(())
        runs: list[bytes] = []

        def provision(stdin: bytes, _environment: object) -> tuple[int, bytes, bytes]:
            runs.append(stdin)
            return 1, b"", b"no\n"

        platform.stack.image.scripts["/provision"] = provision
        self.assertIsInstance(platform.provision().error(), OperationFailed)
        self.assertEqual((len(runs), ledger.actions()), (1, ["deprovision"]))

    def test_most_attempts(self) -> None:
        """After so many attempts it is given up, though there were time; then it is undone."""
        stack, _ = stack_with_plans(answer=0)
        platform = platforms(stack)[1]
        stack.engine.fail_next("start", EngineError("Docker is busy."), times=100)
        operation_id = platform.provision().accepted().operation_id
        stack.advance(590)
        self.assertEqual([call[0] for call in stack.engine.calls].count("start"), MOST_ATTEMPTS)
        answer = platform.poll(operation_id)
        self.assertEqual((answer.state, answer.description), ("failed", "Docker is busy."))
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))

    def test_deadline(self) -> None:
        """Trying ends in time for the operation to be undone within the request."""
        platform, _ = prepared(())
        platform.stack.engine.fail_next("start", EngineError("Docker is busy."), times=100)
        error = platform.provision().error(within=45)
        self.assertEqual(error.description, "Docker is busy.")
        self.assertEqual((platform.stack.engine.world, complaints(platform.stack)), ({}, []))

    def test_pauses(self) -> None:
        """The pauses between two attempts double, up to the longest."""
        stack, _ = stack_with_plans(answer=0)
        times: list[float] = []

        async def busy(_call: Any) -> Any:
            times.append(stack.clock.seconds())
            raise EngineError("Docker is busy.")

        stack.engine.faults["start"] = [busy] * 100
        platforms(stack)[1].provision().accepted()
        stack.advance(300)
        pauses = [later - sooner for sooner, later in pairwise(times)]
        for number, pause in enumerate(pauses):
            self.assertAlmostEqual(pause, min(FIRST_PAUSE * 2**number, LONGEST_PAUSE))
        self.assertEqual(len(times), MOST_ATTEMPTS)

    def test_progress(self) -> None:
        """Who asks is told which attempt it is."""
        stack, _ = stack_with_plans(answer=0)
        platform = platforms(stack)[1]
        stack.engine.fail_next("start", EngineError("Docker is busy."), times=100)
        operation_id = platform.provision().accepted().operation_id
        stack.advance(2)
        self.assertIn("attempt", platform.poll(operation_id).description)

    def test_attempts_are_written_first(self) -> None:
        """An attempt is counted in the record before it is made."""
        stack, _ = stack_with_plans(answer=0)
        stack.engine.fail_next("start", EngineError("Docker is busy."))
        hang = stack.engine.hang_next("start")
        platforms(stack)[1].provision().accepted()
        stack.advance(1)
        self.assertTrue(hang.reached)
        (operation,) = stack.persister.history()
        self.assertEqual((operation.step.value, operation.attempt), ("start", 2))

    def test_database(self) -> None:
        """A step that finds the database away is tried again, too."""
        platform, ledger = prepared(("provision",))
        platform.stack.image.scripts["/unbind"] = printing()
        hang = platform.stack.engine.hang_next("has_file")
        call = platform.bind()
        for _ in range(3):
            platform.stack.persister.fail_next("commit", Unavailable("The database does not answer."))
        hang.release()
        self.assertTrue(call.result().created)
        self.assertEqual(complaints(platform.stack, ledger), [])
