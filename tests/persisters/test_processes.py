"""Several processes on one SQLite file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.persisters.files import temporary_folder

_ROOT = Path(__file__).resolve().parents[2]


def contend(path: Path, *, processes: int, count: int) -> list[dict[str, Any]]:
    """Let the processes start at once on the file and contend; returns what each reports."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.persisters.contender", str(path), f"process {number}", str(count)],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120) for process in running]
    for process, (_, errors) in zip(running, outputs, strict=True):
        if process.returncode or errors:
            raise AssertionError(errors)
    return [json.loads(output) for output, _ in outputs]


class ProcessesTests(SynchronousTestCase):
    """Brokers of one machine that share a file."""

    def test_start_at_once(self) -> None:
        """Five processes that start at once without a database all come up, in one deployment, silently."""
        reports = contend(temporary_folder(self) / "broker.db", processes=5, count=0)
        self.assertEqual(len({report["cluster"] for report in reports}), 1)

    def test_contend(self) -> None:
        """Each of a hundred instances is won by one of four processes, and nobody meets another error."""
        reports = contend(temporary_folder(self) / "broker.db", processes=4, count=100)
        won = Counter(number for report in reports for number in report["won"])
        self.assertEqual(won, Counter(str(number) for number in range(100)))
        lost = sum((Counter(report["lost"]) for report in reports), Counter[str]())
        self.assertEqual(lost, {"AlreadyExists": 300})
