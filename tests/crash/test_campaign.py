"""Brokers die at every point, and so do those that take over: nothing is lost, leaked or double."""

import os
import time
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.crashpoints import without_place
from tests.crash.campaign import OFTEN, POINTS, Campaign, Tally
from tests.crash.processes import run_in_processes

#: Trials with one death, and with two; scaled by the environment variable.
_SINGLE: Final = 2000
_DOUBLE: Final = 300
VARIABLE: Final = "DOCKERBROKER_TRIALS"
#: Calls that no life of an instance makes, and why their points need no campaign.
ELSEWHERE: Final = {
    "persister.seed_images": "the start of a program, on a database of its own",
    "persister.put_image": "one transaction of an operator",
    "persister.delete_image": "one transaction of an operator",
    "persister.record_ping": "one transaction of an agent",
    "persister.instances": "only looked at by the reconciling of the whole world",
    "persister.operations": "only looked at by operators",
    "persister.last_operation": "only looked at by polls without an operation",
    "persister.known_operations": "only looked at by the reconciling of the whole world",
    "persister.conditions": "only looked at by operators",
    "persister.set_condition": "one transaction of the reconciling of the whole world",
    "persister.cancel": "one transaction of an operator",
    "persister.hasten": "one transaction of an operator",
    "persister.forget": "one transaction of the reconciling of the whole world",
    "engine.containers": "only looked at by the reconciling of the whole world",
}


class CampaignTests(SynchronousTestCase):
    """Thousands of brokers die."""

    def campaign(self, trials: int, *, double: bool) -> Tally:
        """Run a campaign of new seeds, print what it covered, and fail with whatever was wrong."""
        seed = time.time_ns() % 10**9
        campaign = Campaign(seed=seed, trials=trials, double=double)
        tally = run_in_processes(campaign, os.cpu_count() or 1)
        kind = "double" if double else "single"
        print(f"\n{kind} crashes, seed {seed}\n{tally.coverage()}")  # noqa: T201 - it is to be seen
        self.assertEqual("\n\n".join(tally.failures), "")
        self.assertGreaterEqual(tally.trials, trials)
        return tally

    def test_campaign(self) -> None:
        """One broker dies, or the one that takes over as well: no call of any seam is left out."""
        scale = float(os.environ.get(VARIABLE, "1"))
        tally = self.campaign(int(_SINGLE * scale), double=False)
        double = self.campaign(int(_DOUBLE * scale), double=True)
        self.assertGreater(double.deaths.total(), 1.5 * double.trials)
        tally.merge(double)
        deaths = tally.calls()
        forgotten = {name.rpartition(":")[0] for name in POINTS if not deaths[name]}
        self.assertLessEqual(forgotten, set(ELSEWHERE))
        if scale >= 1:
            reached = {without_place(name) for name in tally.reached}
            self.assertEqual({name: deaths[name] for name in reached if deaths[name] < OFTEN}, {})
