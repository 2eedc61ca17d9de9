"""The dispatcher that the configuration names."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.dispatchers import dispatcher_named
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.dispatchers import DISPATCHERS, Candidate, SpreadDispatcher
from dockerbroker.model.reservations import Reserved


class Backwards:
    """A dispatcher of a user's own."""

    def order(self, candidates: Sequence[Candidate], wanted: Reserved) -> Sequence[Candidate]:  # noqa: ARG002
        """Return the candidates, the last one first."""
        return candidates[::-1]


class Unfinished:
    """A class that orders nothing."""


class Unmakable(Backwards):
    """A dispatcher that wants to be told something."""

    def __init__(self, secret: str) -> None:
        """Ask for an argument."""


class NameTests(SynchronousTestCase):
    """The names."""

    def refused(self, name: str) -> str:
        """Return what is said of a name, in one line."""
        error = self.assertRaises(InvalidConfiguration, dispatcher_named, name)
        said: str = error.description
        self.assertNotIn("\n", said)
        return said

    def test_built_in(self) -> None:
        """Those that come with the broker are found by their names alone."""
        self.assertIsInstance(dispatcher_named("SpreadDispatcher"), SpreadDispatcher)
        for name in DISPATCHERS:
            self.assertEqual(type(dispatcher_named(name)).__name__, name)

    def test_own(self) -> None:
        """A class of the user's own is found by its module and its name."""
        self.assertIsInstance(dispatcher_named("tests.test_config_dispatcher:Backwards"), Backwards)

    def test_unknown(self) -> None:
        """An unknown name is answered with the known ones."""
        said = self.refused("Best")
        self.assertIn("use BinpackDispatcher, SimpleDispatcher, SpreadDispatcher, or a class", said)

    def test_no_module(self) -> None:
        """A module or class that is not there is told."""
        self.assertIn("No module named 'nowhere'", self.refused("nowhere:Best"))
        self.assertIn("has no attribute 'Best'", self.refused("tests.test_config_dispatcher:Best"))
        self.assertIn("ValueError", self.refused(":Best"))

    def test_no_dispatcher(self) -> None:
        """A class that cannot be made, or that orders nothing, is told."""
        self.assertIn("no method 'order'", self.refused("tests.test_config_dispatcher:Unfinished"))
        self.assertIn("'secret'", self.refused("tests.test_config_dispatcher:Unmakable"))
