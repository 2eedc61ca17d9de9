"""A campaign in several processes, so that it uses all processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.crash.campaign import Tally

_ROOT: Final = Path(__file__).parents[2]


def run_in_processes(seed: int, trials: int, *, double: bool, processes: int) -> Tally:
    """Run the trials of the seeds from `seed`, an equal share in each process; returns what all have seen."""
    shares = [trials // processes + (number < trials % processes) for number in range(processes)]
    started = []
    try:
        for share in shares:
            started.append(_start(seed, share, double=double))
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


def _start(seed: int, trials: int, *, double: bool) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.crash", "--json", "--seed", str(seed), "--trials", str(trials)]
    if double:
        command.append("--double")
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True)
