"""What `dockerbroker audit` says and does."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from click.testing import Result

from dockerbroker.persisters.audit_rows import audit_row, read_audit
from tests.command.case import LineCase


class AuditTests(LineCase):
    """A broker with one instance."""

    def exported(self, *arguments: str) -> list[str]:
        """Return the lines that are exported."""
        return self.ask("audit", "export", *arguments).stdout.splitlines()

    def saved(self, lines: list[str]) -> str:
        """Return the path of a file with the lines."""
        path = Path(self.mktemp())
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    def test_export(self) -> None:
        """All records are exported, or those after a number."""
        lines = self.exported()
        self.assertEqual(len(lines), len(self.stack.persister.tables.audit))
        self.assertEqual(self.exported("--after", "2"), lines[2:])
        self.assertEqual(self.exported("--after", "99"), [])

    def test_verify(self) -> None:
        """The log of the database is verified from its oldest record to its end."""
        self.assert_said(self.ask("audit", "verify"), 0, "is whole")
        log = self.stack.persister.tables.audit
        del log[:2]
        self.assert_said(self.ask("audit", "verify"), 0, "is whole")
        record = read_audit(log[0])
        log[0] = audit_row("x", evolve(record, content=record.content.replace("i-1", "i-2")))
        result = self.ask("audit", "verify")
        self.assert_said(result, 1)
        self.assertEqual(result.stdout, f"The record {record.number} has been changed.\n")

    def test_verify_gaps(self) -> None:
        """A record that is not there, between others or at the end, is told."""
        log = self.stack.persister.tables.audit
        kept = list(log)
        del log[1]
        result = self.ask("audit", "verify")
        self.assertEqual((result.exit_code, result.stdout), (1, "After the record 1 comes the record 3.\n"))
        log[:] = kept

    def test_verify_file(self) -> None:
        """An exported log is verified without any database; the first record that is not whole is told."""
        lines = self.exported()
        self.assert_said(self.verify(self.saved(lines)), 0, "is whole")
        self.assert_said(self.verify(self.saved(lines[1:])), 0, "is whole")
        told = self.verify(self.saved([lines[0], *lines[2:]]))
        self.assert_said(told, 1)
        self.assertEqual(told.stdout, "After the record 1 comes the record 3.\n")
        self.assert_said(self.verify(self.saved(["{}"])), 1, "holds no record")

    def verify(self, path: str) -> Result:
        """Verify a file."""
        return self.said("audit", "verify", path)

    def test_neither(self) -> None:
        """Either a database or a file is verified."""
        self.assertEqual(self.said("audit", "verify").exit_code, 2)
