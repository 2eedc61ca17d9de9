"""The process that a database server is, and what can happen to it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from attrs import define, field

from tests.engine_private import state, threads
from tests.polling import comes_true

START_SECONDS = 180
STOP_SECONDS = 60


@define(eq=False)
class ServerProcess:
    """The server in that folder, whether it runs or not; its log is there."""

    driver: ClassVar[str]
    #: What ends it in good order, and what ends it when the process of the tests has gone.
    ending: ClassVar[signal.Signals] = signal.SIGTERM
    orphaned: ClassVar[signal.Signals] = signal.SIGKILL

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def data(self) -> Path:
        """The folder of the server's data."""
        return self.folder / "data"

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def account(self) -> str | None:
        """As whom the server's programs run: None as who runs the tests."""
        return None

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def connect(self, database: str = "") -> Any:
        """Return a connection (of the DB-API, or a client of Redis) of the administrator."""
        raise NotImplementedError

    def own(self, path: Path) -> None:
        """Give a folder with all in it to whom the server runs as."""
        if self.account is not None:
            for each in (path, *path.rglob("*")):
                shutil.chown(each, self.account, self.account)

    def run(self, command: list[str]) -> None:
        """Run a program of the server's to its end."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.data,
            timeout=START_SECONDS,
            **self._identity(),
        )
        if done.returncode:
            raise AssertionError(f"{command[0]} failed: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        # Its own session keeps an interrupt from it. It ends with the tests' process, whatever ends that.
        words = ["setpriv", f"--pdeathsig={self.orphaned.name.removeprefix('SIG')}", *self.command()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                start_new_session=True,
                **self._identity(),
            )
        if not comes_true(lambda: not self.running or self.answers(), START_SECONDS) or not self.running:
            lines = (self.folder / "log").read_text(errors="replace").splitlines()[-10:]
            raise AssertionError(f"{self.driver} did not start: {' / '.join(lines)}")

    def stop(self) -> None:
        """End it in good order."""
        if self.process is not None and self.running:
            self.thaw()
            self.process.send_signal(self.ending)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it with all its processes as they are."""
        if self.process is None:
            return
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def freeze(self) -> None:
        """Let it do nothing any more, while the kernel goes on accepting its connections."""
        self._signal(signal.SIGSTOP)
        comes_true(lambda: all(_is_still(pid) for pid in self.processes()), STOP_SECONDS)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def answers(self) -> bool:
        """Whether it answers its administrator."""
        try:
            self.connect().close()
        except Exception:  # noqa: BLE001  (each driver has its own, and any means: not yet)
            return False
        return True

    def processes(self) -> list[int]:
        """Return its process and, where it has some, those that it has started."""
        assert self.process is not None
        own = self.process.pid
        with suppress(OSError):
            children = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii").split()
            return [own, *map(int, children)]
        return [own]

    def _identity(self) -> dict[str, Any]:
        if self.account is None:
            return {}
        return {"user": self.account, "group": self.account, "extra_groups": []}

    def _signal(self, number: signal.Signals) -> None:
        # The first of them is stopped before its children are listed, so that it has no new ones.
        assert self.process is not None
        if number != signal.SIGCONT and self.running:
            self.process.send_signal(signal.SIGSTOP)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _is_still(pid: int) -> bool:
    with suppress(OSError):
        # A thread that takes the signal late lets the others go on until then.
        return {state(task) for task in threads(pid)} <= {"T", ""}
    return True
