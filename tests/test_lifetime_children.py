"""Work in a process of its own."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidConfiguration, Unavailable
from dockerbroker.lifetime import in_child


class InChildTests(SynchronousTestCase):
    """`in_child`."""

    def complaint(self, work: Callable[[], None]) -> str:
        """Return the description of what is raised."""
        error = self.assertRaises(InvalidConfiguration, in_child, work)
        return str(error.description)

    def test_another_process(self) -> None:
        """The work is done, in another process."""
        path = Path(self.mktemp())

        def note() -> None:
            path.write_text(str(os.getpid()), "utf-8")

        in_child(note)
        self.assertNotEqual(int(path.read_text("utf-8")), os.getpid())

    def test_refusal(self) -> None:
        """What the work refuses is refused here, in the same words."""

        def refuse() -> None:
            raise InvalidConfiguration("persister.database: no.")

        self.assertEqual(self.complaint(refuse), "persister.database: no.")

    def test_unavailable(self) -> None:
        """What may pass by itself is told apart."""

        def fail() -> None:
            raise Unavailable("The server does not answer.")

        error = self.assertRaises(Unavailable, in_child, fail)
        self.assertEqual(error.description, "The server does not answer.")

    def test_defect(self) -> None:
        """What the work did not expect is a sentence as well."""

        def fail() -> None:
            raise ZeroDivisionError("by zero")

        self.assertIn("ZeroDivisionError: by zero", self.complaint(fail))

    def test_killed(self) -> None:
        """A process that is killed does not leave anybody waiting."""
        self.assertIn("killed", self.complaint(lambda: os.kill(os.getpid(), signal.SIGKILL)))
