"""Processes that work on one database as brokers of many machines do, started and stopped by tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from attrs import asdict, define
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import PersisterConfiguration, ServerConfiguration, SqliteConfiguration
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.sqlite import boot_time
from tests.persisters.files import open_here as open_file_here

_ROOT = Path(__file__).resolve().parents[2]


def spoken(configuration: PersisterConfiguration) -> str:
    """Return the configuration as one line for another process."""
    if isinstance(configuration, SqliteConfiguration):
        return json.dumps({"database": str(configuration.database)}) + "\n"
    secret = configuration.password.reveal()
    members = asdict(configuration, recurse=False) | {"password": secret}
    del members["keys"]
    return json.dumps(members) + "\n"


def heard(line: str) -> PersisterConfiguration:
    """Return the configuration that another process has written."""
    members = json.loads(line)
    if "driver" not in members:
        return SqliteConfiguration(database=Path(members["database"]))
    return ServerConfiguration(**members | {"password": Secret(members["password"])})


def open_here(configuration: PersisterConfiguration) -> Any:
    """Return a persister whose calls are made at once, on the clock by which brokers work."""
    if isinstance(configuration, SqliteConfiguration):
        return open_file_here(configuration.database, boot_time)
    if configuration.driver == "redis":
        # It imports the reactor, which is not to be there before a process forks.
        from dockerbroker.persisters.redis.opening import at_once, open_blocking

        return at_once(open_blocking(configuration))
    from tests.persisters.server_fixture import open_here as open_server_here

    return open_server_here(configuration)


def _program(module: str, *words: str) -> dict[str, Any]:
    return {
        "args": [sys.executable, "-m", f"tests.persisters.{module}", *words],
        "cwd": _ROOT,
        "env": {**os.environ, "PYTHONPATH": str(_ROOT)},
        "stdout": subprocess.PIPE,
        "text": True,
    }


def contend(
    configuration: PersisterConfiguration, *, processes: int, instances: int, operations: int
) -> list[dict[str, Any]]:
    """Let the processes start at once on the database and contend; returns what each reports."""
    done = subprocess.run(
        **_program("contender", str(processes), str(instances), str(operations)),
        input=spoken(configuration),
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    if done.returncode or done.stderr:
        raise AssertionError(done.stderr)
    reports: list[dict[str, Any]] = json.loads(done.stdout)
    return reports


@define(eq=False)
class Carrier:
    """A process that carries an operation; see `carrier`."""

    process: subprocess.Popen[str]

    @classmethod
    def start(
        cls, test: SynchronousTestCase, configuration: PersisterConfiguration, name: str, ttl: float
    ) -> Self:
        """Return one that carries an operation, when it does; it ends with the test."""
        process = subprocess.Popen(**_program("carrier", name, str(ttl)), stdin=subprocess.PIPE)
        carrier = cls(process)
        test.addCleanup(carrier.kill)
        carrier._say(spoken(configuration))
        word, program = carrier._hear().split()
        assert word == "ready"
        test.addCleanup(os.kill, int(program), signal.SIGKILL)
        return carrier

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def stop(self) -> None:
        """Let it neither run nor end."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def finish(self) -> str:
        """Let it run again, and write the outcome of its operation; returns what comes of that."""
        self.process.send_signal(signal.SIGCONT)
        self._say("finish\n")
        return self._hear().strip()

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def _hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()
