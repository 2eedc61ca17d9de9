"""A deployment in memory, and the command `dockerbroker` on it."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from attrs import define, field
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.command.deployment import Deployment, MoveWork, Side, Work
from dockerbroker.command.line import command
from tests.memory_archive import MemoryArchive
from tests.memory_persister import MemoryPersister, Tables
from tests.stack import Stack

#: When the stack's clock was at 0, in seconds since 1970.
WALL: Final = 1_700_000_000.0


@define(eq=False)
class MemoryOpener:
    """Opens a broker in memory, whatever file is named; `target` is what its records can be moved to."""

    stack: Stack
    target: MemoryPersister = field(
        factory=lambda: MemoryPersister(Clock().seconds, Tables(cluster_id="7" * 32))
    )
    asked: list[Path] = field(factory=list)

    def run(self, path: Path, work: Work) -> int:
        """Do the work on the deployment, while its time passes."""
        self.asked.append(path)
        stack = self.stack
        return self._done(
            work(
                Deployment(
                    persister=stack.persister,
                    archive=MemoryArchive.of(stack.persister),
                    engines=stack.engines,
                    clock=stack.clock,
                    wall=lambda: WALL + stack.clock.seconds(),
                    vault=stack.persister.vault,
                )
            )
        )

    def move(self, source: Path, target: Path, work: MoveWork) -> int:
        """Do the work on the broker's database, and on the other one."""
        self.asked += [source, target]
        one, other = (MemoryArchive.of(persister) for persister in (self.stack.persister, self.target))
        return self._done(work(Side(name="here", archive=one), Side(name="there", archive=other)))

    def _done(self, work: Coroutine[Any, Any, int]) -> int:
        outcome: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(outcome.append)
        self.stack.advance(0 if outcome else 120)
        (result,) = outcome
        if hasattr(result, "raiseException"):
            result.raiseException()
        return int(result)


class LineCase(SynchronousTestCase):
    """A deployment in memory, and the command."""

    def setUp(self) -> None:
        """Start a broker with an instance."""
        self.stack = Stack()
        self.stack.provision("i-1")
        self.opener = MemoryOpener(self.stack)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    @property
    def asked(self) -> list[Path]:
        """The configurations that were named so far."""
        return self.opener.asked

    def said(self, *words: str) -> Result:
        """Run the command."""
        return CliRunner().invoke(command, words, obj=self.opener, prog_name="dockerbroker")

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
