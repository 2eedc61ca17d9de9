"""Whatever call fails, hangs or loses its reply: all invariants hold, and the answer is true."""

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.calls import ANSWERED_WITHIN, FAULTS, OPERATIONS, Experiment
from tests.crash.invariants import empty_complaints, settled_complaints
from tests.crash.platform import Deed
from tests.crash.scenarios import Act

#: What a request may be answered whose call meets a fault, besides success.
_TROUBLE = {500, 503}


class CallCase(SynchronousTestCase):
    """One fault at every call of one operation."""

    def meet(self, operation: str, *, asynchronous: bool) -> None:
        """Let every call meet every fault of its seam."""
        for name, fault in FAULTS.items():
            undisturbed = Experiment.of(operation, fault.seam, asynchronous=asynchronous)
            deed = undisturbed.ask()
            self.assertIn(deed.statuses, ([200], [201]), operation)
            count = len(undisturbed.calls.names)
            self.assertGreater(count, 3, "an operation makes several calls of both seams")
            for position in range(count):
                self.experience(operation, name, position, asynchronous=asynchronous)

    def experience(self, operation: str, name: str, position: int, *, asynchronous: bool) -> None:
        """Let one call meet the fault, and look at everything."""
        experiment = Experiment.of(operation, FAULTS[name].seam, asynchronous=asynchronous)
        deed = experiment.ask(FAULTS[name], position)
        call = experiment.calls.names[position]
        why = f"{operation}, asynchronous {asynchronous}: {name} at call {position}, {call}"
        self.assertTrue(deed.statuses, f"{why}: no answer within {ANSWERED_WITHIN} s")
        self.assertIn(deed.statuses[0], {200, 201, 202} | _TROUBLE, why)
        experiment.finish(deed)
        self.assertEqual(settled_complaints(experiment.world, experiment.platform), [], f"{why}: {deed}")
        self.assertFalse(self.flushLoggedErrors(), why)
        self.clean_up(experiment, why)

    def clean_up(self, experiment: Experiment, why: str) -> None:
        """Delete what there is; nothing must be left."""
        done = experiment.platform.perform(Act(kind="deprovision", instance_id="i-1"))
        self.assertTrue(experiment.world.wait(done, 4000), why)
        deed: Deed = experiment.platform.deeds[-1]
        self.assertEqual(deed.outcome, "done", f"{why}: {deed}")
        self.assertEqual(empty_complaints(experiment.world), [], why)


class AsynchronousCallTests(CallCase):
    """Requests that may be answered 202."""


class SynchronousCallTests(CallCase):
    """Requests that must wait."""


def _add(case: type[CallCase], operation: str, *, asynchronous: bool) -> None:
    def test(self: CallCase) -> None:
        self.meet(operation, asynchronous=asynchronous)

    test.__doc__ = f"The {operation} survives every fault of every call."
    setattr(case, f"test_{operation.replace(' ', '_')}", test)


for _operation in OPERATIONS:
    _add(AsynchronousCallTests, _operation, asynchronous=True)
    _add(SynchronousCallTests, _operation, asynchronous=False)
