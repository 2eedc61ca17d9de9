"""Who may connect when too many do."""

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.web.guard import TELL_AGAIN
from dockerbroker.web.peers import peer_of
from tests.web.recording import Line, Recorder, recording_site

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"PUT /v2/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"


class PeerTests(SynchronousTestCase):
    """Whose an address is."""

    def test_addresses(self) -> None:
        """An IPv4 address is its own, however it is written; an IPv6 host has a network; sockets are one."""
        found: list[tuple[IAddress | None, str]] = [
            (IPv4Address("TCP", "192.0.2.1", 1), "192.0.2.1"),
            (IPv4Address("TCP", "127.0.0.1", 2), "127.0.0.1"),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 1), "192.0.2.1"),
            (IPv6Address("TCP", "2001:db8::1", 1), "2001:db8::/64"),
            (IPv6Address("TCP", "2001:db8::ffff:ffff:ffff:ffff", 1), "2001:db8::/64"),
            (IPv6Address("TCP", "2001:db8:0:1::1", 1), "2001:db8:0:1::/64"),
            (IPv6Address("TCP", "fe80::1%eth0", 1), "fe80::/64"),
            (UNIXAddress(None), ""),
            (None, ""),
        ]
        for address, peer in found:
            self.assertEqual(peer_of(address), peer)


class LimitTests(SynchronousTestCase):
    """One address may have three connections, and all may have five."""

    def setUp(self) -> None:
        """Make the site."""
        self.site = recording_site(per_peer=3, in_all=5)

    def connect(self, count: int, address: str = "192.0.2.1") -> list[Line]:
        """Connect so often."""
        return [Line(self.site, address) for _ in range(count)]

    def assert_left(self, lines: list[Line], left: list[bool]) -> None:
        """Those of the connections are left."""
        self.assertEqual([not line.wire.aborted for line in lines], left)

    def test_oldest_goes(self) -> None:
        """Of connections that ask nothing the oldest makes room for a new one, which is served."""
        lines = self.connect(4)
        self.assert_left(lines, [False, True, True, True])
        lines[3].send(GET)
        self.assertEqual([reply.status for reply in lines[3].replies], [200])

    def test_a_flood(self) -> None:
        """Whoever fills the table with idle connections keeps nobody out, of its own address neither."""
        flood = self.connect(500)
        self.assertEqual(sum(not line.wire.aborted for line in flood), 3)
        (good,) = self.connect(1)
        (other,) = self.connect(1, "192.0.2.2")
        for line in (good, other):
            line.send(GET)
            self.assertEqual([reply.status for reply in line.replies], [200])
        self.assertEqual(self.site.peers.everybody.size, 4)

    def test_who_asked_before(self) -> None:
        """Those that never asked go before those that are kept, and these before those whose body comes."""
        reading, kept, fresh = lines = self.connect(3)
        reading.send(BODY)
        kept.send(GET)
        for left in ([True, True, False], [True, False, False], [False, False, False]):
            self.connect(1)[0].send(SLOW)
            self.assert_left(lines, left)
        self.assertFalse(fresh.replies)

    def test_least_recently_used(self) -> None:
        """Of those that are kept, that goes which was used least recently."""
        lines = self.connect(3)
        for number in (0, 1, 2, 0):
            lines[number].send(GET)
        self.connect(1)
        self.assert_left(lines, [True, False, True])

    def test_all_busy(self) -> None:
        """While all that there may be are being worked on, a new one is turned away, and later it is not."""
        lines = self.connect(3)
        for line in lines:
            line.send(SLOW)
        (late,) = self.connect(1)
        self.assertIsNone(late.channel)
        self.assert_left(lines, [True, True, True])
        recorder = self.site.resource
        assert isinstance(recorder, Recorder)
        recorder.let_go()
        self.assertIsNotNone(self.connect(1)[0].channel)

    def test_in_all(self) -> None:
        """So it is with all connections together."""
        lines = [*self.connect(3), *self.connect(2, "192.0.2.2")]
        (newest,) = self.connect(1, "192.0.2.3")
        self.assert_left(lines, [False, True, True, True, True])
        for line in (*lines[1:], newest):
            line.send(SLOW)
        self.assertIsNone(Line(self.site, "192.0.2.4").channel)

    def test_nothing_is_remembered(self) -> None:
        """Of those who have gone nothing is left, whoever ended it."""
        for number in range(200):
            line = Line(self.site, f"192.0.2.{number}")
            if number % 2:
                line.end()
        self.assertEqual(self.site.peers.everybody.size, len(self.site.peers.names))
        self.assertLessEqual(len(self.site.peers.names), 5)

    def test_log(self) -> None:
        """The log says once in a while that there are too many."""
        clock = self.site.reactor
        assert isinstance(clock, Clock)
        with capturedLogs() as events:
            self.connect(100)
            clock.advance(TELL_AGAIN - 1)
            self.connect(100)
            clock.advance(1)
            self.connect(100)
        lines = [formatEvent(event) for event in events]
        self.assertEqual(len(lines), 2)
        self.assertIn("too many connections, 3 in all; the newest is from '192.0.2.1'", str(lines[0]))
