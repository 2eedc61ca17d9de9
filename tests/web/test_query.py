"""The query of a request."""

from typing import Final
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.web.query import MOST_PARAMETERS, Query
from tests.model.values import unhurried

#: Text that a parameter may hold.
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


class QueryTests(SynchronousTestCase):
    """Decoding, and the two readings."""

    def assert_refused(self, query: bytes, name: str) -> None:
        """The parameter is refused, and the sentence names it."""
        error = self.assertRaises(InvalidRequest, Query.of(b"/?" + query).text, name)
        self.assertIn(name, error.description)

    @unhurried
    @given(st.dictionaries(TEXTS, TEXTS, max_size=5))
    def test_what_was_encoded(self, values: dict[str, str]) -> None:
        """What a form encoder wrote is read as it was."""
        query = Query.of(b"/path?" + urlencode(values).encode())
        self.assertEqual({name: query.text(name) for name in values}, values)
        self.assertIsNone(query.text("absent" * 10))

    @unhurried
    @given(st.binary(max_size=40))
    def test_any_bytes(self, target: bytes) -> None:
        """Whatever the target holds, a parameter is a text or refused."""
        try:
            text = Query.of(b"?" + target).text("a")
        except InvalidRequest as error:
            self.assertTrue(error.description)
        else:
            self.assertNotIn("\0", text or "")

    def test_no_query(self) -> None:
        """A target without a query, or with an empty one, has no parameters."""
        for target in (b"/", b"/?", b"/?&&"):
            self.assertEqual(Query.of(target), Query({}))

    def test_twice(self) -> None:
        """A parameter that is given twice is refused, also when it is the same; others do not mind."""
        for query in (b"a=1&a=1", b"a=1&a=2", b"a&a", b"a=&%61=1"):
            self.assert_refused(query, "a")
        self.assertEqual(Query.of(b"?b=1&b=2&a=3").text("a"), "3")

    def test_control_characters(self) -> None:
        """A parameter with a control character is refused."""
        for query in (b"a=%00", b"a=x%0Ay", b"a=%C2%85"):
            self.assert_refused(query, "a")

    def test_not_text(self) -> None:
        """A query that is not UTF-8, not ASCII on the wire, or endless is refused."""
        for query in (b"a=%ff", b"a=%ed%a0%80", b"\xc3\xa9=1", b"&".join([b"a=1"] * (MOST_PARAMETERS + 1))):
            error = self.assertRaises(InvalidRequest, Query.of, b"/?" + query)
            self.assertIn("query", error.description)

    def test_separator(self) -> None:
        """A semicolon separates nothing."""
        query = Query.of(b"/?a=1;b=2&c=3")
        self.assertEqual([query.text(name) for name in "abc"], ["1;b=2", None, "3"])

    def test_without_value(self) -> None:
        """A parameter without `=` is there, and empty."""
        self.assertEqual(Query.of(b"/?a").text("a"), "")

    def test_flag(self) -> None:
        """A flag is `true` or `false`, and false when it is absent; nothing else will do."""
        flags = {b"": False, b"a=true": True, b"a=false": False}
        for query, value in flags.items():
            self.assertIs(Query.of(b"/?" + query).flag("a"), value)
        for query in (b"a", b"a=", b"a=1", b"a=True", b"a=TRUE", b"a=yes", b"a=true%20", b"a=true&a=true"):
            self.assertRaises(InvalidRequest, Query.of(b"/?" + query).flag, "a")

    def test_filled(self) -> None:
        """A parameter that must not be empty is absent or has a value."""
        self.assertIsNone(Query.of(b"/").filled("a"))
        self.assertEqual(Query.of(b"/?a=1").filled("a"), "1")
        self.assertRaises(InvalidRequest, Query.of(b"/?a=").filled, "a")
