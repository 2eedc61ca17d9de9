"""Definitions without their secrets, and with them again."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.concealing import MARK, concealed, has_marks, revealed
from dockerbroker.model.definitions import encode_image
from dockerbroker.model.secrets import Secret
from tests.model.values import REDIS, unhurried
from tests.persisters.strategies import OBJECTS


def leaves(value: Any) -> list[Any]:
    """Return every value inside a JSON value that holds no other."""
    if isinstance(value, dict):
        return [leaf for member in value.values() for leaf in leaves(member)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def with_secrets(credentials: dict[str, Any]) -> ImageDefinition:
    """Return a definition with these credentials, and a dashboard's client."""
    client = Secret({"id": "a", "secret": "b", "redirect_uri": "http://c"})
    url = "mysql://user:hidden@h/d"
    return evolve(REDIS, credentials=Secret(credentials), dashboard_client=client, dashboard_url=url)


class ConcealingTests(SynchronousTestCase):
    """Marks for secrets."""

    @unhurried
    @given(OBJECTS)
    def test_there_and_back(self, credentials: dict[str, Any]) -> None:
        """Whatever the credentials are, their names alone are told, and all are there when it returns."""
        whole = with_secrets(credentials)
        told = encode_image(concealed(whole))
        self.assertLessEqual({str(leaf) for leaf in leaves(told["Credentials"])}, {MARK, "None"})
        self.assertEqual(told["Credentials"].keys(), credentials.keys())
        self.assertEqual(revealed(concealed(whole), whole), whole)
        self.assertEqual(concealed(concealed(whole)), concealed(whole))

    def test_urls(self) -> None:
        """A password in the URL of a dashboard is marked, whatever it holds; the rest is told."""
        for url, told in (
            ("http://h:80/path", "http://h:80/path"),
            ("http://user@h", "http://user@h"),
            ("mysql://u:secret@h:3306/d?x=y", f"mysql://u:{MARK}@h:3306/d?x=y"),
            ("mysql://u:se@cr:et@h", f"mysql://u:{MARK}@h"),
            ("mysql://u:se/cr?et@h", f"mysql://u:{MARK}@h"),
            ("mysql://:secret@h", f"mysql://:{MARK}@h"),
            ("http://$HOST:$PORT/", "http://$HOST:$PORT/"),
        ):
            whole = evolve(REDIS, dashboard_url=url)
            self.assertEqual(concealed(whole).dashboard_url, told)
            self.assertEqual(revealed(concealed(whole), whole), whole)
            self.assertEqual(has_marks(concealed(whole)), MARK in told)

    def test_nothing_to_conceal(self) -> None:
        """A definition without secrets is told as it is."""
        self.assertEqual(concealed(REDIS), REDIS)
        self.assertFalse(has_marks(REDIS))
        self.assertEqual(revealed(REDIS, None), REDIS)

    def test_another(self) -> None:
        """A mark is refused where another kind of value, or nothing, is stored."""
        whole = with_secrets({"list": ["a"], "object": {"b": "c"}, "text": "d"})
        for sent in (
            {"list": MARK},
            {"list": ["x", MARK]},
            {"object": MARK},
            {"text": {"e": MARK}},
            {"f": MARK},
        ):
            definition = evolve(REDIS, credentials=Secret(sent))
            self.assertTrue(has_marks(definition))
            self.assertRaises(InvalidRequest, revealed, definition, whole)
            self.assertRaises(InvalidRequest, revealed, definition, None)
