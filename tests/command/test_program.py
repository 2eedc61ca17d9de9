"""The command as a program, on a database of its own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters.sqlite_opening import check_file
from tests.configurations import broker_document, written
from tests.polling import PATIENCE
from tests.programs import environment

_MAIN = "from dockerbroker.command import main; main()"


class ProgramTests(SynchronousTestCase):
    """Real processes."""

    def setUp(self) -> None:
        """Make a folder with a configuration."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.config = written(self.folder, broker_document())

    def run_command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command until it ends."""
        return subprocess.run(
            [sys.executable, "-c", _MAIN, *words],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def test_well(self) -> None:
        """On an empty database all is well."""
        check_file(self.folder / "broker.db")
        done = self.run_command("check-world", "-c", str(self.config))
        self.assertEqual((done.returncode, done.stdout), (0, ""), done)
        self.assertEqual(done.stderr, "All is well: 0 service instances, 0 containers.\n")
        for words in (("reap",), ("operations", "list"), ("reap", "--dry-run"), ("adopt",)):
            self.assertEqual(self.run_command(*words, "-c", str(self.config)).returncode, 0, words)

    def test_no_database(self) -> None:
        """A database that does not exist is not made, but told."""
        done = self.run_command("operations", "list", "-c", str(self.config))
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("does not exist", done.stderr)
        self.assertFalse((self.folder / "broker.db").exists())

    def test_no_operation(self) -> None:
        """What is said about a database that was opened is one sentence as well."""
        check_file(self.folder / "broker.db")
        done = self.run_command("operations", "cancel", "o-1", "-c", str(self.config))
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done)

    def test_keys(self) -> None:
        """A key is made, seals what the database holds, and is needed from then on, also to move that."""
        check_file(self.folder / "broker.db")
        self.assertEqual(self.run_command("keys", "generate", str(self.folder / "keys")).returncode, 0)
        keyed = written(self.folder, broker_document() | {"keys": "keys"}, name="keyed.config")
        done = self.run_command("keys", "rotate", "--settle", "0", "-c", str(keyed))
        self.assertEqual((done.returncode, done.stdout), (0, ""), done)
        refused = self.run_command("keys", "list", "-c", str(self.config))
        self.assertEqual((refused.returncode, refused.stderr.count("\n")), (1, 1), refused)
        self.assertIn("needs the key key-", refused.stderr)
        document = broker_document()
        document["persister"]["database"] = "other.db"
        other = written(self.folder, document, name="other.config")
        moved = self.run_command("migrate-state", str(keyed), str(other))
        self.assertEqual(moved.returncode, 1, moved)
        self.assertIn("keys: what is moved needs the key key-", moved.stderr)

    def test_migrate(self) -> None:
        """The database of one file is moved to that of another, which is made; afterwards it is refused."""
        check_file(self.folder / "broker.db")
        document = broker_document()
        document["persister"]["database"] = "other.db"
        other = written(self.folder, document, name="other.config")
        done = self.run_command("migrate-state", str(self.config), str(other))
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(done.stdout.splitlines()[0], "images\t0")
        self.assertIn("other.db: name it", done.stderr)
        self.assertEqual(self.run_command("check-world", "-c", str(other)).returncode, 0)
        for words in (("check-world", "-c"), ("migrate-state", str(other))):
            done = self.run_command(*words, str(self.config))
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done)
        refused = self.run_command("check-world", "-c", str(self.config))
        self.assertIn("broker.db was moved to the SQLite database", refused.stderr)

    def test_migrate_nothing(self) -> None:
        """A source that does not exist is not made, nor is the target."""
        document = broker_document()
        document["persister"]["database"] = "other.db"
        other = written(self.folder, document, name="other.config")
        done = self.run_command("migrate-state", str(self.config), str(other))
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done)
        self.assertIn("does not exist", done.stderr)
        self.assertEqual(sorted(path.suffix for path in self.folder.iterdir()), [".config", ".config"])

    def test_terminal(self) -> None:
        """On a terminal there is a table, with names above its columns."""
        check_file(self.folder / "broker.db")
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, "operations", "list", "-c", str(self.config)],
            env={**environment(), "TERM": "dumb", "COLUMNS": "200"},
            stdout=theirs,
            timeout=PATIENCE,
            check=False,
        )
        os.close(theirs)
        self.assertEqual(done.returncode, 0)
        shown = os.read(ours, 4096).decode()
        self.assertEqual(
            shown.split(), ["operation", "kind", "instance", "binding", "phase", "step", "attempt", "what"]
        )

    def test_no_reader(self) -> None:
        """Results that nobody reads to their end, as by head, end the command without a traceback."""
        check_file(self.folder / "broker.db")
        reading, writing = os.pipe()
        os.close(reading)
        words = ["credentials", "add", "--role", "platform", "--user", "cf", "-c", str(self.config)]
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, *words],
            env=environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        os.close(writing)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done)
        self.assertIn("counts for every broker", done.stderr)

    def test_usage(self) -> None:
        """What is not understood ends with 2."""
        self.assertEqual(self.run_command("operations").returncode, 2)

    def test_version(self) -> None:
        """The command tells its version."""
        done = self.run_command("--version")
        self.assertEqual((done.returncode, done.stdout.split()[0]), (0, "dockerbroker"))
