"""Test cases of crashes and of calls that meet faults, for databases of any kind."""

from __future__ import annotations

import os
from typing import ClassVar, Final

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.calls import ANSWERED_WITHIN, FAULTS, OPERATIONS, Experiment
from tests.crash.campaign import POINTS, Campaign, Tally
from tests.crash.databases import Databases
from tests.crash.invariants import empty_complaints, settled_complaints
from tests.crash.platform import Deed
from tests.crash.processes import run_in_processes
from tests.crash.scenarios import Act
from tests.crash.test_campaign import ELSEWHERE, SEED, SEED_VARIABLE, VARIABLE
from tests.servers import server

#: Trials with one death, and with two, on each server; scaled by the environment variable.
_SINGLE: Final = 160
_DOUBLE: Final = 40

#: What a request may be answered whose call meets a fault, besides success.
_TROUBLE = {500, 503}
#: Of all faults the one of which it depends on the database what comes of it, and the calls where it does.
_TELLING: Final = "the database's reply is lost"
_CHANGING: Final = {"begin", "claim", "commit", "entomb", "release", "renew"}


class CampaignCase(SynchronousTestCase):
    """Hundreds of brokers die on a server of that driver."""

    database: ClassVar[str]
    timeout = 36000

    def campaign(self, trials: int, *, double: bool) -> Tally:
        """Run a campaign, in several processes if it is a long one, and fail with whatever was wrong."""
        scale = float(os.environ.get(VARIABLE, "1"))
        campaign = Campaign(
            seed=int(os.environ.get(SEED_VARIABLE, SEED)),
            trials=int(trials * scale),
            double=double,
            database=self.database,
            often=1,
        )
        tally = run_in_processes(campaign, os.cpu_count() or 1) if scale > 1 else campaign.run()
        # They are among the failures.
        self.flushLoggedErrors()
        self.assertEqual("\n\n".join(tally.failures), "")
        self.assertGreaterEqual(tally.trials, campaign.trials)
        return tally

    def test_campaign(self) -> None:
        """One broker dies, or the one that takes over as well: no call of the database is left out."""
        server(self.database)
        tally = self.campaign(_SINGLE, double=False)
        double = self.campaign(_DOUBLE, double=True)
        self.assertGreater(double.deaths.total(), 1.5 * double.trials)
        tally.merge(double)
        deaths = tally.calls()
        print(f"\n{self.database}: {tally.trials} trials, {deaths.total()} deaths")  # noqa: T201 - to be seen
        forgotten = {name.rpartition(":")[0] for name in POINTS if not deaths[name]}
        if tally.trials >= _SINGLE + _DOUBLE:
            of_databases = {name for name in forgotten if name.startswith("persister.")}
            self.assertLessEqual(of_databases, set(ELSEWHERE))


class CallCase(SynchronousTestCase):
    """One fault at every call of one operation, on that database."""

    database: ClassVar[str] = "memory"

    def setUp(self) -> None:
        """Have databases until the test is over."""
        self.databases = Databases()
        self.addCleanup(self.databases.close)

    def names(self, operation: str, seam: str, *, asynchronous: bool) -> list[str]:
        """Return the calls of one seam that the operation makes when nothing is in its way."""
        undisturbed = Experiment.of(operation, seam, asynchronous=asynchronous, databases=self.databases)
        deed = undisturbed.ask()
        self.assertIn(deed.statuses, ([200], [201]), operation)
        self.assertGreater(len(undisturbed.calls.names), 3, "an operation makes several calls of both seams")
        return undisturbed.calls.names

    def meet(self, operation: str, *, asynchronous: bool) -> None:
        """Let every call meet every fault of its seam."""
        for name, fault in FAULTS.items():
            for position in range(len(self.names(operation, fault.seam, asynchronous=asynchronous))):
                self.experience(operation, name, position, asynchronous=asynchronous)

    def experience(self, operation: str, name: str, position: int, *, asynchronous: bool) -> None:
        """Let one call meet the fault, and look at everything."""
        experiment = Experiment.of(
            operation,
            FAULTS[name].seam,
            asynchronous=asynchronous,
            databases=self.databases,
            database=self.database,
        )
        deed = experiment.ask(FAULTS[name], position)
        call = experiment.calls.names[position]
        why = f"{self.database}, {operation}, asynchronous {asynchronous}: {name} at call {position}, {call}"
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


class FirstCallsCase(CallCase):
    """Each call that changes the database, where each operation makes it for the first time."""

    def test_lost_replies(self) -> None:
        """Whatever was done although its reply was lost is found done, and nothing is done twice."""
        for operation in OPERATIONS:
            names = self.names(operation, "persister", asynchronous=True)
            changes = {name for name in names if name.rpartition(".")[2] in _CHANGING}
            self.assertGreater(len(changes), 1, "an operation is begun and ended")
            for name in sorted(changes):
                self.experience(operation, _TELLING, names.index(name), asynchronous=True)


def add_operation(case: type[CallCase], operation: str, *, asynchronous: bool) -> None:
    """Give the case a test of all calls of the operation."""

    def test(self: CallCase) -> None:
        self.meet(operation, asynchronous=asynchronous)

    test.__doc__ = f"The {operation} survives every fault of every call."
    setattr(case, f"test_{operation.replace(' ', '_')}", test)
