"""What the command `dockerbroker` says and does, on a broker in memory."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import frozen
from click.testing import CliRunner

from dockerbroker.command.deployment import MoveWork, Work
from dockerbroker.command.line import command
from dockerbroker.errors import InvalidConfiguration, Unavailable
from tests.command.case import LineCase
from tests.configurations import broker_document, written
from tests.stack import bind_body, binding_path


@frozen
class Refusing:
    """What opens nothing."""

    error: Exception

    def run(self, _path: Path, _work: Work) -> int:
        """Say what stands in the way."""
        raise self.error

    def move(self, _source: Path, _target: Path, _work: MoveWork) -> int:
        """Say what stands in the way."""
        raise self.error


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
            ("adopt",),
            ("adopt", "-c", "broker.config", "--cluster", "x"),
            ("adopt", "-c", "broker.config", "--cluster", "F" * 32),
            ("migrate-state",),
            ("migrate-state", "one.config"),
            ("migrate-state", "one.config", "other.config", "third.config"),
        ):
            self.assert_said(self.said(*words), 2, "Usage:")
        self.assertEqual(self.asked, [])

    def test_help(self) -> None:
        """Every command has a help."""
        commands = (("operations", "list"), ("catalog", "lint"), ("adopt",), ("migrate-state",))
        for words in ((), ("check-world",), ("reap",), *commands):
            result = self.said(*words, "--help")
            self.assertEqual((result.exit_code, result.stdout[:6]), (0, "Usage:"))

    def test_configuration(self) -> None:
        """The configuration is the file that was named."""
        self.ask("check-world")
        self.assertEqual(self.asked, [Path("broker.config")])

    def test_refusals(self) -> None:
        """What stands in the way is one sentence on standard error, and 1."""
        for error in (InvalidConfiguration("a.config: port:\nno"), Unavailable("The database is away.")):
            result = CliRunner().invoke(command, ["reap", "-c", "x"], obj=Refusing(error))
            self.assertTrue(self.one_line(result, 1).startswith("dockerbroker: "))
            result = CliRunner().invoke(command, ["migrate-state", "x", "y"], obj=Refusing(error))
            self.assertTrue(self.one_line(result, 1).startswith("dockerbroker: "))


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
        self.assertRegex(shown["ended"], r"^2023-.*Z$")

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

    def test_cancel(self) -> None:
        """An operation that is not over is cancelled, and whoever carries it learns of that."""
        waiting = self.waiting()
        shown = self.ask("operations", "show", waiting).stdout
        self.assertIn("ended\t\n", shown)
        self.assertIn("cancelled\tno\n", shown)
        self.assertEqual(
            self.one_line(self.ask("operations", "cancel", waiting), 0), "Whoever carries it undoes it."
        )
        self.assertIn("cancelled\tyes\n", self.ask("operations", "show", waiting).stdout)

    def test_many(self) -> None:
        """Of very many operations the last ones are listed, and that is told."""
        operations = self.stack.persister.tables.operations
        (row,) = operations.values()
        operations.update({f"o-{number}": {**row, "id": f"o-{number}"} for number in range(1000)})
        result = self.ask("operations", "list", "--all")
        self.assert_said(result, 0, "There are more; these are the last 1000.")
        lines = result.stdout.splitlines()
        self.assertEqual((len(lines), lines[0].split("\t")[0]), (1000, "o-999"))


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

    def test_empty(self) -> None:
        """A catalog without services is refused, with a sentence that says what to do."""
        document = broker_document()
        document["services"]["images"] = []
        result = self.said("catalog", "lint", str(written(self.folder, document)))
        self.assert_said(result, 1)
        self.assertIn(
            "The catalog is empty: Cloud Foundry wants one service at least; add an image.", result.stdout
        )

    def test_unreadable(self) -> None:
        """A file that is no JSON is one sentence."""
        path = self.folder / "broken"
        path.write_text(json.dumps([]), encoding="utf-8")
        self.assertIn(str(path), self.one_line(self.said("catalog", "lint", str(path)), 1))
        self.assertEqual(self.asked, [])
