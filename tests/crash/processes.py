"""A campaign in several processes, so that it uses all processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.crash.campaign import Campaign, Tally

_ROOT: Final = Path(__file__).parents[2]


def run_in_processes(campaign: Campaign, processes: int) -> Tally:
    """Run the campaign, an equal share in each process; returns what all have seen."""
    trials, seed = campaign.trials, campaign.seed
    started = []
    try:
        for number in range(processes):
            share = trials // processes + (number < trials % processes)
            started.append(_start(campaign, seed, share))
            # No process needs more seeds than trials.
            seed += share
        tally = Tally()
        for process in started:
            printed, _ = process.communicate()
            if process.returncode:
                raise AssertionError(f"a process of the campaign ended with {process.returncode}")
            tally.merge(Tally.from_json(json.loads(printed)))
    finally:
        for process in started:
            process.kill()
            process.wait()
    return tally


def _start(campaign: Campaign, seed: int, trials: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crash", "--json", "--seed", str(seed), "--trials", str(trials)]
    command += ["--double"] if campaign.double else []
    command += ["--point", campaign.point] if campaign.point is not None else []
    command += ["--often", str(campaign.often)]
    command += ["--database", campaign.database] if campaign.database is not None else []
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True)
