"""The script that ends an execution does so in every common shell, and harms nothing else."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dockerbroker.engines.killing import KILLER, kill_marked
from dockerbroker.errors import EngineUnreachable
from tests.contracts.engine import name, spec
from tests.contracts.images import PLAIN, fill_memory
from tests.memory_engine import MemoryEngine
from tests.polling import poll

_STUBBORN = 'trap "" TERM INT HUP; sleep 9999 & (exec env -i sleep 9999) & sleep 9999; sleep 9999'


class KillerTests(SynchronousTestCase):
    """The script on processes of this machine."""

    def start(self, marker: str) -> subprocess.Popen[bytes]:
        """Start processes that bear the marker; one is a child that hides it."""
        environment = {"PATH": os.environ["PATH"], "SOME": "a\nb", "BROKER_EXEC": marker}
        process = subprocess.Popen(["sh", "-c", _STUBBORN], env=environment, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(_kill_session, process.pid)
        return process

    def alive(self, session: int) -> int:
        """Return how many processes of the session run."""
        count = 0
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            count += int(fields[3]) == session and fields[0] != "Z"
        return count

    def until_alive(self, process: subprocess.Popen[bytes], count: int) -> None:
        """Wait until so many processes of the session run."""
        poll(
            lambda: self.alive(process.pid) == count,
            lambda: f"{self.alive(process.pid)} processes instead of {count}",
        )

    def check(self, *shell: str) -> None:
        """Run the script in the shell."""
        if shutil.which(shell[0]) is None:
            raise SkipTest(f"{shell[0]} is not installed")
        marker = name()
        process, other = self.start(marker), self.start(f"{marker}-other"[::-1])
        self.until_alive(process, 4)
        self.until_alive(other, 4)
        killer = subprocess.run(
            [*shell, "-c", KILLER, "sh", f"BROKER_EXEC={marker}"],
            check=False,
            capture_output=True,
            timeout=60,
            env={"PATH": os.environ["PATH"]},
        )
        self.assertEqual((killer.returncode, killer.stdout, killer.stderr), (0, b"4\n", b""))
        self.assertEqual((self.alive(process.pid), self.alive(other.pid)), (0, 4))

    def test_sh(self) -> None:
        """The system's shell ends them all."""
        self.check("sh")

    def test_bash(self) -> None:
        """Bash ends them all."""
        self.check("bash")

    def test_busybox(self) -> None:
        """Busybox ends them all."""
        self.check("busybox", "sh")


def _kill_session(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


class KillMarkedTests(SynchronousTestCase):
    """The exec that runs the script."""

    def test_engine_fails(self) -> None:
        """When the engine cannot run it, it is not certain that nothing is left."""
        engine = MemoryEngine(Clock())
        fill_memory(engine)
        container_id = self.successResultOf(ensureDeferred(engine.create(spec(PLAIN))))
        self.successResultOf(ensureDeferred(engine.start(container_id)))
        self.assertEqual(self.successResultOf(ensureDeferred(kill_marked(engine, container_id, "m"))), 0)
        for method in ("create_exec", "start_exec", "inspect_exec"):
            engine.fail_next(method, EngineUnreachable("gone"))
            self.assertIsNone(self.successResultOf(ensureDeferred(kill_marked(engine, container_id, "m"))))
