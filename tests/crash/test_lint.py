"""No await on the database or on Docker lacks its crash points, and what would break that is found."""

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.lint import complaints, foreign_imports, plain_members, unpointed_wiring

_PARTS = "from dockerbroker.broker.placing import Placing\n"


class LintTests(SynchronousTestCase):
    """The project, and samples that are broken on purpose."""

    maxDiff = None

    def test_project(self) -> None:
        """Every await on the database and on Docker goes through a pointed seam."""
        self.assertEqual(complaints(), [])

    def test_plain_members(self) -> None:
        """A member that is awaited elsewhere, or is no method, is found."""
        source = (
            'class ISeam(Interface):\n    """A seam."""\n    async def good(): ...\n'
            "    def bad(): ...\n    worse = Attribute('')\n"
        )
        found = plain_members(source, "ISeam")
        self.assertEqual([text.split(":")[0] for text in found], ["ISeam, line 4", "ISeam, line 5"])

    def test_foreign_imports(self) -> None:
        """A module that might reach a database or a Docker by itself is found, wherever it imports."""
        for line in (
            "import sqlalchemy",
            "import docker.errors as errors",
            "from docker import APIClient",
            "from twisted.internet import threads",
            "from twisted.internet.threads import deferToThread",
            "from twisted.internet import reactor",
            "from dockerbroker.engines.docker import DockerEngines",
            "from dockerbroker.persisters import sql",
            "from ..persisters.sql import SqlPersister",
            "from .sql import SqlPersister",
            "def late():\n    import socket",
            "x = __import__('docker')",
            "from importlib import import_module",
        ):
            with self.subTest(line):
                self.assertEqual(len(foreign_imports(line)), 1, line)

    def test_harmless_imports(self) -> None:
        """Values, rules, Twisted's Deferreds and the interfaces are no offence."""
        lines = (
            "from dockerbroker import wire",
            "from twisted.internet.defer import Deferred",
            "from dockerbroker.persisters.interfaces import IPersister",
            "from collections.abc import Callable",
        )
        self.assertEqual(foreign_imports("\n".join(lines)), [])

    def test_unpointed_wiring(self) -> None:
        """A part that is given a database or a Docker itself is found, by keyword or position."""
        for call in (
            "Placing(persister=persister)",
            "Placing(persister, view, seams.engines)",
            "Placing(seams.persister, engines=database)",
            "Placing(seams.persister, view, seams.persister)",
        ):
            with self.subTest(call):
                self.assertEqual(len(unpointed_wiring(f"{_PARTS}{call}")), 1, call)

    def test_pointed_wiring(self) -> None:
        """A part that is given the members of the seams is no offence."""
        source = (
            f"{_PARTS}\ndef wire(seams: Seams):\n    Placing(seams.persister, view, seams.engines)\n"
            "seams = make_seams(persister, engines, executors, None)\nPlacing(engines=seams.engines)\n"
        )
        self.assertEqual(unpointed_wiring(source), [])

    def test_faked_seams(self) -> None:
        """Seams that are not made by the one function that puts points on them are found."""
        for line in (
            "seams = Fake()",
            "def wire(seams): ...",
            "def wire(seams: Fake): ...",
            "parts = Seams(persister=one, engines=two, executors=three)",
        ):
            with self.subTest(line):
                self.assertEqual(len(unpointed_wiring(f"{_PARTS}{line}")), 1, line)
