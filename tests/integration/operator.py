"""The command `dockerbroker`, and brokers' passes over all hosts without the pauses between them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from dockerbroker.broker.comparing import Comparer
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.wiring import Program
from dockerbroker.errors import BrokerError
from dockerbroker.model.orphans import GRACE
from tests.polling import PATIENCE
from tests.programs import environment

_MAIN = "from dockerbroker.command import main; main()"


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends."""
    return _run("-c", _MAIN, *words)


def passes(config: Path, count: int = 3) -> list[dict[str, Any]]:
    """Let a broker compare its records with all hosts so often, and return what came of each pass.

    To the broker more than the grace passes between two of them.
    """
    done = _run("-m", "tests.integration.operator", config, str(count))
    if done.returncode:
        raise AssertionError(done)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


async def _compare(deployment: Deployment, count: int) -> int:
    clock = Clock()
    comparer = Comparer(
        persister=deployment.persister,
        engines=deployment.engines,
        clock=clock,
        wall=deployment.wall,
        spent=lambda: 0.0,
        jitter=lambda longest: longest,
    )
    for _ in range(count):
        clock.advance(GRACE + 1)
        told: dict[str, Any]
        try:
            reaped = await comparer.compare()
        except BrokerError as error:
            told = {"error": error.description}
        else:
            removed = [removal.orphan.id for removal in reaped.removals]
            told = {"removed": removed, "waiting": reaped.waiting, "refusal": reaped.refusal}
        sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(Program().run(Path(sys.argv[1]), lambda it: _compare(it, int(sys.argv[2]))))
