"""The strict decoder: one document, nothing that JSON does not have."""

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker import wire
from dockerbroker.errors import InvalidRequest
from tests.model.values import documents, objects, unhurried


def nested(depth: int, inner: str = "") -> bytes:
    """Return arrays nested that deep."""
    return ("[" * depth + inner + "]" * depth).encode()


class DecodeTests(SynchronousTestCase):
    """What is read."""

    def refused(self, data: bytes) -> str:
        """Return the description of the refusal that the data must meet."""
        description: str = self.assertRaises(InvalidRequest, wire.decode, data).description
        return description

    @unhurried
    @given(documents)
    def test_everything_that_is_encoded_is_decoded(self, document: Any) -> None:
        """Encoding and decoding return the same value."""
        self.assertEqual(wire.decode(wire.encode(document)), document)

    @unhurried
    @given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")))
    def test_bytes_are_decoded_or_invalid(self, data: bytes) -> None:
        """Whatever arrives, nothing but `InvalidRequest` is raised."""
        try:
            wire.decode(data)
        except InvalidRequest as error:
            self.assertTrue(error.description.endswith("."))

    @unhurried
    @given(st.lists(st.sampled_from('{}[]",:0123456789.eE+-ntfrua\\\x00 \ufeff\ud800NIa'), max_size=30))
    def test_what_looks_like_json_is_decoded_or_invalid(self, characters: list[str]) -> None:
        """Whatever comes near to JSON, nothing but `InvalidRequest` is raised."""
        try:
            wire.decode("".join(characters).encode("utf-8", "surrogatepass"))
        except InvalidRequest as error:
            self.assertTrue(error.description.endswith("."))

    def test_numbers_that_json_does_not_have(self) -> None:
        """NaN, the infinities and numbers that overflow are refused, and the description names them."""
        for text in ("NaN", "Infinity", "-Infinity"):
            self.assertIn(text, self.refused(text.encode()))
        self.assertIn("too large", self.refused(b'{"a": [1e999]}'))
        self.assertIn("too large", self.refused(b"-1e999"))
        self.assertIn("too many digits", self.refused(b"1" * 5000))

    def test_duplicate_keys(self) -> None:
        """A key that occurs twice in one object is refused by name; the same key in two objects is not."""
        self.assertIn("'a'", self.refused(b'{"b": {"a": 1, "a": 2}}'))
        self.assertEqual(wire.decode(b'{"a": {"a": 1}}'), {"a": {"a": 1}})

    def test_nesting_has_a_limit(self) -> None:
        """Nesting up to the limit is read, one level more is refused, and so is nesting without measure."""
        wire.decode(nested(wire.MAXIMUM_DEPTH))
        wire.decode(nested(wire.MAXIMUM_DEPTH, "1"))
        for data in (
            nested(wire.MAXIMUM_DEPTH + 1),
            nested(wire.MAXIMUM_DEPTH + 1, "1"),
            nested(100_000),
            b"[" * 1_000_000,
            b'{"a":' * 100_000,
        ):
            self.assertIn("nested deeper than 64", self.refused(data))

    @given(st.text(), st.booleans())
    def test_plain(self, text: str, is_escaped: bool) -> None:
        """Texts are checked alike, whether they stand there as they are or escaped."""
        document = json.dumps({"key": [text]}, ensure_ascii=is_escaped)
        try:
            data = document.encode()
        except UnicodeEncodeError:
            return
        if "\0" in text:
            self.assertRaises(InvalidRequest, wire.decode, data)
        elif all(not "\ud800" <= character <= "\udfff" for character in text):
            self.assertEqual(wire.decode(data), {"key": [text]})

    def test_encodings(self) -> None:
        """Only UTF-8 without a byte order mark is read."""
        for data in (b"\xff", '{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-32"), b"\xef\xbb\xbf{}"):
            self.refused(data)
        self.assertEqual(wire.decode('{"ä": "€"}'.encode()), {"ä": "€"})

    def test_halves_of_surrogate_pairs_and_nul(self) -> None:
        """Characters that no database or terminal keeps are refused, in keys and in values."""
        for text in (r'"\ud800"', r'{"\udfff": 1}', r'[["\ud83dx"]]'):
            self.assertIn("surrogate", self.refused(text.encode()))
        for text in (r'"\u0000"', r'{"a\u0000": 1}'):
            self.assertIn("NUL", self.refused(text.encode()))
        self.assertEqual(wire.decode(rb'"\ud83d\ude00"'), "\U0001f600")

    def test_exactly_one_document(self) -> None:
        """Nothing, half a document and more than one are refused with the place of the error."""
        for data in (b"", b" ", b"{", b"{}{}", b'{"a": 1},', b"{'a': 1}", b"tru"):
            self.assertIn("line 1", self.refused(data))

    def test_many_keys(self) -> None:
        """An object with many keys is read; one with more values than anybody needs is refused."""
        for count in (10_000, wire.MAXIMUM_VALUES - 1):
            document = {str(number): number for number in range(count)}
            self.assertEqual(wire.decode(json.dumps(document).encode()), document)
        self.assertIn("values", self.refused(json.dumps([0] * wire.MAXIMUM_VALUES).encode()))

    def test_objects(self) -> None:
        """Where an object is expected, nothing else is taken for one."""
        self.assertEqual(wire.decode_object(b"{}"), {})
        for data in (b"[]", b"null", b'"{}"', b"1", b"true"):
            error = self.assertRaises(InvalidRequest, wire.decode_object, data)
            self.assertEqual(error.description, "The JSON must be an object.")


class EncodeTests(SynchronousTestCase):
    """What is written."""

    def test_no_number_that_json_does_not_have(self) -> None:
        """NaN is never written."""
        self.assertRaises(ValueError, wire.encode, {"a": math.nan})

    @unhurried
    @given(objects)
    def test_equal_values_share_one_text(self, document: dict[str, Any]) -> None:
        """The canonical text does not depend on the order of the keys."""
        turned = dict(reversed(document.items()))
        self.assertEqual(wire.canonical(document), wire.canonical(turned))
        self.assertEqual(json.loads(wire.canonical(document)), document)


class FoldTests(SynchronousTestCase):
    """Keys without regard to case."""

    def test_only_the_first_level(self) -> None:
        """Keys are lowered at this level; the members of credentials keep their case."""
        folded = wire.fold({"DashBoardURL": 1, "Credentials": {"User": "A"}})
        self.assertEqual(folded, {"dashboardurl": 1, "credentials": {"User": "A"}})

    def test_two_keys_that_differ_by_case_alone(self) -> None:
        """Which of two such keys counts would be a guess, so both together are refused."""
        error = self.assertRaises(InvalidRequest, wire.fold, {"Name": 1, "NAME": 2})
        self.assertIn("'NAME'", error.description)
