"""Deletions of what is being made: the creation ends, and nothing of it stays.

Source: OSB sections Deprovisioning and Unbinding; Cloud Controller deletes what it got no answer about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.removals import LATE_CREATE
from dockerbroker.errors import BrokerError, ConcurrencyError, Gone, OperationFailed
from dockerbroker.model.instances import BindingState, Phase
from tests.broker.calls import Platform, platforms, stack_with_plans
from tests.broker.ledger import Ledger, complaints, never, stack_binding
from tests.memory_faults import Hang
from tests.memory_world import Printed
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


def watch(stack: Stack, path: str, other: str) -> list[bool]:
    """Return what tells of each run of an executable to come whether the other one was at work then."""
    at_work: list[bool] = []
    script = stack.image.scripts[path]

    def watched(stdin: bytes, environment: Mapping[str, str]) -> Printed | Awaitable[Printed]:
        others = [one for one in stack.engine.execs.values() if one.command == (other,)]
        at_work.append(any(one.running for one in others))
        return script(stdin, environment)

    stack.image.scripts[path] = watched
    return at_work


class HaltingCase(SynchronousTestCase):
    """A request that hangs, and a deletion of what it makes."""

    def everywhere(self, name: str, *before: str) -> Iterator[tuple[Stack, Ledger, str, Hang, Who]]:
        """Yield a broker of which each call in a request hangs, before and after it is done."""
        calls = calls_of(before, name)
        for position, reply, who in product(range(len(calls)), (False, True), WHO):
            stack, ledger = stack_with_plans()
            for earlier in before:
                getattr(Platform(stack), earlier)().result()
            yield stack, ledger, calls[position], hang_at(stack, calls, position, reply=reply), who


class ProvisionTests(HaltingCase):
    """A deprovision while the instance is being made."""

    def test_at_every_call(self) -> None:
        """Wherever the provision is, it fails, the deletion succeeds, and nothing is left of either."""
        halted = 0
        for stack, ledger, _, hang, who in self.everywhere("provision"):
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
                self.assertIn("deleted before", making.error().description)
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
            at_work = watch(stack, "/deprovision", "/provision")
            stack.image.scripts["/provision"] = never
            making = platforms(stack)[1].provision()
            who(stack).deprovision().result()
            self.assertEqual((at_work, ledger.actions()), ([False], ["deprovision"]))
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
        """A deletion that cannot be done in time goes on by itself."""
        stack, _ = stack_with_plans()
        patient, platform = platforms(stack)
        stack.image.scripts["healthy"] = never
        platform.provision()
        stack.engine.hang_next("remove")
        self.assertIsInstance(patient.deprovision().error(within=45), BrokerError)
        stack.advance(120)
        self.assertIsInstance(patient.deprovision().error(within=45), Gone)
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))


class BindTests(HaltingCase):
    """An unbind while the binding is being made."""

    def test_at_every_call(self) -> None:
        """Wherever the bind is, it fails, the unbind succeeds, and no user is left."""
        for stack, ledger, call, hang, who in self.everywhere("bind", "provision"):
            making = Platform(stack).bind()
            self.assertTrue(hang.reached)
            is_late = call == "start_exec" and who in NEIGHBOURS and not ledger.users
            if is_late:
                # Nobody can hinder a Docker that hangs from starting later what another broker asked for.
                hang.release()
            deletion = who(stack).unbind()
            stack.advance(1)
            if is_late:
                making.result()
            else:
                hang.release()
                self.assertIsInstance(making.error(within=45), OperationFailed)
            deletion.result()
            stack.advance(30)
            self.assertEqual((stack.persister.tables.bindings, ledger.users), ({}, set()))
            self.assertEqual(complaints(stack, ledger), [])
            Platform(stack).bind().result()

    def test_executable_at_work(self) -> None:
        """A `/bind` that is at work is ended before `/unbind` is run, on whichever broker."""
        for who in WHO:
            stack, ledger = stack_with_plans()
            Platform(stack).provision().result()
            at_work = watch(stack, "/unbind", "/bind")
            stack.image.scripts["/bind"] = never
            making = platforms(stack)[1].bind()
            who(stack).unbind().result()
            self.assertEqual((at_work, ledger.actions()), ([False], ["provision", "unbind"]))
            self.assertIsInstance(making.error(), OperationFailed)
            self.assertEqual(complaints(stack, ledger), [])

    def test_executable_that_cannot_be_ended(self) -> None:
        """What cannot be ended keeps the binding, dirty, until an unbind finds it ended."""
        stack, ledger = stack_with_plans()
        patient, platform = platforms(stack)
        patient.provision().result()
        stack.image.scripts["/bind"] = never
        stack.image.shell = False
        platform.bind()
        self.assertIn("may still run", patient.unbind().error().description)
        self.assertIs(stack_binding(stack, "i-1", "b-1").state, BindingState.DIRTY)
        patient.unbind().result()
        self.assertEqual(complaints(stack, ledger), [])

    def test_another_binding(self) -> None:
        """The unbind of another binding has to wait for the bind that holds the instance."""
        stack, ledger = stack_with_plans()
        patient, platform = platforms(stack)
        patient.provision().result()
        patient.bind("b-2").result()
        hang = stack.engine.hang_next("start_exec")
        making = platform.bind("b-1")
        self.assertIsInstance(patient.unbind("b-2").error(), ConcurrencyError)
        self.assertIsInstance(patient.deprovision().error(), ConcurrencyError)
        hang.release()
        making.result()
        self.assertEqual(complaints(stack, ledger), [])
