"""A deployment in memory, and the command `dockerbroker` on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.command.deployment import Deployment, Work
from dockerbroker.command.line import command
from tests.stack import Stack


class LineCase(SynchronousTestCase):
    """A deployment in memory, and the command."""

    def setUp(self) -> None:
        """Start a broker with an instance."""
        self.stack = Stack()
        self.stack.provision("i-1")
        self.asked: list[Path] = []
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def run_work(self, config: Path, work: Work) -> int:
        """Do the work on the deployment, while its time passes."""
        self.asked.append(config)
        deployment = Deployment(
            persister=self.stack.persister, engines=self.stack.engines, clock=self.stack.clock
        )
        outcome: list[Any] = []
        Deferred.fromCoroutine(work(deployment)).addBoth(outcome.append)
        self.stack.advance(0 if outcome else 120)
        (result,) = outcome
        if hasattr(result, "raiseException"):
            result.raiseException()
        return int(result)

    def said(self, *words: str) -> Result:
        """Run the command."""
        return CliRunner().invoke(command, words, obj=self.run_work, prog_name="dockerbroker")

    def ask(self, *words: str) -> Result:
        """Run a command that wants a configuration."""
        return self.said(*words, "-c", "broker.config")

    def assert_said(self, result: Result, status: int, *fragments: str) -> None:
        """It ended with this status, without a traceback, and said this on standard error."""
        self.assertEqual(result.exit_code, status, result.output)
        self.assertNotIn("Traceback", result.output)
        for fragment in fragments:
            self.assertIn(fragment, result.stderr)

    def one_line(self, result: Result, status: int) -> str:
        """Return the only line that was said, on standard error."""
        self.assert_said(result, status)
        self.assertEqual((result.stdout, result.stderr.count("\n")), ("", 1))
        return result.stderr.strip()
