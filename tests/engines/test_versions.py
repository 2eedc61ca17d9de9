"""Which version of Docker's API is spoken."""

from docker.errors import InvalidVersion
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.versions import NEWEST, OLDEST, chosen


class ChosenTests(SynchronousTestCase):
    """The engine says which versions it speaks."""

    def test_chosen(self) -> None:
        """The newest version that both know is spoken; where the engine knows newer ones only, its oldest."""
        for newest, oldest, expected in (
            ("1.41", None, "1.41"),
            ("1.43", "1.12", "1.43"),
            (NEWEST, "1.24", NEWEST),
            ("1.99", "1.24", NEWEST),
            ("1.100", "1.44", NEWEST),
            ("2.0", "1.90", "1.90"),
            (OLDEST, OLDEST, OLDEST),
        ):
            self.assertEqual(chosen(newest, oldest), expected)

    def test_too_old(self) -> None:
        """An engine that is older than Docker Engine 20.10 is refused."""
        for newest in ("1.40", "1.9", "0.99"):
            self.assertRaises(InvalidVersion, chosen, newest, "0.1")

    def test_no_version(self) -> None:
        """What is no version is an error."""
        for newest, oldest in (("", None), ("1", None), ("1.x", None), ("1.41", "x"), ("\u0661.99", None)):
            self.assertRaises(ValueError, chosen, newest, oldest)
