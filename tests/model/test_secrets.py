"""Values that do not print themselves, and texts from which secrets are taken out."""

import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.secrets import Secret, redact, texts
from tests.model.values import binding, documents, instance, unhurried

CANARY = "canary-8d1f0c"


class SecretTests(SynchronousTestCase):
    """The holder of a secret."""

    def test_not_printed(self) -> None:
        """No way of printing a value that holds a secret shows it."""
        holders = (
            Secret(CANARY),
            [Secret({"a": CANARY})],
            instance(parameters=Secret({"a": CANARY}), provisioned=Secret({"a": CANARY})),
            binding(document=Secret({"credentials": CANARY})),
        )
        for holder in holders:
            for text in (repr(holder), str(holder), f"{holder}", f"{holder!r:>9}"):
                self.assertNotIn(CANARY, text)

    def test_not_in_a_traceback(self) -> None:
        """The failure of a comparison of secrets does not show them."""
        try:
            assert Secret(CANARY) == Secret("other"), (Secret(CANARY), Secret("other"))
        except AssertionError:
            self.assertNotIn(CANARY, Failure().getTraceback())

    def test_not_pickled(self) -> None:
        """A secret does not leave the process by pickling."""
        self.assertRaises(TypeError, pickle.dumps, Secret(CANARY))

    def test_equality(self) -> None:
        """Two secrets are equal when their values are."""
        self.assertEqual(Secret({"a": 1}), Secret({"a": 1}))
        self.assertNotEqual(Secret({"a": 1}), Secret({"a": 2}))
        self.assertEqual(Secret(CANARY).reveal(), CANARY)


class RedactTests(SynchronousTestCase):
    """Texts without secrets."""

    @unhurried
    @given(documents, st.text(max_size=5), st.text(max_size=5))
    def test_no_secret_is_left(self, document: Any, before: str, after: str) -> None:
        """A text that quotes any string of the document does not show that string."""
        hidden = texts(document)
        for secret in hidden:
            shown = redact(f"{before}{secret}{after}", hidden)
            self.assertNotIn(secret, shown.replace("[redacted]", "|"))

    def test_depth(self) -> None:
        """Strings are found however deep they are, and keys are not secrets."""
        self.assertEqual(texts({"username": [{"b": ["secret1", 1]}], "c": "secret2"}), {"secret1", "secret2"})

    def test_short_strings(self) -> None:
        """Strings that occur in ordinary text are not hidden, or nothing of a message would be left."""
        self.assertEqual(texts({"a": "true", "b": "utf8", "c": ""}), frozenset())

    def test_lines(self) -> None:
        """Of a text of several lines each is a secret too."""
        key = "-----BEGIN-----\nAAAABBBB\n-----END-----"
        hidden = texts([key])
        self.assertEqual(redact(f"bad key: {key}", hidden), "bad key: [redacted]")
        self.assertEqual(redact("line 2: AAAABBBB", hidden), "line 2: [redacted]")

    def test_one_within_another(self) -> None:
        """A secret that contains another one is hidden as a whole."""
        self.assertEqual(redact("swordfish-2", frozenset({"swordfish", "swordfish-2"})), "[redacted]")
