"""Runs trials: `python -m tests.crash --seed N --trials N [--double] [--point NAME[#COUNT]]`."""

# ruff: noqa: T201 - it talks to whoever has started it
from __future__ import annotations

import argparse
import json
import secrets
import sys

from tests.crash.campaign import OFTEN, Campaign, Tally, observed
from tests.crash.databases import DATABASES, Databases
from tests.crash.processes import run_in_processes
from tests.crash.trial import Trial
from tests.crash.world import Death


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="the first trial's seed")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--double", action="store_true", help="the broker that takes over dies, too")
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        metavar="NAME[#COUNT]",
        help="where brokers die; with a count exactly there, one broker after the other",
    )
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument(
        "--often", type=int, default=OFTEN, help="so many deaths at each call, before places count"
    )
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser.parse_args()


def _exact(options: argparse.Namespace) -> Tally:
    """Repeat one trial whose deaths are known."""
    deaths = tuple(
        Death(name, int(count)) for name, _, count in (one.partition("#") for one in options.point)
    )
    tally = Tally()
    databases = Databases()
    outcome = observed(Trial(seed=options.seed, deaths=deaths, database=options.database), databases)
    databases.close()
    tally.add(outcome)
    print("\n".join(outcome.history))
    return tally


def main() -> int:
    """Run what was asked for; returns 1 when anything was wrong."""
    options = _options()
    if options.point and all("#" in point for point in options.point):
        tally = _exact(options)
    else:
        campaign = Campaign(
            seed=options.seed,
            trials=options.trials,
            double=options.double,
            point=options.point[0] if options.point else None,
            database=options.database,
            often=options.often,
        )
        in_one = options.processes == 1
        tally = campaign.run() if in_one else run_in_processes(campaign, options.processes)
    if options.json:
        print(json.dumps(tally.as_json()))
        return 0
    for failure in tally.failures:
        print(failure, end="\n\n")
    print(tally.coverage())
    print(f"seed {options.seed}, {len(tally.failures)} failures")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
