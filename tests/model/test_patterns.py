"""Patterns that are matched in linear time: what they find, what is refused, and what they cost."""

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.patterns import read_pattern
from tests.model.values import unhurried

_ATOMS = st.sampled_from(
    ["a", "b", "-", ".", r"\d", r"\W", "[ab]", "[^a]", "[a-c1-]", r"\.", r"[\d_]", "^", "$"]
)
_COUNTS = st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "+?"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    groups = inner.map("(?:{})".format) | inner.map("({})".format)
    return (
        st.tuples(groups, _COUNTS).map("".join)
        | st.lists(inner, max_size=4).map("".join)
        | st.tuples(groups, groups).map("|".join)
    )


patterns = st.recursive(_ATOMS, _larger, max_leaves=8)
texts = st.text("ab1-_.\n", max_size=8)


def found(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text."""
    return read_pattern(pattern).found(text, lambda _: None)


class PatternTests(SynchronousTestCase):
    """Patterns and texts."""

    @unhurried
    @given(patterns, texts)
    def test_same_as_backtracking(self, pattern: str, text: str) -> None:
        """What is found is what Python finds, whose `$` also matches before a last line feed."""
        theirs = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
        self.assertEqual(found(pattern, text), theirs.search(text) is not None)

    def test_usual_patterns(self) -> None:
        """Patterns as schemas have them match what they should, and nothing else."""
        cases = (
            (r"^[a-z0-9]+(-[a-z0-9]+)*$", "a-b9", "a--b"),
            (r"^([a-z0-9]+\.)+[a-z]{2,}$", "db.example", "db."),
            (r"^(\d{1,3}\.){3}\d{1,3}$", "10.0.0.1", "10.0.0"),
            (r"^\x41\u0042\/$", "AB/", "ab/"),
            ("^[^\\]\\-a]$", "b", "-"),
            ("^(|x)$", "", "xx"),
            ("^a{b$", "a{b", "ab"),
            (r"^\S+\s\S+$", "a b", "a\u00a0"),
            ("[\\b\\x20-]", "-", "b"),
        )
        for pattern, good, bad in cases:
            self.assertTrue(found(pattern, good), pattern)
            self.assertFalse(found(pattern, bad), pattern)

    def test_refused(self) -> None:
        """What needs backtracking, is wrong, or would be too large is refused with a sentence."""
        for pattern in (
            r"(a)\1",
            "(?=a)",
            "(?<!a)b",
            "(?P<n>a)",
            "(?i)a",
            r"\bword\b",
            r"\p{L}",
            r"\Aa\Z",
            "*a",
            "a**",
            "a+{2}",
            "^*",
            "{2}",
            "(a",
            "a)",
            "[a",
            "[]",
            "[b-a]",
            r"[\d-x]",
            r"\x4",
            "\\",
            "a{2,1}",
            "a{1001}",
            "((a{100}){100}){100}",
            "(((){1000}){1000}){1000}",
            "(" * 33 + ")" * 33,
            "a" * 1001,
        ):
            error = self.assertRaises(InvalidRequest, read_pattern, pattern)
            self.assertTrue(error.description)

    def test_linear(self) -> None:
        """A pattern that backtracking never ends with takes steps in proportion to the text."""
        for pattern in ("^(a+)+$", "(a|a)*b", "(a*)*c", "a*a*a*a*b"):
            steps: list[int] = []
            for length in (1000, 2000):
                spent: list[int] = []
                self.assertFalse(read_pattern(pattern).found("a" * length + "!", spent.append))
                steps.append(sum(spent))
            self.assertLess(steps[1], 2.1 * steps[0])
