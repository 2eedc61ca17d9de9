"""What is asked of a Redis server is answered in time, and no change is made twice."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from dockerbroker.persisters.redis.lanes import LIMIT
from tests.persisters.fake_redis import NO_SCRIPT, bulk
from tests.persisters.lanes_case import DONE, SCRIPTS, LanesTestCase


class AskingTests(LanesTestCase):
    """Scripts that are run at the first try."""

    def test_answer(self) -> None:
        """A script is asked by its digest, with the base of all keys and what is asked as JSON."""
        self.server.acts.append(bulk('["found","caf\u00e9"]'))
        call = self.begin("record", kind="instance", second=None, flags=[True, 2, 0.5])
        self.assertEqual(self.successResultOf(call), ["found", "caf\u00e9"])
        [[command, digest, keys, base, asked]] = self.server.scripts
        self.assertEqual(
            (command, digest, keys, base), ("EVALSHA", SCRIPTS["record"].digest, "1", "{dockerbroker}:")
        )
        self.assertEqual(json.loads(asked), {"kind": "instance", "second": False, "flags": ["1", "2", "0.5"]})

    def test_greeting(self) -> None:
        """A connection says who the broker is, and is used again."""
        for _ in range(3):
            self.successResultOf(self.begin())
        self.assertEqual([command[0] for command in self.server.commands], ["AUTH", "SELECT", "INFO", "TIME"])
        self.assertEqual(self.server.commands[:2], [["AUTH", "broker", "p4ss"], ["SELECT", "3"]])
        self.assertEqual(len(self.server.connections), 1)

    def test_unknown_script(self) -> None:
        """A server that does not know the script gets its text, with the same arguments."""
        self.server.acts.extend([NO_SCRIPT, DONE])
        self.assertEqual(self.successResultOf(self.begin()), ["done", "7"])
        first, second = self.server.scripts
        self.assertEqual(second[0], "EVAL")
        self.assertEqual("\n".join(second[1:2]), SCRIPTS["commit"].source)
        self.assertEqual(second[2:], first[2:])

    def test_change(self) -> None:
        """A change names its lane, its number there, and the server's time until which it may be made."""
        self.server.time = lambda: 5000.0
        self.successResultOf(self.begin())
        self.successResultOf(self.begin())
        first, second = self.server.scripts
        self.assertEqual(first[-3], second[-3])
        self.assertEqual((first[-2], second[-2]), ("1", "2"))
        self.assertAlmostEqual(float(first[-1]), 5000.5 + LIMIT, places=1)
        self.assertGreater(float(second[-1]), float(first[-1]))

    def test_no_text(self) -> None:
        """What is no text harms nothing else in the answer."""
        self.server.acts.append(b'$14\r\n["found","\xff"] \r\n')
        self.assertEqual(self.successResultOf(self.begin("record")), ["found", "\ufffd"])

    def test_absent(self) -> None:
        """A database that has lost everything is not begun anew."""
        self.server.acts.append(bulk('["absent"]'))
        self.unavailable(self.begin(), "has lost all its records")

    def test_close(self) -> None:
        """Closing ends all connections."""
        self.server.acts.extend([None, None])
        calls = [self.begin(), self.begin()]
        for connection in self.server.connections:
            connection.protocol.dataReceived(DONE)
        self.assertEqual(list(map(self.successResultOf, calls)), [["done", "7"]] * 2)
        closing = Deferred.fromCoroutine(self.lanes.close())
        self.turn()
        self.successResultOf(closing)
        self.assertEqual([one.disconnecting for one in self.server.connections], [True, True])
        self.assertEqual(self.server.clock.getDelayedCalls(), [])


class AgainTests(LanesTestCase):
    """Scripts that are run at a later try."""

    def test_lost(self) -> None:
        """A change whose connection was lost is sent again over another one, as the same change."""
        self.server.acts.extend([ConnectionLost, DONE])
        call = self.begin()
        self.wait(0.1)
        self.assertEqual(self.successResultOf(call), ["done", "7"])
        first, second = self.server.scripts
        self.assertEqual(self.lane_and_number(first), self.lane_and_number(second))
        self.assertEqual(first[4], second[4])
        self.assertEqual(len(self.server.connections), 2)

    def test_idle_connection_lost(self) -> None:
        """A connection that ended while nobody used it is not used again."""
        self.successResultOf(self.begin())
        self.server.connections[0].lose(ConnectionLost())
        self.turn()
        self.successResultOf(self.begin())
        self.assertEqual(len(self.server.scripts), 2)
        self.assertEqual(len(self.server.connections), 2)

    def test_lost_for_long(self) -> None:
        """When every connection is lost the call is given up in time."""
        self.server.acts.extend([ConnectionLost] * 1000)
        call = self.begin()
        self.wait(LIMIT - 1)
        self.assertNoResult(call)
        self.wait(1)
        self.unavailable(call, "cannot be reached")
        self.assertLess(len(self.server.scripts), 30)

    def test_refused_connection(self) -> None:
        """A server that does not listen yet is tried again."""
        self.server.refusing = 3
        call = self.begin()
        self.assertNoResult(call)
        self.wait(1)
        self.assertEqual(self.successResultOf(call), ["found"])

    def test_down(self) -> None:
        """A server that is down is told of in time."""
        self.server.refusing = 1000
        call = self.begin()
        self.wait(LIMIT)
        self.unavailable(call, "cannot be reached")

    def test_silent(self) -> None:
        """A server that does not answer is asked over another connection; the call is given up in time."""
        self.server.acts.extend([None] * 9)
        call = self.begin()
        self.wait(1.9)
        self.assertEqual(len(self.server.scripts), 1)
        self.wait(0.2)
        self.assertEqual(len(self.server.scripts), 2)
        self.assertTrue(self.server.connections[0].disconnecting)
        self.wait(LIMIT - 2.1)
        self.unavailable(call, "does not answer in time")

    def test_late_answer(self) -> None:
        """An answer that comes when it was given up is not taken for another one."""
        self.server.acts.extend([None, DONE])
        call = self.begin()
        self.wait(2.1)
        self.server.connections[0].protocol.dataReceived(bulk('["late one"]'))
        self.assertEqual(self.successResultOf(call), ["done", "7"])
        self.assertEqual(self.successResultOf(self.begin()), ["found"])

    def test_hanging_connection(self) -> None:
        """A connection that is not made in time is given up."""
        self.server.hangs = True
        call = self.begin()
        self.wait(LIMIT)
        self.unavailable(call, "does not answer in time")

    def test_loading(self) -> None:
        """A server that reads its data is asked again over the same connection."""
        self.server.acts.extend([b"-LOADING Redis is loading the dataset in memory\r\n", DONE])
        call = self.begin()
        self.wait(0.1)
        self.assertEqual(self.successResultOf(call), ["done", "7"])
        self.assertEqual(len(self.server.connections), 1)

    def test_replica(self) -> None:
        """A server that has become a replica is left: its name may be another server's by now."""
        self.server.acts.extend([b"-READONLY You can't write against a read only replica.\r\n", DONE])
        call = self.begin()
        self.wait(0.1)
        self.assertEqual(self.successResultOf(call), ["done", "7"])
        self.assertEqual(len(self.server.connections), 2)

    def test_connected_to_replica(self) -> None:
        """A replica is asked nothing, not even what could be read from it."""
        self.server.role = "slave"
        call = self.begin("record")
        self.wait(LIMIT)
        self.unavailable(call, "is a replica, which is read-only")
        self.assertEqual(self.server.scripts, [])

    def test_no_time_left(self) -> None:
        """What the server has said counts more than that there was no time to hear it once more."""
        refusals = b"-NOREPLICAS Not enough good replicas to write.\r\n"
        self.server.acts.extend([refusals] * 40)
        call = self.begin()
        self.wait(LIMIT - 0.9)
        self.server.acts.clear()
        self.server.acts.extend([None] * 9)
        self.wait(0.9)
        self.unavailable(call, "has too few replicas to write")

    def test_clock_set(self) -> None:
        """When the server's clock was set it tells, and the change is sent again with another time."""
        self.server.acts.extend([bulk('["late","9000.250000"]'), DONE])
        call = self.begin()
        self.wait(0.1)
        self.assertEqual(self.successResultOf(call), ["done", "7"])
        first, second = self.server.scripts
        self.assertEqual(self.lane_and_number(first), self.lane_and_number(second))
        self.assertAlmostEqual(float(second[-1]), 9000.25 + LIMIT, places=1)
