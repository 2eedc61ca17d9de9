"""The tests that decision records name are there."""

import re
from importlib import import_module

from twisted.trial.unittest import SynchronousTestCase

from tests.documented import DOCS

_NAMED = re.compile(r"`(tests(?:\.\w+)+)`")


class NamedTests(SynchronousTestCase):
    """Every test that a record names."""

    def test_there(self) -> None:
        """Each is a method of a class of tests, under the id by which it can be run."""
        absent = []
        for path in sorted((DOCS / "decisions").glob("*.md")):
            for name in _NAMED.findall(path.read_text("utf-8")):
                module, kind, method = name.rsplit(".", 2)
                found = getattr(import_module(module), kind, None)
                if not (method.startswith("test_") and callable(getattr(found, method, None))):
                    absent.append(f"{path.name}: {name}")
        self.assertEqual(absent, [])

    def test_all_faults(self) -> None:
        """Every fault of Docker, of hosts and of the network has its row."""
        text = (DOCS / "decisions" / "0027-faults-of-hosts.md").read_text("utf-8")
        for letter, count in (("D", 18), ("F", 18), ("G", 5)):
            for number in range(1, count + 1):
                rows = re.findall(rf"^\| {letter}{number} ", text, re.MULTILINE)
                self.assertEqual(len(rows), 1, (letter, number))

    def test_no_boundary(self) -> None:
        """Operators are told that no authorization plugin of Docker is a boundary (S49)."""
        text = (DOCS / "operations.md").read_text("utf-8")
        self.assertRegex(text, r"No authorization plugin[^*]*CVE-2024-41110, CVE-2026-34040")

    def test_all_attacks(self) -> None:
        """Every attack has its row, with what is seen, and a test that shows it or a reason."""
        text = (DOCS / "decisions" / "0029-attacks.md").read_text("utf-8")
        for number in range(1, 73):
            rows = re.findall(rf"^\| S{number} .*$", text, re.MULTILINE)
            self.assertEqual(len(rows), 1, number)
            *_, seen, shown, _ = rows[0].split(" |")
            self.assertTrue(seen.strip(), number)
            self.assertTrue(_NAMED.search(shown) or "](" in shown or "below" in shown, number)
