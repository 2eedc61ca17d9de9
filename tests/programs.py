"""The two programs as real processes of twistd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from tests.polling import PATIENCE, poll

ROOT = Path(__file__).parent.parent


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@define(eq=False)
class Programs:
    """Runs twistd in a folder, and ends what is still running."""

    folder: Path
    _pids: list[int] = field(factory=list, init=False)

    def command(self, *words: str) -> list[str]:
        """Return the command line of twistd."""
        return [str(Path(sys.executable).with_name("twistd")), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run twistd until it leaves the foreground."""
        process = self.spawn(*words)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)

    def spawn(self, *words: str) -> subprocess.Popen[str]:
        """Start twistd with its output going to pipes."""
        process = subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._pids.append(process.pid)
        return process

    def start(self, program: str, config: Path, *words: str) -> subprocess.Popen[bytes]:
        """Start a program in the foreground; its log is `PROGRAM.log`."""
        log = ("-n", "--pidfile=", f"--logfile={program}.log")
        process = subprocess.Popen(
            self.command(*log, program, "--config", str(config), *words),
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
        )
        self._pids.append(process.pid)
        return process

    def daemonize(self, program: str, config: Path) -> int:
        """Start a program in the background and return its process id; its log is `PROGRAM.log`."""
        files = (f"--pidfile={program}.pid", f"--logfile={program}.log")
        ended = self.run(*files, program, "--config", str(config))
        if ended.returncode != 0 or ended.stdout or ended.stderr:
            raise AssertionError(f"{program}: {ended}")
        pid = int((self.folder / f"{program}.pid").read_text(encoding="ascii"))
        self._pids.append(pid)
        return pid

    def log(self, program: str) -> str:
        """Return what the program has logged."""
        path = self.folder / f"{program}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def wait_for_log(self, program: str, words: str) -> None:
        """Wait until the program has logged the words."""
        poll(
            lambda: words in self.log(program), lambda: f"{program} does not log {words}: {self.log(program)}"
        )

    def end(self) -> None:
        """Kill what is still running."""
        for pid in self._pids:
            if is_running(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def environment(path: Sequence[str] = (str(ROOT),)) -> dict[str, str]:
    """Return this process's environment, without what would tell a broker where to listen."""
    cleared = {"PORT", "VCAP_APP_PORT", "VCAP_APP_HOST", "PYTHONPATH"}
    kept = {name: value for name, value in os.environ.items() if name not in cleared}
    return {**kept, "PYTHONPATH": os.pathsep.join(path)}
