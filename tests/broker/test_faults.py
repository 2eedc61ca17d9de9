"""Whatever call fails, and however: nothing is left or all is there, and the rows tell the truth."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.broker.faults import (
    SCENARIOS,
    BreakingPersister,
    Scenario,
    arrange,
    done_and_hanging,
    hanging,
    refused,
    reply_lost,
    request_lost,
    unreachable,
)
from tests.broker.ledger import Ledger, complaints, stack_with_ledger
from tests.memory_faults import Fault
from tests.stack import HOST, REDIS, Stack

#: Long enough for everything that was parked or has lapsed to be taken over; seconds.
SETTLING = 300.0


def breaking_stack() -> tuple[Stack, Ledger, BreakingPersister]:
    """Return a stack on a database that can break."""
    clock = Clock()
    persister = BreakingPersister(clock.seconds)
    stack, ledger = stack_with_ledger(Stack(clock=clock, persister=persister))
    stack.add_definition(REDIS)
    stack.add_host(HOST)
    return stack, ledger, persister


class FaultCase(SynchronousTestCase):
    """What every fault must end in."""

    def assert_settled(self, scenario: Scenario, stack: Stack, ledger: Ledger, status: int, why: str) -> None:
        """The answer was true, nothing contradicts anything, and the platform's clean-up cleans up."""
        stack.advance(SETTLING)
        self.assertEqual(complaints(stack, ledger), [], why)
        tables = stack.persister.tables
        if scenario.name == "provision" and status == 500:
            self.assertEqual((tables.instances, stack.engine.world, tables.leases), ({}, {}, {}), why)
        if scenario.name == "provision" and status == 201:
            self.assertEqual(len(stack.engine.world), 1, why)
        if scenario.name == "bind":
            self.assertEqual(len(stack.engine.running()), 1, why)
        if scenario.name == "bind" and status == 201:
            self.assertEqual(ledger.users, {("i-1", "b-1")}, why)
        self.clean_up(scenario, stack, ledger, status, why)

    def clean_up(self, scenario: Scenario, stack: Stack, ledger: Ledger, status: int, why: str) -> None:
        """Do what Cloud Controller does after a failure: delete, and delete again."""
        if scenario.name in {"bind", "unbind"}:
            expected = {410} if scenario.name == "unbind" and status == 200 else {200, 410}
            self.assertIn(stack.unbind("i-1", "b-1").status, expected, why)
            self.assertEqual(ledger.users, set(), why)
            self.assertEqual(stack.persister.tables.bindings, {}, why)
        expected = {410} if scenario.name == "deprovision" and status == 200 else {200, 410}
        self.assertIn(stack.deprovision("i-1").status, expected, why)
        self.assertEqual(stack.engine.world, {}, why)
        self.assertEqual(complaints(stack, ledger), [], why)
        self.assertEqual(stack.persister.tables.leases, {}, why)


class EngineFaultTests(FaultCase):
    """Every call of Docker that an operation makes fails in every way."""

    def calls(self, scenario: Scenario) -> list[str]:
        """Return the calls that the scenario makes when nothing fails."""
        stack, _ = stack_with_ledger()
        scenario.prepare(stack)
        before = len(stack.engine.calls)
        self.assertIn(stack.settle(scenario.ask(stack)).status, {200, 201})
        return [call[0] for call in stack.engine.calls[before:]]

    def meet(self, fault: Fault) -> None:
        """Let every call of every scenario meet the fault."""
        for scenario in SCENARIOS:
            calls = self.calls(scenario)
            self.assertGreater(len(calls), 3)
            for position, method in enumerate(calls):
                stack, ledger = stack_with_ledger()
                scenario.prepare(stack)
                arrange(stack.engine, calls, position, fault)
                started = stack.clock.seconds()
                answer = stack.settle(scenario.ask(stack))
                why = f"{scenario.name}, call {position} ({method})"
                self.assertLessEqual(stack.clock.seconds() - started, 45, why)
                self.assertIn(answer.status, {200, 201, 500, 503}, why)
                if answer.status >= 500:
                    self.assertTrue(answer.description, why)
                self.assert_settled(scenario, stack, ledger, answer.status, why)

    def test_refused(self) -> None:
        """Docker refuses."""
        self.meet(refused)

    def test_unreachable(self) -> None:
        """Docker is not reached."""
        self.meet(unreachable)

    def test_request_lost(self) -> None:
        """Docker has not seen the request, and the broker does not know it."""
        self.meet(request_lost)

    def test_reply_lost(self) -> None:
        """Docker has done it, and the broker does not know it."""
        self.meet(reply_lost)

    def test_hanging(self) -> None:
        """Docker never does it and never answers."""
        self.meet(hanging)

    def test_done_and_hanging(self) -> None:
        """Docker does it and never answers."""
        self.meet(done_and_hanging)


class PersisterFaultTests(FaultCase):
    """Every call of the database that an operation makes fails once."""

    def count(self, scenario: Scenario) -> int:
        """Return how many calls the scenario makes when nothing fails."""
        stack, _, persister = breaking_stack()
        scenario.prepare(stack)
        before = len(persister.calls)
        stack.settle(scenario.ask(stack))
        return len(persister.calls) - before

    def meet(self, *, written: bool) -> None:
        """Let every call of every scenario fail."""
        for scenario in SCENARIOS:
            count = self.count(scenario)
            self.assertGreater(count, 3)
            for position in range(count):
                stack, ledger, persister = breaking_stack()
                scenario.prepare(stack)
                persister.arm(position, written=written)
                answer = stack.settle(scenario.ask(stack))
                why = f"{scenario.name}, call {position} ({persister.calls[-1]})"
                self.assertIn(answer.status, {200, 201, 500, 503}, why)
                self.assert_settled(scenario, stack, ledger, answer.status, why)

    def test_nothing_written(self) -> None:
        """A call that did nothing is a failure that leaves nothing behind."""
        self.meet(written=False)

    def test_written(self) -> None:
        """A call that was done without the broker learning of it does not leave an operation behind."""
        self.meet(written=True)
