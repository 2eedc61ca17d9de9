"""Time on a connection: how long clients may take, and how long a handler may."""

import json
from typing import Final, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.web.bodies import LARGEST_SUM, LEAST_IN_WINDOW, MOST_CHUNKS, WINDOW
from dockerbroker.web.channel import HEAD_WITHIN, KEPT_FOR, LARGEST_DISCARD, TAKEN_WITHIN
from dockerbroker.web.guard import GuardedRequest, GuardedSite
from tests.web.recording import Line, Recorder, Seen, recording_site

GET: Final = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW: Final = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
PUT: Final = b"PUT /v2/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED: Final = b"PUT /v2/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_JSON: Final = b"\r\nContent-Type: application/json\r\n\r\n"


class ChannelCase(SynchronousTestCase):
    """A site on a clock, and a connection to it."""

    def setUp(self) -> None:
        """Make the site, and connect."""
        self.use(recording_site())

    def use(self, site: GuardedSite) -> None:
        """Connect to that site."""
        clock, recorder = site.reactor, site.resource
        assert isinstance(clock, Clock)
        assert isinstance(recorder, Recorder)
        self.site, self.clock, self.recorder = site, clock, recorder
        self.line = Line(site)

    def statuses(self) -> list[int]:
        """Return the statuses of the answers."""
        return [reply.status for reply in self.line.replies]

    def assert_ended(self, *statuses: int) -> None:
        """The connection has ended with these answers, the last of which, if it is a refusal, is JSON."""
        self.assertEqual(self.statuses(), list(statuses))
        self.assertTrue(self.line.wire.is_closed)
        if statuses and statuses[-1] >= 400:
            self.assertEqual(set(json.loads(self.line.replies[-1].body)), {"description"})


class HeadTests(ChannelCase):
    """Until the head is complete."""

    def test_nothing_comes(self) -> None:
        """Whoever connects and waits is disconnected, without an answer that nobody asked for."""
        self.clock.advance(HEAD_WITHIN - 0.1)
        self.assertFalse(self.line.wire.is_closed)
        self.clock.advance(0.1)
        self.assert_ended()

    def test_byte_by_byte(self) -> None:
        """A byte now and then puts nothing off."""
        for byte in GET[:-1]:
            self.assertFalse(self.line.wire.is_closed)
            self.line.send(bytes([byte]))
            self.clock.advance(HEAD_WITHIN / len(GET))
        self.clock.advance(HEAD_WITHIN / len(GET) + 0.1)
        self.assert_ended(408)
        self.assertEqual(self.recorder.seen, [])

    def test_half_a_line(self) -> None:
        """Whoever sends not even a first line is disconnected too."""
        self.line.send(b"GET /x")
        self.clock.advance(HEAD_WITHIN)
        self.assert_ended()

    def test_a_second_request(self) -> None:
        """From the first byte of another request its head has no longer than the first one had."""
        self.line.send(GET)
        self.clock.advance(HEAD_WITHIN + 1)
        self.line.send(GET[:20])
        self.clock.advance(HEAD_WITHIN - 0.1)
        self.assertFalse(self.line.wire.is_closed)
        self.clock.advance(0.1)
        self.assert_ended(200, 408)

    def test_behind_a_request(self) -> None:
        """So it is when the beginning of the second request came with the first one, or while it waited."""
        for first in (GET, SLOW):
            self.line = Line(self.site)
            self.line.send(first + GET[:20])
            self.clock.advance(HEAD_WITHIN * 5)
            self.recorder.let_go()
            if first == SLOW:
                self.assertEqual(self.statuses(), [200])
                self.clock.advance(HEAD_WITHIN)
            self.assert_ended(200, 408)

    def test_kept(self) -> None:
        """A connection is kept for a while after each answer."""
        for _ in range(3):
            self.line.send(GET)
            self.clock.advance(KEPT_FOR - 0.1)
            self.assertFalse(self.line.wire.is_closed)
        self.clock.advance(0.2)
        self.assert_ended(200, 200, 200)

    def test_no_timer_is_left(self) -> None:
        """A connection that has ended leaves no timer, and many requests leave one."""
        for _ in range(100):
            self.line.send(GET)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.line.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.site.peers.everybody.size, 0)


class BodyTests(ChannelCase):
    """While a body arrives."""

    def test_too_slow(self) -> None:
        """A body of which too little comes is refused after ten seconds, be it in chunks or not."""
        for head, piece in ((PUT % 20_000, b" "), (CHUNKED, b"1\r\n \r\n")):
            self.line = Line(self.site)
            self.line.send(head)
            for _ in range(9):
                self.clock.advance(WINDOW / 10)
                self.line.send(piece)
            self.assertFalse(self.line.wire.is_closed)
            self.clock.advance(WINDOW / 10)
            self.assert_ended(408)

    def test_slow_at_the_end(self) -> None:
        """What came quickly at first does not pay for what comes slowly later."""
        self.line.send(PUT % 500_000 + b" " * 400_000)
        self.clock.advance(WINDOW)
        self.assertFalse(self.line.wire.is_closed)
        self.line.send(b" " * (LEAST_IN_WINDOW - 1))
        self.clock.advance(WINDOW)
        self.assert_ended(408)

    def test_fast_enough(self) -> None:
        """A body that comes at the least rate is taken, however long that lasts."""
        self.line.send(PUT % (LEAST_IN_WINDOW * 50))
        for _ in range(50):
            self.clock.advance(WINDOW - 0.5)
            self.line.send(b" " * LEAST_IN_WINDOW)
            self.clock.advance(0.5)
        self.assertEqual(self.statuses(), [200])

    def test_chunks_beyond_the_limit(self) -> None:
        """A body in chunks is refused where it passes the limit, and nothing of it is kept."""
        self.line.send(CHUNKED)
        for _ in range(16):
            self.line.send(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        self.assertEqual(self.statuses(), [])
        self.line.send(b"1\r\n \r\n")
        self.assert_ended(413)
        self.line.send(*[b" " * 65_536] * 10)
        self.assert_ended(413)

    def test_many_chunks(self) -> None:
        """A body in very many chunks is refused, since each of them costs time."""
        self.line.send(CHUNKED + b"1\r\n \r\n" * MOST_CHUNKS)
        self.assertEqual(self.statuses(), [])
        self.line.send(b"1\r\n \r\n")
        self.assert_ended(413)

    def test_all_bodies_together(self) -> None:
        """When too much is arriving, the largest body is refused, and small ones are taken."""
        small = Line(self.site)
        small.send(PUT % 10)
        much = b" " * 1_000_000
        lines = [Line(self.site, f"192.0.2.{number}") for number in range(LARGEST_SUM // len(much) + 1)]
        for line in lines:
            line.send(PUT % 1_048_576, much)
        self.assertEqual([reply.status for line in lines for reply in line.replies], [503])
        small.send(b"0123456789")
        self.assertEqual([reply.status for reply in small.replies], [200])

    def test_bodies_that_wait(self) -> None:
        """S7: bodies count until it is known who has sent them, or until they are answered."""
        much = b" " * 1_000_000
        count = LARGEST_SUM // len(much)
        lines = [Line(self.site, f"192.0.2.{number}") for number in range(count + 3)]
        slow = PUT.replace(b"/v2/x", b"/slow").replace(b"\r\n\r\n", _JSON)
        largest, *others = lines[: count + 1]
        for line, size in ((largest, 1_040_000), *((one, 1_000_000) for one in others)):
            line.send(slow % size + b" " * size)
        self.assertEqual([reply.status for line in others for reply in line.replies], [])
        self.assertEqual([reply.status for reply in largest.replies], [503])
        self.assertTrue(largest.wire.is_closed)
        for request in self.recorder.waiting:
            if not request.finished:
                cast("GuardedRequest", request).let_in()
        for line in lines[count + 1 :]:
            line.send(PUT % len(much) + much)
            self.assertEqual([reply.status for reply in line.replies], [200])


class WorkTests(ChannelCase):
    """While a handler works, and when it is done."""

    def test_slow_handler(self) -> None:
        """A handler may take as long as it likes, without and with a body before it."""
        for request in (SLOW, PUT.replace(b"/v2/x", b"/slow").replace(b"\r\n\r\n", _JSON) % 2 + b"{}"):
            self.line = Line(self.site)
            self.line.send(request)
            self.clock.advance(3600)
            self.assertFalse(self.line.wire.is_closed)
            self.recorder.let_go()
            self.assertEqual(self.statuses(), [200])

    def test_order(self) -> None:
        """Requests behind one that takes long are neither looked at nor answered before it is."""
        self.line.send(SLOW + GET + GET)
        self.assertEqual(self.recorder.seen, [Seen(b"GET", b"/slow")])
        self.assertEqual(self.statuses(), [])
        self.recorder.let_go()
        self.assertEqual(self.statuses(), [200, 200, 200])

    def test_refusal_behind_a_request(self) -> None:
        """What is refused behind a request that takes long is answered behind it."""
        self.line.send(SLOW + b"get /x HTTP/1.1\r\n\r\n" + GET)
        self.assertEqual(self.statuses(), [])
        self.recorder.let_go()
        self.assert_ended(200, 405)


class ReaderTests(ChannelCase):
    """Clients that do not read."""

    def setUp(self) -> None:
        """Answer much."""
        self.use(recording_site(b"x" * 1000))

    def test_never_reads(self) -> None:
        """While answers are not taken no request is answered or read; soon the connection is over."""
        self.line.send(GET)
        self.line.channel.pauseProducing()
        self.line.send(*[GET] * 1000)
        self.assertEqual(len(self.recorder.seen), 1)
        self.assertEqual(self.line.wire.producerState, "paused")
        self.clock.advance(TAKEN_WITHIN - 0.1)
        self.assertFalse(self.line.wire.is_closed)
        self.clock.advance(0.1)
        self.assertTrue(self.line.wire.aborted)
        self.assertEqual(self.statuses(), [200])

    def test_reads_later(self) -> None:
        """A client that takes its answers in time gets all of them, in order."""
        self.line.send(SLOW)
        self.line.channel.pauseProducing()
        self.line.send(GET, GET[:10], GET[10:])
        self.recorder.let_go()
        self.assertEqual(self.statuses(), [200])
        self.assertEqual(self.line.wire.producerState, "paused")
        self.clock.advance(TAKEN_WITHIN - 0.1)
        self.line.channel.resumeProducing()
        self.assertEqual(self.line.wire.producerState, "producing")
        self.clock.advance(TAKEN_WITHIN)
        self.assertEqual(self.statuses(), [200, 200, 200])
        self.assertFalse(self.line.wire.is_closed)

    def test_never_takes_the_last_answer(self) -> None:
        """A connection that ends is not waited for for ever, be its end a refusal or asked for."""
        for request in (
            b"get /x HTTP/1.1\r\n\r\n",
            GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        ):
            self.line = Line(self.site)
            self.line.send(request)
            self.assertTrue(self.line.wire.is_closed)
            self.assertFalse(self.line.wire.aborted)
            self.clock.advance(TAKEN_WITHIN)
            self.assertTrue(self.line.wire.aborted)

    def test_sends_on_after_a_refusal(self) -> None:
        """What comes behind a refusal is dropped, and not for ever."""
        self.line.send(b"get /x HTTP/1.1\r\n\r\n")
        piece = b"x" * (LARGEST_DISCARD // 8)
        self.line.send(*[piece] * 8)
        self.assertFalse(self.line.wire.aborted)
        self.line.send(b"x")
        self.assertTrue(self.line.wire.aborted)
        self.assert_ended(405)
