"""Deletions of what is being made: the creation ends, and nothing of it stays.

Source: OSB sections Deprovisioning and Unbinding; Cloud Controller deletes what it got no answer about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.removals import LATE_CREATE
from dockerbroker.errors import BrokerError, OperationFailed
from dockerbroker.model.instances import Phase
from tests.broker.calls import Platform, platforms, stack_with_plans
from tests.broker.ledger import Ledger, complaints, never
from tests.memory_faults import Hang
from tests.stack import Stack

#: Who deletes: a platform that waits or one that does not, of the same broker or of another one.
Who = Callable[[Stack], Platform]
WHO: tuple[Who, ...] = (
    lambda stack: platforms(stack)[0],
    lambda stack: platforms(stack)[1],
    lambda stack: platforms(stack.neighbour())[0],
    lambda stack: platforms(stack.neighbour())[1],
)
NEIGHBOURS = WHO[2:]


def calls_of(before: tuple[str, ...], name: str) -> list[str]:
    """Return the calls of Docker that a request makes, in order, after others."""
    stack, _ = stack_with_plans()
    patient = Platform(stack)
    for earlier in before:
        getattr(patient, earlier)().result()
    stack.engine.calls.clear()
    getattr(patient, name)().result()
    return [call[0] for call in stack.engine.calls]


def hang_at(stack: Stack, calls: list[str], position: int, *, reply: bool) -> Hang:
    """Let the call at this position hang, before it is done or before its answer."""
    method = calls[position]
    for _ in range(calls[:position].count(method)):
        stack.engine.hang_next(method).release()
    return (stack.engine.hang_reply if reply else stack.engine.hang_next)(method)


class ProvisionTests(SynchronousTestCase):
    """A deprovision while the instance is being made."""

    def everywhere(self, name: str, *before: str) -> Iterator[tuple[Stack, Ledger, Hang, Who]]:
        """Yield a broker that hangs in a request, for each call of it, before and after that is done."""
        calls = calls_of(before, name)
        for position in range(len(calls)):
            for reply in (False, True):
                for who in WHO:
                    stack, ledger = stack_with_plans()
                    for earlier in before:
                        getattr(Platform(stack), earlier)().result()
                    yield stack, ledger, hang_at(stack, calls, position, reply=reply), who

    def test_at_every_call(self) -> None:
        """Wherever the provision is, it fails, the deletion succeeds, and nothing is left of either."""
        halted = 0
        for stack, ledger, hang, who in self.everywhere("provision"):
            making = Platform(stack).provision()
            self.assertTrue(hang.reached)
            is_begun = bool(stack.persister.tables.instances)
            deletion = who(stack).deprovision()
            stack.advance(LATE_CREATE / 2)
            hang.release()
            if is_begun:
                halted += 1
                self.assertIsInstance(making.error(within=45), OperationFailed)
                deletion.result()
            else:
                self.assertIn("gone", deletion.error().description)
                making.result()
                Platform(stack).deprovision().result()
            stack.advance(30)
            self.assertEqual((stack.engine.world, stack.engine.disk), ({}, {}))
            self.assertEqual((stack.persister.tables.instances, ledger.databases), ({}, set()))
            self.assertEqual(complaints(stack), [])
        self.assertGreater(halted, 40)

    def test_records(self) -> None:
        """The provision is told as failed, since a deletion has ended it, and the deletion as what it is."""
        stack, _ = stack_with_plans()
        patient, platform = platforms(stack)
        stack.engine.hang_next("start").release()
        stack.image.scripts["healthy"] = never
        making = platform.provision().accepted()
        patient.deprovision().result()
        told = patient.poll(making.operation_id)
        self.assertEqual(told.state, "failed")
        self.assertIn("delet", told.description)
        self.assertEqual(patient.poll().description, "the service instance is removed")
        self.assertEqual([one.phase for one in stack.persister.history()], [Phase.FAILED, Phase.SUCCEEDED])

    def test_executable_at_work(self) -> None:
        """A `/provision` that is at work is ended before `/deprovision` is run, on whichever broker."""
        for who in WHO:
            stack, ledger = stack_with_plans()
            ended: list[str] = []
            stack.image.scripts["/provision"] = never

            def deprovision(
                stdin: bytes, environment: object, stack: Stack = stack, good: object = good
            ) -> object:
                running = [one for one in stack.engine.execs.values() if one.command == ("/provision",)]
                ended.append("at work" if any(one.running for one in running) else "ended")
                return good(stdin, environment)  # type: ignore[operator]

            stack.image.scripts["/deprovision"] = deprovision  # type: ignore[assignment]
            making = platforms(stack)[1].provision()
            who(stack).deprovision().result()
            self.assertEqual((ended, ledger.actions()), (["ended"], ["deprovision"]))
            self.assertIsInstance(making.error(), OperationFailed)
            self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))

    def test_undoing(self) -> None:
        """A provision that has failed and waits to be undone is taken over by the deletion."""
        stack, _ = stack_with_plans()
        patient, _ = platforms(stack)
        hang = stack.engine.hang_reply("create")
        making = patient.provision()
        stack.engine.reachable = False
        hang.release()
        self.assertIn("the broker goes on", making.error().description)
        stack.engine.reachable = True
        patient.deprovision().result()
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))
        stack.advance(120)
        self.assertEqual([one.phase for one in stack.persister.history()], [Phase.FAILED, Phase.SUCCEEDED])

    def test_made_again(self) -> None:
        """The id can be used again as soon as the deletion is over."""
        stack, ledger = stack_with_plans()
        patient, platform = platforms(stack)
        stack.image.scripts["healthy"] = never
        platform.provision()
        patient.deprovision().result()
        stack.image.scripts["healthy"] = lambda _stdin, _environment: (0, b"", b"")
        patient.provision().result()
        self.assertEqual(complaints(stack, ledger), [])

    def test_deletion_that_fails(self) -> None:
        """When the deletion fails too, another one goes on."""
        stack, _ = stack_with_plans()
        patient, platform = platforms(stack)
        stack.image.scripts["healthy"] = never
        platform.provision()
        stack.engine.hang_next("remove")
        self.assertIsInstance(patient.deprovision().error(within=45), BrokerError)
        stack.advance(60)
        patient.deprovision().result()
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))


class BindTests(ProvisionTests):
    """An unbind while the binding is being made."""

    def test_at_every_call(self) -> None:
        """Wherever the bind is, it fails, the unbind succeeds, and no user is left."""
        for stack, ledger, hang, who in self.everywhere("bind", "provision"):
            making = Platform(stack).bind()
            self.assertTrue(hang.reached)
            deletion = who(stack).unbind()
            stack.advance(1)
            hang.release()
            self.assertIsInstance(making.error(within=45), OperationFailed)
            deletion.result()
            stack.advance(30)
            self.assertEqual((stack.persister.tables.bindings, ledger.users), ({}, set()))
            self.assertEqual(complaints(stack, ledger), [])
            Platform(stack).bind().result()
