"""The real program dies at the point that its environment arms."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.crashpoints import EXIT_STATUS, VARIABLE
from tests.configurations import broker_document, written
from tests.polling import PATIENCE
from tests.ports import free_port
from tests.programs import Programs, environment


class ProgramTests(SynchronousTestCase):
    """A broker as a process of its own."""

    timeout = 300

    def run_broker(self, armed: str) -> subprocess.CompletedProcess[str]:
        """Start a broker with an armed point, and wait for its end."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        document = broker_document() | {"listenIP": "127.0.0.1", "port": free_port()}
        config = written(folder, document, name="broker.config")
        return subprocess.run(
            Programs(folder).command("-n", "--pidfile=", "dockerbroker", "--config", str(config)),
            cwd=folder,
            env={**environment(), VARIABLE: armed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def test_exit(self) -> None:
        """It is over at once, with the status of a program that was killed."""
        ended = self.run_broker("persister.claim:after:exit")
        self.assertEqual(ended.returncode, EXIT_STATUS, ended.stderr)

    def test_malformed(self) -> None:
        """What names no point is refused, in one line."""
        ended = self.run_broker("whatever")
        self.assertEqual(ended.returncode, 1)
        (line,) = ended.stderr.splitlines()
        self.assertIn(VARIABLE, line)
