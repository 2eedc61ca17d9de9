"""What it costs to load the broker's program, against loading its libraries alone."""

import json
import subprocess
import sys

from attrs import frozen

from benchmarks.sides import Sides

#: What the broker cannot do without.
LIBRARIES = "OpenSSL, cattrs, docker, klein, sqlalchemy.dialects.sqlite, twisted.web.server"
PROGRAM = "dockerbroker.broker_tap"

_SCRIPT = """
import {modules}
import json, time
from pathlib import Path
from twisted.internet import reactor
lines = Path("/proc/self/status").read_text().splitlines()
resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
print(json.dumps([time.process_time(), resident / 1024]))
"""


@frozen
class Starting:
    """Seconds of the processor, and MiB of memory."""

    processor: Sides
    memory: Sides


def measure(rounds: int) -> Starting:
    """Measure processes that import and do nothing else, in turn."""
    for modules in (PROGRAM, LIBRARIES):  # the first time, files are read and compiled
        _import(modules)
    ours, theirs = zip(*[(_import(PROGRAM), _import(LIBRARIES)) for _ in range(rounds)], strict=True)
    processor, memory = ([[one[index] for one in side] for side in (ours, theirs)] for index in (0, 1))
    return Starting(Sides(*processor), Sides(*memory))


def _import(modules: str) -> tuple[float, float]:
    command = [sys.executable, "-c", _SCRIPT.format(modules=modules)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    processor, memory = json.loads(printed)
    return processor, memory
