"""Brokers die at every point, and so do those that take over: nothing is lost, leaked or double."""

import os
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.crashpoints import without_place
from tests.crash.campaign import OFTEN, POINTS, Campaign, Tally
from tests.crash.processes import run_in_processes

#: Trials with one death, and with two; scaled by the environment variable.
_SINGLE: Final = 2000
_DOUBLE: Final = 300
VARIABLE: Final = "DOCKERBROKER_TRIALS"
#: The first trial's seed: always the same, so that a run of all tests can be repeated, unless it is given.
SEED: Final = 1
SEED_VARIABLE: Final = "DOCKERBROKER_SEED"
#: Calls that no life of an instance makes, and why their points need no campaign.
ELSEWHERE: Final = {
    "persister.seed_images": "the start of a program, on a database of its own",
    "persister.put_image": "one transaction of an operator",
    "persister.delete_image": "one transaction of an operator",
    "persister.certificates": "only looked at by operators",
    "persister.certificate": "one read before a call of Docker, wired past the crash points",
    "persister.put_certificate": "one transaction of an agent or an operator",
    "persister.delete_certificate": "one transaction of an operator",
    "persister.credentials": "only looked at when they have changed, wired past the crash points",
    "persister.seed_credentials": "the start of a program, on a database of its own",
    "persister.put_credential": "one transaction of an operator",
    "persister.delete_credential": "one transaction of an operator",
    "persister.record_pings": "one transaction of an agent",
    "persister.observe": "one transaction of every second",
    "persister.fleet": "one read of every half second",
    "persister.hosts": "only looked at by operators, by the reconciling, and while a host does not answer",
    "persister.judge": "one transaction of every half second",
    "persister.cordon": "one transaction of an operator",
    "persister.complain": "one transaction of the reconciling of the whole world, or of an operator",
    "persister.drain": "one transaction of an operator",
    "persister.forget_host": "one transaction of an operator",
    "persister.reserved": "only looked at by operators",
    "persister.state": "one read of every second",
    "persister.keys": "only looked at by operators",
    "persister.instances": "only looked at by the reconciling of the whole world",
    "persister.operations": "only looked at by operators",
    "persister.operations_on": "only looked at by operators",
    "persister.port_leases": "only looked at by operators",
    "persister.last_operation": "only looked at by polls without an operation",
    "persister.neighbours": "one read before the placement of what shall be apart from others",
    "persister.known_operations": "only looked at by the reconciling of the whole world",
    "persister.conditions": "only looked at by operators",
    "persister.set_condition": "one transaction of the reconciling of the whole world",
    "persister.cancel": "one transaction of an operator",
    "persister.hasten": "one transaction of an operator, or of whoever asks again for what waits",
    "persister.write_audit": "one transaction of the reconciling of the whole world, or of a refusal",
    "persister.audit": "only looked at by operators",
    "persister.audit_head": "only looked at by operators",
    "persister.forget_audit": "one transaction of the reconciling of the whole world",
    "persister.forget": "one transaction of the reconciling of the whole world",
    "engine.containers": "only looked at by the reconciling of the whole world",
}


class CampaignTests(SynchronousTestCase):
    """Thousands of brokers die."""

    def campaign(self, trials: int, *, double: bool) -> Tally:
        """Run a campaign of new seeds, print what it covered, and fail with whatever was wrong."""
        seed = int(os.environ.get(SEED_VARIABLE, SEED))
        processes = os.cpu_count() or 1
        campaign = Campaign(seed=seed, trials=trials, double=double, often=OFTEN // processes + 1)
        tally = run_in_processes(campaign, processes)
        kind = "double" if double else "single"
        print(f"\n{kind} crashes, seed {seed}\n{tally.coverage()}")  # noqa: T201 - it is to be seen
        self.assertEqual("\n\n".join(tally.failures), "")
        self.assertGreaterEqual(tally.trials, trials)
        return tally

    def common(self, tally: Tally) -> set[str]:
        """Return the points without places that were reached, but for those of no interest here."""
        reached = {without_place(name) for name in tally.reached}
        return {name for name in reached if name.rpartition(":")[0] not in ELSEWHERE}

    def top_up(self, tally: Tally) -> None:
        """Look for scenarios with the calls that chance has brought too seldom."""
        for name in sorted(self.common(tally)):
            for double in (False, True):
                lacking = OFTEN - tally.calls()[name]
                if lacking > 0:
                    found = Campaign(seed=SEED, trials=lacking, double=double, point=name, database="memory")
                    tally.merge(found.run())
        self.assertEqual("\n\n".join(tally.failures), "")

    def test_campaign(self) -> None:
        """One broker dies, or the one that takes over as well: no call of any seam is left out."""
        scale = float(os.environ.get(VARIABLE, "1"))
        tally = self.campaign(int(_SINGLE * scale), double=False)
        double = self.campaign(int(_DOUBLE * scale), double=True)
        self.assertGreater(double.deaths.total(), 1.5 * double.trials)
        tally.merge(double)
        if scale < 1:
            # Too few to say anything of single points.
            return
        self.top_up(tally)
        deaths = tally.calls()
        forgotten = {name.rpartition(":")[0] for name in POINTS if not deaths[name]}
        self.assertLessEqual(forgotten, set(ELSEWHERE))
        self.assertEqual({name: deaths[name] for name in self.common(tally) if deaths[name] < OFTEN}, {})
