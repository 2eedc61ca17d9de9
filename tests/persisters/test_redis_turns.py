"""Calls of a Redis server that are refused, that wait for their turn, and that are given up."""

from __future__ import annotations

import json
import traceback
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred

from dockerbroker.errors import Unavailable
from dockerbroker.persisters.redis.lanes import LIMIT, Lanes
from tests.persisters.fake_redis import FakeLine
from tests.persisters.lanes_case import CONFIGURATION, DONE, SCRIPTS, LanesTestCase


class RefusalTests(LanesTestCase):
    """Scripts that the server does not run."""

    def refused(self, error: str, words: str) -> None:
        """Check that the error is told of at once, and that the next call goes on over the connection."""
        self.server.acts.append(f"-{error}\r\n".encode())
        self.unavailable(self.begin(), words)
        self.successResultOf(self.begin())
        self.assertEqual(len(self.server.connections), 1)

    def test_memory(self) -> None:
        """A server without memory."""
        self.refused("OOM command not allowed when used memory > 'maxmemory'.", "has no memory left")

    def test_memory_inside(self) -> None:
        """The same, as older servers tell it of a script."""
        self.refused(
            "ERR Error running script (call to f_0123): @user_script:12: @user_script: 12: -OOM command not "
            "allowed when used memory > 'maxmemory'.",
            "has no memory left",
        )

    def test_disk(self) -> None:
        """A server that cannot write."""
        self.refused("MISCONF Errors writing to the AOF file: No space left", "cannot write to its disk")

    def test_rights(self) -> None:
        """A user who has lost a right."""
        self.refused(
            "NOPERM this user has no permissions to run the 'zadd' command",
            "does not give the user enough rights",
        )

    def test_other(self) -> None:
        """An error that nobody expects."""
        self.refused("ERR something", "does not answer as expected")

    def test_secrets(self) -> None:
        """What a server repeats of what it was asked goes no further."""
        self.server.greeting = b"-ERR unknown command 'AUTH', with args beginning with: 'broker' 'p4ss' \r\n"
        error = self.failureResultOf(self.begin(), Unavailable).value
        told = "".join(traceback.format_exception(error))
        self.assertIn("unknown command 'AUTH'", told)
        self.assertNotIn("p4ss", told)

    def test_password(self) -> None:
        """A password that is wrong by now, until it is right again."""
        self.server.greeting = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        self.unavailable(self.begin(), "refuses the user or the password")
        self.server.greeting = None
        self.assertEqual(self.successResultOf(self.begin()), ["found"])


class TurnTests(LanesTestCase):
    """More calls than lanes."""

    def occupy(self) -> list[Deferred[list[Any]]]:
        """Return calls that occupy both lanes."""
        self.server.acts.extend([None, None])
        return [self.begin(), self.begin()]

    def answer(self, number: int) -> None:
        """Let the server answer over that connection."""
        self.server.connections[number].protocol.dataReceived(DONE)
        self.turn()

    def test_in_order(self) -> None:
        """Calls wait for their turn, in order."""
        self.occupy()
        third, fourth = self.begin("record", order=3), self.begin("record", order=4)
        self.assertEqual(len(self.server.scripts), 2)
        self.answer(1)
        self.successResultOf(third)
        self.successResultOf(fourth)
        orders = [json.loads(script[4]).get("order") for script in self.server.scripts]
        self.assertEqual(orders, [None, None, "3", "4"])

    def test_lanes(self) -> None:
        """Changes that are made at once have lanes of their own."""
        self.occupy()
        first, second = self.server.scripts
        self.assertNotEqual(first[-3], second[-3])

    def test_crowded(self) -> None:
        """A call that does not get its turn is refused in time; no turn is lost by it."""
        self.lanes = Lanes(FakeLine(self.server), evolve(CONFIGURATION, answer_within=10.0))
        self.server.acts.extend([None, None])
        calls = [Deferred.fromCoroutine(self.lanes.call(SCRIPTS["commit"], {})) for _ in range(4)]
        self.wait(LIMIT + 0.1)
        for call, words in zip(calls, ["does not answer in time"] * 2 + ["is busy"] * 2, strict=True):
            self.unavailable(call, words)
        self.assertEqual(self.successResultOf(self.begin()), ["found"])

    def test_cancelled(self) -> None:
        """A call that its caller has given up gives its turn back, and its connection is not used again."""
        calls = self.occupy()
        waiting = self.begin()
        for call in (waiting, calls[0]):
            call.cancel()
            self.failureResultOf(call, CancelledError)
        self.turn()
        self.assertTrue(self.server.connections[0].disconnecting)
        self.assertEqual(self.successResultOf(self.begin()), ["found"])
        self.assertEqual(len(self.server.connections), 3)

    def test_cancelled_early(self) -> None:
        """So does one that was still connecting, and one that was about to be tried again."""
        self.server.hangs = True
        connecting = self.begin()
        self.server.hangs, self.server.refusing = False, 1
        trying = Deferred.fromCoroutine(self.lanes.call(SCRIPTS["commit"], {}))
        for call in (connecting, trying):
            call.cancel()
            self.failureResultOf(call, CancelledError)
        self.turn()
        self.assertEqual(self.server.clock.getDelayedCalls(), [])
        for _ in range(3):
            self.assertEqual(self.successResultOf(self.begin()), ["found"])
