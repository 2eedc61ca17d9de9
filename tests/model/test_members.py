"""Typed access to the members of a JSON object."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.members import Members, printable, shown
from tests.model.values import documents, unhurried

READERS: dict[str, Callable[[Members], Any]] = {
    "text": lambda members: members.text("key", "default"),
    "integer": lambda members: members.integer("key", 7, least=0, most=9),
    "number": lambda members: members.number("key", 7.5, least=0, most=9),
    "truth": lambda members: members.truth("key", default=True),
    "object": lambda members: members.object("key"),
    "array": lambda members: members.array("key"),
}
DEFAULTS = {"text": "default", "integer": 7, "number": 7.5, "truth": True, "object": {}, "array": []}


class MembersTests(SynchronousTestCase):
    """Members that are there, absent, null or wrong."""

    def test_absent_and_null(self) -> None:
        """What is absent or null yields the default without a complaint."""
        for name, read in READERS.items():
            for document in ({}, {"key": None}):
                members = Members(document=document)
                self.assertEqual(read(members), DEFAULTS[name])
                members.check()

    @unhurried
    @given(documents)
    def test_wrong_type(self, value: Any) -> None:
        """A wrong member yields the default and one complaint that names the key, and raises nothing."""
        for name, read in READERS.items():
            members = Members(document={"key": value}, where="outer.")
            found = read(members)
            self.assertIs(type(found), type(DEFAULTS[name]))
            if members.complaints:
                self.assertEqual(found, DEFAULTS[name])
                (complaint,) = members.complaints
                self.assertTrue(complaint.startswith("outer.key: must be "))

    def test_bounds(self) -> None:
        """Both bounds of a number are within; what lies beyond is a complaint that tells the bounds."""
        for good in (0, 9, "0", "9"):
            self.assertEqual(READERS["integer"](Members(document={"key": good})), int(good))
        value: Any
        for value in (-1, 10, 1.5, "-1", "1.5", "9" * 5000, True):
            members = Members(document={"key": value})
            READERS["integer"](members)
            self.assertEqual(members.complaints, ["key: must be a whole number from 0 to 9"])
        for value in (9.001, "nan", "inf", "1e400", False):
            members = Members(document={"key": value})
            READERS["number"](members)
            self.assertEqual(members.complaints, ["key: must be a number from 0 to 9"])

    def test_required_text(self) -> None:
        """A required text is neither absent nor null nor empty."""
        for document in ({}, {"key": None}, {"key": ""}):
            members = Members(document=document)
            members.text("key", required=True)
            self.assertEqual(members.complaints, ["key: is missing or empty"])

    def test_unknown(self) -> None:
        """What nobody asked for can be listed."""
        members = Members(document={"b": 1, "a": 2, "known": 3})
        members.integer("known", 0, least=0, most=9)
        self.assertEqual(members.unknown(), ["a", "b"])

    def test_every_complaint(self) -> None:
        """The check raises all complaints in one sentence."""
        members = Members(document={"a": 1, "b": 2})
        members.text("a")
        members.array("b")
        error = self.assertRaises(InvalidRequest, members.check)
        self.assertEqual(error.description, "a: must be a string; b: must be an array.")

    def test_inside(self) -> None:
        """Objects inside fold their keys, complain and know what is unknown with where they stand."""
        document = {"one": {"Name": 1, "X": 2}, "many": [{"NAME": "a"}, 7, {"name": "b", "NAME": "c"}]}
        members = Members(document=document, where="top.")
        self.assertEqual(members.section("one").text("name"), "")
        self.assertEqual([inner.text("name") for inner in members.each("many")], ["a", "c"])
        self.assertEqual(
            members.complaints,
            [
                "top.one.name: must be a string",
                "top.many[1]: must be an object",
                "top.many[2].name: occurs twice; upper and lower case do not count in keys",
            ],
        )
        self.assertEqual(members.unknown(), ["top.one.x"])

    def test_texts(self) -> None:
        """Arrays and objects of strings hold nothing but strings; names are short and of one line."""
        members = Members(document={"row": ["a"], "map": {"A": "b"}, "bad": [1], "worse": {"a": 1}})
        self.assertEqual((members.texts("row"), members.text_object("map")), (("a",), {"A": "b"}))
        self.assertEqual((members.texts("bad"), members.text_object("worse")), ((), {}))
        self.assertEqual(len(members.complaints), 2)
        for name in ("x" * 256, "a\nb"):
            members = Members(document={"name": name})
            members.short_text("name")
            self.assertEqual(len(members.complaints), 1)

    def test_printable(self) -> None:
        """What would break a line of a message is escaped."""
        self.assertEqual(printable("a\n\x1bä"), "a\\n\\x1bä")
        self.assertEqual((shown("a"), shown("a\n"), shown("")), ("a", "'a\\n'", "''"))
