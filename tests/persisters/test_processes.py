"""Several processes on one SQLite file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters.opening import check
from dockerbroker.persisters.presence import folder_beside
from dockerbroker.persisters.sqlite import boot_time, sqlite_url
from tests.persisters.files import open_here, temporary_folder

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


@define(eq=False)
class Carrier:
    """A process that carries an operation; see `carrier`."""

    process: subprocess.Popen[str]

    def wait(self) -> int:
        """Return the id of the program it started, when it holds the lease."""
        assert self.process.stdout is not None
        word, program = self.process.stdout.readline().split()
        assert word == "ready"
        return int(program)

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> None:
        """Let it neither run nor end."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)


class KilledTests(SynchronousTestCase):
    """Brokers that are killed while they carry something."""

    def setUp(self) -> None:
        """Name a file, and become a broker that knows of the others."""
        self.path = temporary_folder(self) / "broker.db"
        check(sqlite_url(self.path))
        self.persister = open_here(self.path, boot_time, broker="heir")
        self.addCleanup(self.persister.database.close)

    def start(self, name: str) -> Carrier:
        """Return a process that carries an operation, when it does."""
        command = [sys.executable, "-m", "tests.persisters.carrier", str(self.path), name]
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        process = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        carrier = Carrier(process)
        self.addCleanup(carrier.kill)
        program = carrier.wait()
        self.addCleanup(os.kill, program, signal.SIGKILL)
        return carrier

    def claimed(self) -> list[str]:
        """Return what is claimed."""
        claim = Deferred.fromCoroutine(self.persister.claim("heir/1", ttl=1e6))
        return sorted(operation.id for operation in self.successResultOf(claim))

    def test_killed(self) -> None:
        """What a killed broker carried is taken over long before its lease lapses; nothing else is."""
        one, two = self.start("one"), self.start("two")
        self.assertEqual(self.claimed(), [])
        one.kill()
        self.assertEqual(self.claimed(), ["carried by one"])
        two.kill()
        self.assertEqual(self.claimed(), ["carried by two"])
        self.assertEqual([path.name for path in folder_beside(self.path).iterdir()], ["heir.lock"])

    def test_stopped(self) -> None:
        """What a broker carries that is only stopped is not taken from it before its lease lapses."""
        one = self.start("one")
        one.stop()
        self.assertEqual(self.claimed(), [])
        one.kill()
        self.assertEqual(self.claimed(), ["carried by one"])
