"""Brokers that die at any moment, and those that take over."""

from itertools import pairwise

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.limits import LEASE
from dockerbroker.broker.reconcile import PERIOD
from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.instances import BindingState, Phase
from tests.broker.faults import (
    BIND,
    DEPROVISION,
    PROVISION,
    SCENARIOS,
    BreakingPersister,
    Scenario,
    arrange,
    done_and_hanging,
    hanging,
)
from tests.broker.ledger import Ledger, complaints, never, stack_binding, stack_instance, stack_with_ledger
from tests.memory_faults import Fault
from tests.stack import HOST, REDIS, Stack, bind_body, binding_path, instance_path, provision_body

#: Long enough for a lease to lapse and for what it held to be settled, when nothing fails; seconds.
TAKEOVER = LEASE + 2 * PERIOD + 30


class CrashCase(SynchronousTestCase):
    """What every crash must end in."""

    def assert_completed(self, scenario: Scenario, stack: Stack, ledger: Ledger, why: str) -> None:
        """What was written down is done, and nothing else."""
        stack.advance(TAKEOVER)
        self.assertEqual(complaints(stack, ledger), [], why)
        begun = [one for one in stack.persister.history() if one.kind.value == scenario.name]
        before = scenario is PROVISION and not begun
        self.assertTrue(before or begun[-1].phase is Phase.SUCCEEDED, why)
        gone = before or scenario is DEPROVISION
        self.assertEqual(len(stack.engine.running()), 0 if gone else 1, why)
        self.assertEqual(len(stack.persister.tables.bindings), 1 if scenario is BIND else 0, why)
        self.assertEqual(stack.deprovision("i-1").status, 410 if gone else 200, why)


class EngineCrashTests(CrashCase):
    """The broker dies while Docker does something for it."""

    def meet(self, fault: Fault) -> None:
        """Let the broker die at every call of every scenario."""
        for scenario in SCENARIOS:
            stack, _ = stack_with_ledger()
            scenario.prepare(stack)
            before = len(stack.engine.calls)
            stack.settle(scenario.ask(stack))
            calls = [call[0] for call in stack.engine.calls[before:]]
            for position, method in enumerate(calls):
                stack, ledger = stack_with_ledger()
                scenario.prepare(stack)
                arrange(stack.engine, calls, position, fault)
                asked = scenario.ask(stack)
                self.assertIsNone(asked.answer)
                successor = stack.successor()
                why = f"{scenario.name}, call {position} ({method})"
                self.assert_completed(scenario, successor, ledger, why)

    def test_before(self) -> None:
        """Docker had not done it yet."""
        self.meet(hanging)

    def test_after(self) -> None:
        """Docker had done it, and nobody was told."""
        self.meet(done_and_hanging)


class PersisterCrashTests(CrashCase):
    """The broker dies at a call of the database."""

    def prepared(self, scenario: Scenario) -> tuple[Stack, Ledger, BreakingPersister]:
        """Return a stack on a database that can break, ready for the scenario."""
        clock = Clock()
        persister = BreakingPersister(clock.seconds)
        stack, ledger = stack_with_ledger(Stack(clock=clock, persister=persister))
        stack.add_definition(REDIS)
        stack.add_host(HOST)
        scenario.prepare(stack)
        return stack, ledger, persister

    def meet(self, *, written: bool) -> None:
        """Let the broker lose its database for ever at every call that commits something."""
        for scenario in SCENARIOS:
            stack, _, persister = self.prepared(scenario)
            before = len(persister.calls)
            stack.settle(scenario.ask(stack))
            calls = persister.calls[before:]
            begin = calls.index("begin") + (0 if written else 1)
            end = len(calls) - calls[::-1].index("commit") - (1 if written else 0)
            for position in range(begin, end):
                stack, ledger, persister = self.prepared(scenario)
                persister.arm(position, written=written, dead=True)
                scenario.ask(stack)
                why = f"{scenario.name}, call {position} ({calls[position]})"
                self.assert_completed(scenario, stack.successor(), ledger, why)

    def test_before(self) -> None:
        """The database had not written it yet."""
        self.meet(written=False)

    def test_after(self) -> None:
        """The database had written it, and nobody was told."""
        self.meet(written=True)


class SurvivingRunTests(CrashCase):
    """The broker dies, and the `/bind` that it began lives on."""

    def crashed(self) -> tuple[Stack, Ledger]:
        """Return the successor of a broker that died during a `/bind` that does not end."""
        stack, ledger = stack_with_ledger()
        stack.provision("i-1")
        stack.image.scripts["/bind"] = never
        stack.ask("PUT", binding_path("i-1", "b-1"), bind_body())
        self.assertTrue(any(run.running for run in stack.engine.execs.values()))
        return stack.successor(), ledger

    def test_ended(self) -> None:
        """It is ended before it is run once more, so that it cannot make a user whom nobody knows."""
        successor, ledger = self.crashed()
        ledger.install(successor.image)
        successor.advance(TAKEOVER)
        self.assertFalse(any(run.running for run in successor.engine.execs.values()))
        self.assertEqual(ledger.actions(), ["provision", "bind"])
        self.assertEqual(stack_binding(successor, "i-1", "b-1").state, BindingState.BOUND)

    def test_not_ended(self) -> None:
        """In an image without a shell it cannot be ended: the binding stays, dirty, until it is unbound."""
        successor, _ = self.crashed()
        successor.image.shell = False
        successor.advance(TAKEOVER)
        self.assertEqual(len(successor.persister.tables.bindings), 1)
        self.assertEqual(successor.bind("i-1", "b-1").status, 409)
        self.assertEqual(successor.unbind("i-1", "b-1").status, 200)
        self.assertEqual(successor.persister.tables.bindings, {})


class LateCreateTests(SynchronousTestCase):
    """An engine that hung carries out what nobody waits for any more."""

    def test_after_the_first_look(self) -> None:
        """A container that appears after it was looked for in vain is found by the second look."""
        stack = Stack()
        stack.engine.hang_next("create")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        (spec,) = (call[1] for call in stack.engine.calls if call[0] == "create")
        while stack.engine.calls[-1][0] != "inspect":
            stack.advance(1)
        self.assertEqual(stack.engine.world, {})
        self.successResultOf(Deferred.fromCoroutine(stack.engine.create(spec)))
        self.assertEqual(stack.settle(asked).status, 500)
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))

    def test_after_a_crash(self) -> None:
        """A create that the broker which died had asked for is adopted when it comes late."""
        stack = Stack()
        hang = stack.engine.hang_next("create")
        stack.ask("PUT", instance_path("i-1"), provision_body())
        successor = stack.successor()
        hang.release()
        successor.advance(TAKEOVER)
        self.assertEqual(len(successor.engine.running()), 1)
        self.assertEqual((complaints(successor), successor.provision("i-1").status), ([], 200))


class ParkingTests(SynchronousTestCase):
    """Containers that cannot be removed now."""

    def test_pauses(self) -> None:
        """The pauses between the tries double, up to a minute; then it is removed all the same."""
        stack = Stack()
        stack.image.exit_code = 1
        stack.engine.fail_next("remove", EngineUnreachable("The host is away."), times=7)
        self.assertEqual(stack.provision("i-1").status, 500)
        pauses = []
        (row,) = stack.persister.tables.operations.values()
        while row["owner"] is None and row["lease_until"] is not None:
            pauses.append(round(row["lease_until"] - stack.clock.seconds()))
            until = row["lease_until"]
            while row["lease_until"] == until:
                stack.advance(PERIOD)
        self.assertEqual(pauses[0], 2)
        self.assertEqual(len(pauses), 7)
        self.assertTrue(all(later >= sooner for sooner, later in pairwise(pauses)), pauses)
        self.assertLessEqual(max(pauses), 60)
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))


class DamageTests(SynchronousTestCase):
    """Records that were lost or damaged."""

    def abandoned(self) -> Stack:
        """Return the successor of a broker that died while it made `i-1` and `i-2`."""
        stack = Stack()
        for name in ("i-1", "i-2"):
            stack.engine.hang_next("start")
            stack.ask("PUT", instance_path(name), provision_body())
        return stack.successor()

    def test_damaged_instance(self) -> None:
        """An instance that cannot be read keeps no other operation from going on."""
        successor = self.abandoned()
        tables = successor.persister.tables
        tables.instances["i-1"]["document"] = "{"
        successor.advance(TAKEOVER)
        phases = {one.instance_id: one.phase for one in successor.persister.history()}
        self.assertEqual(phases, {"i-1": Phase.FORWARD, "i-2": Phase.SUCCEEDED})

    def test_lost_instance(self) -> None:
        """An operation whose instance was lost is given up, once."""
        successor = self.abandoned()
        tables = successor.persister.tables
        del tables.instances["i-1"]
        successor.advance(TAKEOVER)
        (given_up,) = (o for o in successor.persister.history() if o.instance_id == "i-1")
        self.assertIs(given_up.phase, Phase.FAILED)
        self.assertIn("lost", given_up.description)
        self.assertEqual(list(tables.instances), ["i-2"])


class LeaseTests(SynchronousTestCase):
    """Who carries an operation."""

    def test_renewed_while_it_lasts(self) -> None:
        """An operation that takes longer than its lease is not taken over while its broker lives."""
        stack = Stack()
        hang = stack.engine.hang_next("start")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        stack.neighbour()
        stack.advance(2 * LEASE)
        self.assertIsNone(asked.answer)
        hang.release()
        self.assertEqual(stack.settle(asked).status, 201)
        self.assertEqual(complaints(stack), [])

    def test_lapsed(self) -> None:
        """A broker that slept too long finds its operation taken over, and does nothing more of it."""
        stack, ledger = stack_with_ledger()
        hang = stack.engine.hang_next("start")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        successor = stack.successor()
        successor.advance(TAKEOVER)
        self.assertEqual(ledger.actions(), ["provision"])
        hang.release()
        stack.advance(50)
        self.assertEqual(stack.settle(asked).status, 201)
        self.assertEqual(ledger.actions(), ["provision"])
        self.assertEqual((len(stack.engine.world), complaints(stack, ledger)), (1, []))

    def test_answer_of_another_broker(self) -> None:
        """A request that joins an operation of another broker gets the answer when that one has it."""
        stack = Stack()
        hang = stack.engine.hang_next("start")
        first = stack.ask("PUT", instance_path("i-1"), provision_body())
        other = stack.neighbour()
        second = other.ask("PUT", instance_path("i-1"), provision_body())
        other.advance(1)
        self.assertIsNone(second.answer)
        hang.release()
        self.assertEqual(stack.settle(first).status, 201)
        self.assertEqual(other.settle(second).status, 201)

    def test_stopped_broker_takes_nothing_over(self) -> None:
        """A broker that is being stopped takes nothing over any more."""
        stack = Stack()
        stack.engine.hang_next("start")
        stack.ask("PUT", instance_path("i-1"), provision_body())
        successor = stack.successor()
        successor.reconciler.settle()
        successor.advance(TAKEOVER)
        self.assertIsNotNone(stack_instance(successor, "i-1"))
        successor.reconciler.stop()
        self.assertEqual(successor.clock.getDelayedCalls(), [])

    def test_stopped_broker_keeps_its_leases(self) -> None:
        """What a broker that is being stopped still carries is not taken over, and is waited for."""
        stack = Stack()
        hang = stack.engine.hang_next("start")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        stack.neighbour()
        stack.reconciler.settle()
        finished = Deferred.fromCoroutine(stack.worker.finished())
        stack.advance(2 * LEASE)
        self.assertNoResult(finished)
        hang.release()
        self.assertEqual(stack.settle(asked).status, 201)
        self.successResultOf(finished)

    def test_stopped_broker_waits_within_bounds(self) -> None:
        """What takes longer than a broker that is being stopped may wait does not keep it from ending."""
        stack = Stack()
        hang = stack.engine.hang_next("start")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        finished = Deferred.fromCoroutine(stack.worker.finished()).addTimeout(5, stack.clock)
        stack.advance(5)
        self.failureResultOf(finished, DeadlinePassed)
        hang.release()
        self.assertEqual(stack.settle(asked).status, 201)

    def test_errors_do_not_end_the_looking(self) -> None:
        """Neither a database that does not answer nor a defect ends the looking for what nobody carries."""
        stack, ledger = stack_with_ledger()
        stack.engine.hang_next("start")
        stack.ask("PUT", instance_path("i-1"), provision_body())
        successor = stack.successor()
        successor.persister.fail_next("claim", RuntimeError("a defect"))
        successor.advance(PERIOD)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        successor.advance(TAKEOVER)
        self.assertEqual(complaints(successor, ledger), [])
        self.assertEqual(len(successor.engine.running()), 1)
