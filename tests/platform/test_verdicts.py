"""The model's verdicts are those that were measured of Cloud Controller, cell by cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.platform.verdicts import Call, Lost, Reply, judge

_TEXT: Final = Path(__file__).with_name("matrix.md").read_text("utf-8")
_REQUIRES_ALL: Final = frozenset({"syslog_drain", "route_forwarding", "volume_mount"})
_ANSWER: Final = re.compile(r"(?:(?P<status>\d{3}) `(?P<body>.*)`|(?P<lost>timeout|refused))\Z")
_LONE: Final = re.compile(r"- (?P<call>bind) (?P<answer>.*) -> (?P<outcome>.*)\Z")


@frozen
class Cell:
    """One measured outcome."""

    call: Call
    answer: str
    outcome: str
    requires: frozenset[str] = frozenset()


def cells() -> Iterator[Cell]:
    """Return every measured outcome of the text."""
    calls: list[Call] = []
    for line in _TEXT.splitlines():
        columns = [column.strip() for column in line.strip("|").split(" | ")]
        if line.startswith("| broker answer"):
            calls = [Call(column) for column in columns[1:]]
        elif line.startswith(("| call", "| ---")):
            calls = calls if line.startswith("| ---") else []
        elif line.startswith("|") and calls:
            yield from (Cell(call, columns[0], text) for call, text in zip(calls, columns[1:], strict=True))
        elif line.startswith("|"):
            yield Cell(Call(columns[0]), columns[1], columns[2])
        elif lone := _LONE.match(line):
            yield Cell(Call(lone["call"]), lone["answer"], lone["outcome"], _REQUIRES_ALL)


def answer_of(text: str) -> Reply | Lost:
    """Return the answer that a cell describes."""
    match = _ANSWER.match(text)
    assert match is not None, text
    if match["lost"]:
        return Lost(match["lost"])
    described = {"(empty)": "", '{"operation": 10001 chars}': '{"operation":"%s"}' % ("o" * 10001)}
    body = described.get(match["body"], match["body"])
    return Reply(status=int(match["status"]), body=body.encode())


class VerdictTests(SynchronousTestCase):
    """`judge` against the text."""

    def test_every_cell(self) -> None:
        """Each measured answer of a broker means to the model what it means to Cloud Controller."""
        different = []
        for cell in cells():
            verdict = judge(cell.call, answer_of(cell.answer), cell.requires)
            said = verdict.state if verdict.error is None else f"**{verdict.error}**"
            said += " +OM" if verdict.mitigates else ""
            if said != cell.outcome:
                different.append(f"{cell.call.value}: {cell.answer}: {said}, measured {cell.outcome}")
        self.assertEqual(different, [])

    def test_number_of_cells(self) -> None:
        """No row of the text is left out."""
        self.assertEqual(len(list(cells())), 35 * 12 + 39 + 7)

    def test_dropped(self) -> None:
        """A connection that is dropped is an error of its own, and begins no orphan mitigation."""
        verdict = judge(Call.PROVISION, Lost.DROPPED)
        self.assertEqual((verdict.error, verdict.mitigates), ("HttpRequestError", False))
        self.assertEqual(judge(Call.POLL_BINDING, Lost.DROPPED).state, "in progress")

    def test_description(self) -> None:
        """The user reads the broker's description, and without one what the broker sent."""
        described = judge(Call.BIND, Reply(status=500, body=b'{"description":"No room."}'))
        self.assertEqual(described.description, "Service broker error: No room.")
        bare = judge(Call.BIND, Reply(status=500, body=b"oh"))
        self.assertEqual(bare.description, "The service broker answered 500: oh")

    def test_secrets(self) -> None:
        """What a bind gives does not print."""
        verdict = judge(Call.BIND, Reply(status=201, body=b'{"credentials":{"password":"canary"}}'))
        self.assertEqual(verdict.document["credentials"], {"password": "canary"})
        self.assertNotIn("canary", repr(verdict))
