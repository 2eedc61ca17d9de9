"""What `dockerbroker credentials` says and does."""

from __future__ import annotations

from click.testing import CliRunner, Result

from dockerbroker.broker.watching import PERIOD
from dockerbroker.command.line import command
from tests.command.case import LineCase
from tests.stack import USER


class CredentialsTests(LineCase):
    """A broker with one credential in each role."""

    def add(self, *words: str, given: str | None = None) -> Result:
        """Add a credential."""
        said = ("credentials", "add", *words, "-c", "broker.config")
        return CliRunner().invoke(command, said, obj=self.opener, prog_name="dockerbroker", input=given)

    def test_list(self) -> None:
        """Each credential is listed with its role and user, and without its password."""
        lines = self.ask("credentials", "list").stdout.splitlines()
        self.assertEqual([line.split("\t")[1:3] for line in lines], [[r, USER] for r in sorted(self.roles)])
        self.assertNotIn("scrypt", "".join(lines))

    roles = ("platform", "agent", "administrator")

    def test_rotation(self) -> None:
        """A password is made and shown once, and counts beside the old one, which is removed then."""
        added = self.add("--role", "platform", "--user", USER)
        self.assert_said(added, 0, "counts for every broker")
        password = added.stdout.strip()
        self.assertEqual(len(password), 43)
        self.stack.watch.start()
        self.addCleanup(self.stack.watch.stop)
        self.stack.advance(PERIOD)
        self.assertEqual(self.stack.request("GET", "/v2/catalog", auth=(USER, password)).status, 200)
        self.assert_said(self.ask("credentials", "remove", "platform"), 0, "no broker")
        self.stack.advance(PERIOD)
        self.assertEqual(self.stack.request("GET", "/v2/catalog").status, 401)
        self.assertEqual(self.stack.request("GET", "/v2/catalog", auth=(USER, password)).status, 200)
        self.assertNotIn(password, self.ask("credentials", "list").stdout)

    def test_given(self) -> None:
        """A password of one's own comes from standard input, and is not shown."""
        added = self.add(
            "--role", "agent", "--user", "a", "--host", "10.0.0.7", "--stdin", given="long enough\n"
        )
        self.assert_said(added, 0)
        self.assertEqual(added.stdout, "")
        [line] = [one for one in self.ask("credentials", "list").stdout.splitlines() if "10.0.0.7" in one]
        self.assertEqual(line.split("\t")[1:4], ["agent", "a", "10.0.0.7"])

    def test_refused(self) -> None:
        """What cannot be is told in one line, and changes nothing."""
        before = dict(self.stack.persister.tables.credentials)
        short = self.add("--role", "agent", "--user", "a", "--stdin", given="s3cret\n")
        self.assertNotIn("s3cret", self.one_line(short, 1))
        self.assertIn("user", self.one_line(self.add("--role", "agent", "--user", "a:b"), 1))
        self.assertIn("last", self.one_line(self.ask("credentials", "remove", "administrator"), 1))
        self.assertIn("no credential", self.one_line(self.ask("credentials", "remove", "unknown"), 1))
        self.assertEqual(self.add("--role", "root", "--user", "a").exit_code, 2)
        self.assertEqual(self.stack.persister.tables.credentials, before)
