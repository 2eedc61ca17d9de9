"""Searching a text for a regular expression by following all its possibilities at once (Thompson, 1968).

The work is at most the length of the text times the size of the pattern, and it is counted.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final

from attrs import define, field, frozen

from dockerbroker.errors import InvalidRequest

#: The most instructions that a pattern is made into.
MOST_INSTRUCTIONS: Final = 2000

_LAST_CODE: Final = 0x10FFFF


@frozen
class Characters:
    """One character out of a set; `ranges` of code points, both ends included, ascend and do not touch."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def one(cls, code: int) -> "Characters":
        """Return the set of one code point."""
        return cls(((code, code),))

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> "Characters":
        """Return the set of what is in any of the ranges."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    def negated(self) -> "Characters":
        """Return the set of all other code points."""
        borders = [(-1, -1), *self.ranges, (_LAST_CODE + 1, _LAST_CODE + 1)]
        gaps = ((before[1] + 1, after[0] - 1) for before, after in pairwise(borders))
        return Characters(tuple(gap for gap in gaps if gap[0] <= gap[1]))

    def has(self, code: int) -> bool:
        """Whether the code point is in the set."""
        index = bisect_right(self.ranges, (code, _LAST_CODE)) - 1
        return index >= 0 and self.ranges[index][1] >= code


@frozen
class Anchor:
    """Matches no character, but only at the start or at the end of the text."""

    at_start: bool


START: Final = Anchor(at_start=True)
END: Final = Anchor(at_start=False)


@frozen
class Sequence:
    """One part after the other."""

    parts: tuple["Node", ...]


@frozen
class Choice:
    """One of the branches."""

    branches: tuple["Node", ...]


@frozen
class Repeat:
    """The part as often as from `least` to `most` times; None is any number."""

    part: "Node"
    least: int
    most: int | None


Node = Characters | Anchor | Sequence | Choice | Repeat


@frozen
class Fork:
    """Goes on at each of these instructions."""

    targets: tuple[int, ...]


@frozen(eq=False)
class Automaton:
    """The instructions of a pattern; what is behind the last one is the end of a match."""

    instructions: tuple[Characters | Anchor | Fork, ...]

    def found(self, text: str, spend: Callable[[int], None]) -> bool:
        """Whether the pattern matches anywhere in the text.

        `spend` is told the steps of the work before each character, and may raise.
        """
        places: set[int] = set()
        for index in range(len(text) + 1):
            at_end = index == len(text)
            reached = self._reached(places | {0}, at_start=index == 0, at_end=at_end)
            spend(1 + len(reached))
            if len(self.instructions) in reached:
                return True
            if not at_end:
                places = self._after(reached, ord(text[index]))
        return False

    def _after(self, reached: Iterable[int], code: int) -> set[int]:
        found: set[int] = set()
        for place in reached:
            instruction = self.instructions[place]
            if isinstance(instruction, Characters) and instruction.has(code):
                found.add(place + 1)
        return found

    def _reached(self, places: Iterable[int], *, at_start: bool, at_end: bool) -> set[int]:
        """Return the places, and those that can be reached from them without reading a character."""
        reached: set[int] = set()
        waiting = list(places)
        while waiting:
            place = waiting.pop()
            if place in reached:
                continue
            reached.add(place)
            if place == len(self.instructions):
                continue
            instruction = self.instructions[place]
            if isinstance(instruction, Fork):
                waiting.extend(instruction.targets)
            elif isinstance(instruction, Anchor) and (at_start if instruction.at_start else at_end):
                waiting.append(place + 1)
        return reached


def compiled(node: Node) -> Automaton:
    """Return the automaton of a pattern; raises `InvalidRequest` when it would be too large."""
    compiler = _Compiler()
    compiler.emit(node)
    return Automaton(tuple(compiler.instructions))


@define(eq=False)
class _Compiler:
    instructions: list[Characters | Anchor | Fork] = field(factory=list)
    emitted: int = 0

    def emit(self, node: Node) -> None:
        # Nodes are counted as well: one that is empty and often repeated makes no instruction.
        self.emitted += 1
        if max(self.emitted, len(self.instructions)) > MOST_INSTRUCTIONS:
            raise InvalidRequest("is too large: it repeats too much")
        if isinstance(node, Sequence):
            for part in node.parts:
                self.emit(part)
        elif isinstance(node, Choice):
            self._choice(node)
        elif isinstance(node, Repeat):
            self._repeat(node)
        else:
            self.instructions.append(node)

    def _choice(self, node: Choice) -> None:
        fork = self._place()
        starts: list[int] = []
        ends: list[int] = []
        for branch in node.branches:
            starts.append(len(self.instructions))
            self.emit(branch)
            ends.append(self._place())
        self.instructions[fork] = Fork(tuple(starts))
        for end in ends:
            self.instructions[end] = Fork((len(self.instructions),))

    def _repeat(self, node: Repeat) -> None:
        for _ in range(node.least):
            self.emit(node.part)
        if node.most is None:
            fork = self._place()
            self.emit(node.part)
            self.instructions.append(Fork((fork,)))
            self.instructions[fork] = Fork((fork + 1, len(self.instructions)))
            return
        forks: list[int] = []
        for _ in range(node.most - node.least):
            forks.append(self._place())
            self.emit(node.part)
        for fork in forks:
            self.instructions[fork] = Fork((fork + 1, len(self.instructions)))

    def _place(self) -> int:
        """Return the index of an instruction that is filled in later."""
        self.instructions.append(Fork(()))
        return len(self.instructions) - 1
