"""What the command `dockerbroker` says and does, on a broker in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.command.deployment import Deployment, Work
from dockerbroker.command.line import command
from dockerbroker.errors import EngineUnreachable, InvalidConfiguration, Unavailable
from dockerbroker.invariants.history import Event, encode_event
from tests.broker.test_comparing import orphan
from tests.configurations import broker_document, written
from tests.stack import Stack, bind_body, binding_path


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


class UsageTests(LineCase):
    """The command line itself."""

    def test_misunderstood(self) -> None:
        """What is not understood ends with 2, and nothing is opened."""
        for words in (
            ("unheard-of",),
            ("reap",),
            ("check-world",),
            ("reap", "-c", "broker.config", "--dry-run", "--force"),
            ("check-world", "-c", "broker.config", "--history", "absent"),
            ("check-world", "-c", "broker.config", "--settle", "-1"),
            ("operations", "show", "-c", "broker.config"),
            ("catalog", "lint"),
        ):
            self.assert_said(self.said(*words), 2, "Usage:")
        self.assertEqual(self.asked, [])

    def test_help(self) -> None:
        """Every command has a help."""
        for words in ((), ("check-world",), ("reap",), ("operations", "list"), ("catalog", "lint")):
            result = self.said(*words, "--help")
            self.assertEqual((result.exit_code, result.stdout[:6]), (0, "Usage:"))

    def test_configuration(self) -> None:
        """The configuration is the file that was named."""
        self.ask("check-world")
        self.assertEqual(self.asked, [Path("broker.config")])

    def test_refusals(self) -> None:
        """What stands in the way is one sentence on standard error, and 1."""
        for error in (InvalidConfiguration("a.config: port:\nno"), Unavailable("The database is away.")):

            def refuse(_config: Path, _work: Work, error: Exception = error) -> int:
                raise error

            result = CliRunner().invoke(command, ["reap", "-c", "x"], obj=refuse)
            self.assertTrue(self.one_line(result, 1).startswith("dockerbroker: "))


class CheckWorldTests(LineCase):
    """`check-world`."""

    def test_well(self) -> None:
        """Where all is well nothing is on standard output."""
        self.assertEqual(
            self.one_line(self.ask("check-world"), 0), "All is well: 1 service instances, 1 containers."
        )

    def test_breach(self) -> None:
        """Each breach is a line, and the status is 1."""
        made = orphan(self.stack, "i-2")
        result = self.ask("check-world")
        self.assert_said(result, 1)
        self.assertEqual(
            result.stdout, f"I1: the container {made} on 10.0.0.1 belongs to no service instance\n"
        )

    def test_settle(self) -> None:
        """With `--settle` what is gone a while later is no breach."""
        orphan(self.stack, "i-2")
        self.stack.comparer.start()
        self.addCleanup(self.stack.comparer.stop)
        self.stack.advance(100)
        self.assert_said(self.ask("check-world", "--settle", "60"), 0, "Looking again in 60 s.")

    def test_silent_host(self) -> None:
        """A host that does not answer is told, and its instances are on record or a breach."""
        self.stack.engine.reachable = False
        result = self.ask("check-world")
        self.assert_said(result, 1, "10.0.0.1 was not looked at: ")
        self.assertIn("I2: i-1: its host 10.0.0.1 does not answer", result.stdout)

    def test_history(self) -> None:
        """A history is compared with the world."""
        path = self.folder / "history"
        event = Event(
            number=1, kind="ok", call="provision", at=1.0, instance_id="i-9", status=201, state="succeeded"
        )
        path.write_text(encode_event(event) + "\n\n", encoding="utf-8")
        result = self.ask("check-world", "--history", str(path))
        self.assert_said(result, 1)
        self.assertIn("I7: i-9 is believed to exist, and does not\n", result.stdout)

    def test_bad_history(self) -> None:
        """A history that cannot be read is refused with the number of its line."""
        for line in ("x", "[]", '{"number": 1}', '{"number":1,"kind":"a","call":"bind","at":1}'):
            path = self.folder / "history"
            path.write_text(f"\n{line}\n", encoding="utf-8")
            told = self.one_line(self.ask("check-world", "--history", str(path)), 1)
            self.assertIn("Line 2 of the history is no event", told)
        self.assertEqual(self.asked, [])

    def test_log(self) -> None:
        """A log is looked through."""
        path = self.folder / "log"
        path.write_text("plain text\n", encoding="utf-8")
        result = self.ask("check-world", "--log", str(path))
        self.assertEqual(result.stdout, "I14: line 1 of the log is no JSON\n")


class ReapTests(LineCase):
    """`reap`."""

    def test_nothing(self) -> None:
        """Where everything has an owner nothing is waited for."""
        self.assertEqual(self.one_line(self.ask("reap"), 0), "Everything has an owner.")

    def test_removes(self) -> None:
        """What has no owner is removed after the grace, and shown."""
        made = orphan(self.stack, "i-2")
        result = self.ask("reap")
        self.assert_said(result, 0, "1 without an owner; looking again in 60 s.")
        self.assertEqual(result.stdout, f"container\t{made}\t10.0.0.1\ti-2\n")
        self.assertNotIn(made, self.stack.engine.world)

    def test_dry_run(self) -> None:
        """A dry run shows it at once, with what the database says, and removes nothing."""
        made = orphan(self.stack, "i-2")
        result = self.ask("reap", "--dry-run")
        self.assertEqual(result.stdout, f"container\t{made}\t10.0.0.1\ti-2\tmay be removed\n")
        self.assertIn(made, self.stack.engine.world)

    def test_refusal_and_force(self) -> None:
        """What a broker refuses is refused here as well, until the operator insists."""
        made = {orphan(self.stack, f"j-{number}") for number in range(5)}
        self.stack.persister.tables.operations.clear()
        dry = self.ask("reap", "--dry-run")
        self.assert_said(dry, 0, "Without --force nothing would be removed: 5 of 6 containers")
        self.assertEqual(dry.stdout.count("of which the database knows nothing"), 5)
        self.assert_said(self.ask("reap"), 1, "Nothing was removed: 5 of 6 containers have no owner")
        self.assertLessEqual(made, set(self.stack.engine.world))
        self.assert_said(self.ask("reap", "--force"), 0)
        self.assertEqual(len(self.stack.engine.world), 1)

    def test_host_refuses(self) -> None:
        """What could not be removed is told."""
        orphan(self.stack, "i-2")
        self.stack.engine.fail_next("remove", EngineUnreachable("It is away."))
        result = self.ask("reap")
        self.assert_said(result, 0, "1 are still there")
        self.assertEqual(result.stdout, "")


class OperationsTests(LineCase):
    """`operations`."""

    def waiting(self) -> str:
        """Return the id of an operation that waits for its host."""

        def fail(_stdin: bytes, _environment: object) -> tuple[int, bytes, bytes]:
            self.stack.engine.reachable = False
            return 1, b"", b"no disk"

        self.stack.image.scripts["/provision"] = fail
        self.stack.provision("i-2")
        for operation in self.stack.persister.history():
            if not operation.is_over:
                return operation.id
        raise AssertionError("no operation waits")

    def test_list(self) -> None:
        """Operations that are not over are listed; with `--all` the others as well."""
        self.assertEqual(self.ask("operations", "list").stdout, "")
        (line,) = self.ask("operations", "list", "--all").stdout.splitlines()
        fields = line.split("\t")
        self.assertEqual(fields[1:6], ["provision", "i-1", "", "succeeded", ""])
        self.assertEqual(fields[7], "the service instance is ready")

    def test_no_forged_lines(self) -> None:
        """What an executable has printed forges no line."""
        printed = b"\x1b[2Jno\n\tdisk"
        self.stack.image.scripts["/bind"] = lambda _stdin, _environment: (1, b"", printed)
        self.stack.request("PUT", binding_path("i-1", "b-1"), bind_body())
        result = self.ask("operations", "list", "--all")
        self.assertEqual(len(result.stdout.splitlines()), 2)
        self.assertNotIn("\x1b", result.stdout)
        self.assertTrue(all(line.count("\t") == 7 for line in result.stdout.splitlines()))

    def test_show(self) -> None:
        """An operation is shown with all that is known of it."""
        operation = self.stack.persister.history()[0]
        shown = dict(
            line.split("\t") for line in self.ask("operations", "show", operation.id).stdout.splitlines()
        )
        self.assertEqual((shown["operation"], shown["instance"]), (operation.id, "i-1"))
        self.assertEqual(shown["host"], "10.0.0.1")
        self.assertRegex(shown["ended"], r"^2023-.*\+00:00$")

    def test_unknown(self) -> None:
        """An operation that does not exist is one sentence, whatever is wanted of it."""
        for word in ("show", "retry", "cancel"):
            self.one_line(self.ask("operations", word, "o-9"), 1)

    def test_over(self) -> None:
        """What is over is neither tried again nor cancelled."""
        operation = self.stack.persister.history()[0]
        for word in ("retry", "cancel"):
            self.one_line(self.ask("operations", word, operation.id), 1)

    def test_retry(self) -> None:
        """An operation that waits is taken up again at once."""
        waiting = self.waiting()
        self.stack.engine.reachable = True
        self.assert_said(self.ask("operations", "retry", waiting), 0)
        self.stack.advance(10)
        self.assertEqual(list(self.stack.persister.tables.instances), ["i-1"])


class CatalogTests(LineCase):
    """`catalog lint`."""

    def test_good(self) -> None:
        """A catalog that Cloud Foundry takes ends with 0."""
        path = written(self.folder, broker_document())
        self.assertEqual(self.said("catalog", "lint", str(path)).exit_code, 0)

    def test_bad(self) -> None:
        """What Cloud Foundry would refuse is a line, and 1."""
        document = {"name": "redis", "plan": "100", "description": ""}
        path = written(self.folder, {**document, "plans": [], "tags": ["x" * 3000]}, name="image.json")
        result = self.said("catalog", "lint", str(path))
        self.assert_said(result, 1)

    def test_unreadable(self) -> None:
        """A file that is no JSON is one sentence."""
        path = self.folder / "broken"
        path.write_text(json.dumps([]), encoding="utf-8")
        self.assertIn(str(path), self.one_line(self.said("catalog", "lint", str(path)), 1))
        self.assertEqual(self.asked, [])
