"""What the output and the exit status of an executable mean."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import ExecutableFailed
from dockerbroker.model.executables import (
    DESCRIPTION_LIMIT,
    STDERR_TAIL,
    Action,
    ExecutionResult,
    answer,
    dashboard_of,
    last_line,
)
from tests.model.values import objects, unhurried

NOTHING: frozenset[str] = frozenset()


def result(stdout: bytes = b"", stderr: bytes = b"", exit_code: int = 0) -> ExecutionResult:
    """Return how a run ended."""
    return ExecutionResult(exit_code=exit_code, stdout=stdout, stderr_tail=stderr)


class AnswerTests(SynchronousTestCase):
    """Standard output: nothing, or exactly one JSON object."""

    def failed(self, ended: ExecutionResult, hidden: frozenset[str] = NOTHING) -> str:
        """Return the description of the failure that the result must be."""
        description: str = self.assertRaises(ExecutableFailed, answer, Action.BIND, ended, hidden).description
        return description

    def test_nothing(self) -> None:
        """No output, or only blank lines, is an empty object."""
        for stdout in (b"", b"\n", b" \r\n\t\n"):
            self.assertEqual(answer(Action.BIND, result(stdout), NOTHING), {})

    @unhurried
    @given(objects, st.sampled_from([None, 2]))
    def test_one_object(self, printed: dict[str, Any], indent: int | None) -> None:
        """One object is the answer, on one line or on several."""
        stdout = json.dumps(printed, indent=indent).encode() + b"\n"
        self.assertEqual(answer(Action.BIND, result(stdout), NOTHING), printed)

    def test_anything_else(self) -> None:
        """Garbage, two objects, an array, or text beside the object are failures that name the executable."""
        for stdout in (
            b"garbage",
            b"{} {}",
            b'{"a": 1}\n{"b": 2}',
            b"[]",
            b"null",
            b'"text"',
            b"Starting\n{}",
            b"{}\ndone",
            b"\xff",
            b'{"a": NaN}',
            b'{"a": 1, "a": 2}',
            b"[" * 10_000,
        ):
            self.assertIn("/bind of the service image printed something", self.failed(result(stdout)))

    @unhurried
    @given(st.binary(max_size=30))
    def test_any_output(self, stdout: bytes) -> None:
        """Whatever is printed, the outcome is an object or a clear failure."""
        try:
            self.assertIsInstance(answer(Action.BIND, result(stdout), NOTHING), dict)
        except ExecutableFailed as error:
            self.assertIn("one JSON object", error.description)

    def test_standard_error_is_a_log(self) -> None:
        """What is printed on standard error does not matter when the exit status is 0."""
        self.assertEqual(answer(Action.BIND, result(b"{}", b"warning: all is well\n"), NOTHING), {})

    def test_exit_status(self) -> None:
        """Any other exit status is a failure, whatever was printed, told with the last line of the log."""
        for code in (1, 2, 126, 137, 255):
            description = self.failed(result(b"{}", b"first\nno space left\n\n", code))
            expected = f"/bind of the service image failed with exit status {code}: no space left"
            self.assertEqual(description, expected)
        self.assertTrue(self.failed(result(exit_code=1)).endswith("failed with exit status 1."))

    def test_secrets_are_redacted(self) -> None:
        """A secret that the executable quotes is not shown, nor is one in the garbage that it prints."""
        hidden = frozenset({"swordfish"})
        self.assertIn(
            "bad password [redacted]", self.failed(result(b"", b"bad password swordfish", 1), hidden)
        )
        twice = b'{"swordfish": 1, "swordfish": 2}'
        self.assertNotIn("swordfish", self.failed(result(twice), hidden))

    def test_secrets_with_control_characters(self) -> None:
        """A secret is found although it holds characters that are not shown."""
        hidden = frozenset({"sword\tfish\x1b"})
        self.assertNotIn("fish", self.failed(result(b"", b"bad sword\tfish\x1b", 1), hidden))

    def test_length(self) -> None:
        """The description has at most 1 KiB, in whole characters."""
        for line in (b"x" * STDERR_TAIL, "€".encode() * 1300, b"a\n" + b"y" * 2000):
            description = self.failed(result(b"", line, 1))
            self.assertLessEqual(len(description.encode()), DESCRIPTION_LIMIT)
            self.assertNotIn("\ufffd", description)

    def test_half_of_a_secret_at_the_beginning_of_the_tail(self) -> None:
        """A line that has lost its beginning does not show the half of a secret that it begins with."""
        cut = b"fish-and-chips " + b"x" * (STDERR_TAIL - 15)
        self.assertNotIn("fish", self.failed(result(b"", cut, 1), frozenset({"swordfish-and-chips"})))

    def test_control_characters(self) -> None:
        """Nothing that a terminal would act on is shown."""
        description = self.failed(result(b"", b"\x1b[31mred\x07\r\n", 1))
        self.assertTrue(description.isprintable())

    @unhurried
    @given(st.binary(max_size=60))
    def test_last_line_of_anything(self, text: bytes) -> None:
        """Whatever the log holds, its last line can be shown."""
        line = last_line(text)
        self.assertTrue(line.isprintable())


class DashboardTests(SynchronousTestCase):
    """What `/provision` or `/update` printed."""

    def test_dashboard(self) -> None:
        """A dashboard URL is taken over; an absent, null or empty one is none."""
        self.assertEqual(dashboard_of(Action.PROVISION, {"dashboard_url": "http://x"}), "http://x")
        printed: dict[str, Any]
        for printed in ({}, {"dashboard_url": None}, {"dashboard_url": ""}):
            self.assertIsNone(dashboard_of(Action.PROVISION, printed))

    def test_no_text(self) -> None:
        """A dashboard URL that is no text is a failure of the executable that printed it."""
        for action in (Action.PROVISION, Action.UPDATE):
            error = self.assertRaises(ExecutableFailed, dashboard_of, action, {"dashboard_url": 1})
            assert isinstance(error, ExecutableFailed)
            self.assertIn(action.path, error.description)
