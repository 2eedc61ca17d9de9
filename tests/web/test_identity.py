"""Who caused a request."""

import json
from base64 import b64encode
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.web.identity import LONGEST_SHOWN, OriginatingIdentity, originating_identity, printable
from tests.model.values import objects, unhurried

PLATFORMS: Final = st.text(
    st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=64
)


def header(document: Any, platform: str = "cloudfoundry") -> bytes:
    """Return the header of an identity."""
    return platform.encode() + b" " + b64encode(json.dumps(document).encode())


#: What is no identity, in many ways.
JUNK: Final = (
    b"",
    b" ",
    b"cloudfoundry",
    b"cloudfoundry ",
    b" e30=",
    b"e30=",
    b"cloudfoundry e30",
    b"cloudfoundry e30==",
    b"cloudfoundry e30= ",
    b"cloudfoundry e30=\te30=",
    b"cloudfoundry e30= e30=",
    b"cloudfoundry !!!!",
    b"cloudfoundry e3_-",
    b"cloudfoundry {}",
    b"cloud\x00foundry e30=",
    b"cloudfoundr\xc3\xbf e30=",
    b"x" * 65 + b" e30=",
    b"cloudfoundry " + b64encode(b""),
    b"cloudfoundry " + b64encode(b"{"),
    b"cloudfoundry " + b64encode(b"{}{}"),
    b"cloudfoundry " + b64encode(b"[]"),
    b"cloudfoundry " + b64encode(b"null"),
    b"cloudfoundry " + b64encode(b'"x"'),
    b"cloudfoundry " + b64encode(b'{"user_id": NaN}'),
    b"cloudfoundry " + b64encode(b'{"user_id": "1", "user_id": "2"}'),
    b"cloudfoundry " + b64encode(b'{"user_id": "\\u0000"}'),
    b"cloudfoundry " + b64encode(b'{"a": "\xff"}'),
    b"cloudfoundry " + b64encode(b'{"a":' * 2000 + b"1" + b"}" * 2000),
    b"cloudfoundry " + b64encode(b"[" * 100_000),
    b"cloudfoundry " + b64encode(b'{"a": "' + b"x" * 1_000_000 + b'"}'),
)


class DecodeTests(SynchronousTestCase):
    """The header."""

    def test_none(self) -> None:
        """Without the header nobody caused the request."""
        self.assertIsNone(originating_identity([]))

    def test_users(self) -> None:
        """The user is who Cloud Foundry or Kubernetes names, by id where there is one."""
        for document, user in (
            ({"user_id": "683ea748", "x": 1}, "683ea748"),
            ({"username": "duke", "uid": "c2dde242", "groups": ["admin"], "extra": {}}, "c2dde242"),
            ({"username": "duke"}, "duke"),
            ({}, None),
            ({"user_id": ""}, None),
            ({"user_id": 1}, None),
            ({"user_id": None}, None),
        ):
            found = originating_identity([header(document)])
            self.assertEqual(found, OriginatingIdentity("cloudfoundry", user))

    def test_junk(self) -> None:
        """Any other form is refused, whatever its size, in one sentence that quotes nothing of it."""
        sentences = {
            self.assertRaises(InvalidRequest, originating_identity, [junk]).description for junk in JUNK
        }
        self.assertEqual(len(sentences), 1)
        self.assertIn("X-Broker-API-Originating-Identity", sentences.pop())

    def test_twice(self) -> None:
        """Two identities are none."""
        self.assertRaises(InvalidRequest, originating_identity, [header({}), header({})])

    @unhurried
    @given(PLATFORMS, objects)
    def test_any_identity(self, platform: str, document: dict[str, Any]) -> None:
        """Any platform and any object are an identity; what is shown of it is bounded and printable."""
        found = originating_identity([header(document, platform)])
        assert found is not None
        self.assertEqual(found.platform, platform)
        self.assertTrue(found.shown.isprintable())
        self.assertTrue(found.shown.startswith(platform))
        self.assertLessEqual(len(found.shown), LONGEST_SHOWN)

    @unhurried
    @given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda data: b"p " + b64encode(data)))
    def test_any_bytes(self, value: bytes) -> None:
        """Whatever the header holds, the outcome is an identity or a refusal."""
        try:
            self.assertIsInstance(originating_identity([value]), OriginatingIdentity)
        except InvalidRequest as error:
            self.assertTrue(error.description)


class ShownTests(SynchronousTestCase):
    """What is written into the log."""

    def test_identity(self) -> None:
        """Platform and user are shown, and no other member."""
        identity = originating_identity([header({"user_id": "u-1", "email": "a@example.com"})])
        self.assertEqual(identity and identity.shown, "cloudfoundry u-1")
        identity = originating_identity([header({"email": "a@example.com"})])
        self.assertEqual(identity and identity.shown, "cloudfoundry")

    @unhurried
    @given(st.text(max_size=300))
    @example("a\r\nb\x1b[31m\u2028\u202e\ud800")
    @example("x" * 10_000)
    def test_printable(self, text: str) -> None:
        """Line ends, escapes and what turns text around become question marks; the rest stays."""
        shown = printable(text)
        self.assertTrue(shown.isprintable())
        self.assertEqual(len(shown), min(len(text), LONGEST_SHOWN))
        self.assertTrue(all(new in {old, "?"} for new, old in zip(shown, text, strict=False)))
