r"""Regular expressions whose matching takes linear time, whatever the text.

The patterns of JSON schemas are those of ECMA 262. What cannot be matched without backtracking (back
references, looking ahead and behind) is refused, and so are groups with names, `\b`, and `\p`.
"""

import re
import string
from collections.abc import Callable
from typing import Final

from attrs import define, field

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.matching import (
    END,
    START,
    Automaton,
    Characters,
    Choice,
    Node,
    Repeat,
    Sequence,
    compiled,
)

#: Patterns are no longer than this, and their groups not nested deeper.
LONGEST_PATTERN: Final = 1000
DEEPEST_GROUP: Final = 32
#: The largest number that may stand in `{}`.
MOST_REPEATS: Final = 1000

_COUNTS: Final = re.compile(r"\{(\d{1,9})(?:(,)(\d{1,9})?)?\}", re.ASCII)
_SIMPLE: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_SPACES: Final = ((9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029))
_CLASSES: Final = {
    "d": Characters.of([(48, 57)]),
    "w": Characters.of([(48, 57), (65, 90), (95, 95), (97, 122)]),
    "s": Characters.of([*_SPACES, (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)]),
}
_ANY: Final = Characters.of([(10, 10), (13, 13), (0x2028, 0x2029)]).negated()


def read_pattern(text: str) -> Automaton:
    """Return what searches for the pattern; raises `InvalidRequest` when it is wrong or not linear."""
    if len(text) > LONGEST_PATTERN:
        raise InvalidRequest(f"has more than {LONGEST_PATTERN} characters")
    return compiled(_Parser(text).whole())


@define(eq=False)
class _Parser:
    text: str
    at: int = field(default=0, init=False)
    depth: int = field(default=0, init=False)

    def whole(self) -> Node:
        node = self.choice()
        if self.at < len(self.text):
            raise self.wrong("a closing parenthesis has no opening one")
        return node

    def wrong(self, sentence: str) -> InvalidRequest:
        return InvalidRequest(f"{sentence}, at character {self.at + 1}")

    def ahead(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def takes(self, token: str) -> bool:
        if self.ahead(len(token)) != token:
            return False
        self.at += len(token)
        return True

    def choice(self) -> Node:
        branches = [self.sequence()]
        while self.takes("|"):
            branches.append(self.sequence())
        return Choice(tuple(branches)) if len(branches) > 1 else branches[0]

    def sequence(self) -> Node:
        parts: list[Node] = []
        while self.ahead() not in {"", "|", ")"}:
            parts.append(self.repeated())
        return Sequence(tuple(parts))

    def repeated(self) -> Node:
        atom = self.atom()
        if (bounds := self.bounds()) is None:
            return atom
        if atom in {START, END}:
            raise self.wrong("an anchor is repeated")
        self.takes("?")  # lazy or greedy: what is found is the same
        if self.ahead() in {"*", "+", "?"} or _COUNTS.match(self.text, self.at):
            raise self.wrong("a repetition is repeated")
        return Repeat(atom, *bounds)

    def bounds(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if (found := simple.get(self.ahead())) is not None:
            self.at += 1
            return found
        if (counts := _COUNTS.match(self.text, self.at)) is None:
            return None
        least = int(counts[1])
        most = (int(counts[3]) if counts[3] else None) if counts[2] else least
        if least > MOST_REPEATS or (most is not None and not least <= most <= MOST_REPEATS):
            raise self.wrong(f"numbers of repetitions go up to {MOST_REPEATS} and ascend")
        self.at = counts.end()
        return least, most

    def atom(self) -> Node:
        character = self.ahead()
        known: dict[str, Callable[[], Node]] = {"(": self.group, "[": self.characters, "\\": self.escape}
        if character in known:
            self.at += 1
            return known[character]()
        if character in {"*", "+", "?"} or _COUNTS.match(self.text, self.at):
            raise self.wrong("there is nothing to repeat")
        self.at += 1
        special: dict[str, Node] = {"^": START, "$": END, ".": _ANY}
        return special.get(character) or Characters.one(ord(character))

    def group(self) -> Node:
        if not self.takes("?:") and self.ahead() == "?":
            raise self.wrong("groups that look ahead or behind, have names or set flags are refused")
        self.depth += 1
        if self.depth > DEEPEST_GROUP:
            raise self.wrong(f"groups are nested deeper than {DEEPEST_GROUP}")
        node = self.choice()
        if not self.takes(")"):
            raise self.wrong("a parenthesis is not closed")
        self.depth -= 1
        return node

    def escape(self) -> Characters:
        character = self.ahead()
        self.at += 1
        if character and character.lower() in _CLASSES:
            found = _CLASSES[character.lower()]
            return found if character.islower() else found.negated()
        return Characters.one(self.code(character))

    def code(self, character: str) -> int:
        """Return the code point that the escaped character stands for."""
        if character in {"x", "u"}:
            length = 2 if character == "x" else 4
            digits = self.ahead(length)
            if len(digits) != length or not set(digits) <= set(string.hexdigits):
                raise self.wrong(f"\\{character} is not followed by {length} hexadecimal digits")
            self.at += length
            return int(digits, 16)
        if character in _SIMPLE and not (character == "0" and self.ahead().isdigit()):
            return _SIMPLE[character]
        if not character or character.isalnum():
            raise self.wrong(f"\\{character} is refused or unknown")
        return ord(character)

    def characters(self) -> Characters:
        negated = self.takes("^")
        ranges: list[tuple[int, int]] = []
        if self.ahead() == "]":
            raise self.wrong("a set of characters is empty")
        while not self.takes("]"):
            first = self.member()
            if self.ahead() == "-" and self.ahead(2) not in {"-]", "-"}:
                self.at += 1
                ranges.append(self.span(first, self.member()))
            else:
                ranges.extend(first.ranges)
        found = Characters.of(ranges)
        return found.negated() if negated else found

    def span(self, first: Characters, last: Characters) -> tuple[int, int]:
        for end in (first, last):
            if len(end.ranges) != 1 or end.ranges[0][0] != end.ranges[0][1]:
                raise self.wrong("a range does not go from one character to another")
        low, high = first.ranges[0][0], last.ranges[0][0]
        if low > high:
            raise self.wrong("a range goes from a character to an earlier one")
        return low, high

    def member(self) -> Characters:
        character = self.ahead()
        if not character:
            raise self.wrong("a set of characters is not closed")
        self.at += 1
        if character != "\\":
            return Characters.one(ord(character))
        return Characters.one(8) if self.takes("b") else self.escape()
