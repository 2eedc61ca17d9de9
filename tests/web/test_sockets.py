"""The guard on real sockets: with TLS, without it, and in the file system."""

import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from twisted.internet import reactor
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from dockerbroker.model.connections import ConnectionLimits
from dockerbroker.tls.serving import CurrentCertificate
from dockerbroker.tls.wrapping import wrapped
from dockerbroker.web.channel import HEAD_WITHIN, TAKEN_WITHIN, GuardedChannel
from dockerbroker.web.guard import GuardedSite
from tests.engines.certificates import self_signed
from tests.polling import PATIENCE, poll
from tests.tls.files import Files
from tests.web.recording import Recorder, replies

GET: Final = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LAST: Final = b"GET /x HTTP/1.0\r\n\r\n"
PUT: Final = b"PUT /v2/x HTTP/1.1\r\nHost: a\r\n"
FORM: Final = PUT + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 15000000\r\n\r\n"
CHUNKED: Final = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
#: What is sent, and the statuses of the answers.
SENT: Final = (
    (GET + GET + LAST + GET, [200, 200, 200]),
    (GET + GET.replace(b"\r\n\r\n", b"\r\n folded\r\n\r\n") + GET, [200, 400]),
    (GET + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [200, 400]),
    (PUT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET, [400]),
    (PUT + b"Host: b\r\n\r\n" + GET, [400]),
    (GET.replace(b"/x", b"http://a/x"), [400]),
    (GET.replace(b"GET", b"get"), [405]),
    (b"GET /" + b"x" * 16_384 + b" HTTP/1.1\r\nHost: a\r\n\r\n", [414]),
    (PUT + b"X: y\r\n" * 501 + b"\r\n", [431]),
    (PUT + b"Content-Length: %d\r\n\r\n" % 10**14, [413]),
    (FORM + b"a=b&" * 3_750_000, [415]),
    (CHUNKED + b"100000\r\n" + b" " * 0x100000 + b"\r\n1\r\n \r\n" + b"x" * 2_000_000, [413]),
    (CHUNKED + b"0\r\nX: y\r\n\r\n" + GET, [400]),
)
#: How much is asked of a site whose answers nobody reads, and how large these are.
ASKED: Final = 1000
LARGE: Final = 100_000


class RememberingSite(GuardedSite):
    """A site that knows its connections, and how much it has heard of all of them."""

    def __init__(self, answer: bytes, limits: ConnectionLimits) -> None:
        self.clock = Clock()
        self.recorder = Recorder(answer)
        super().__init__(self.recorder, self.clock, limits)
        self.channels: list[GuardedChannel] = []
        self.heard = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Remember the connection."""
        channel = super().buildProtocol(addr)
        if channel is not None:
            self.channels.append(channel)
            channel.dataReceived = partial(self._hear, channel.dataReceived)
        return channel

    def _hear(self, received: Callable[[bytes], None], data: bytes) -> None:
        self.heard += len(data)
        received(data)


def rest(told: socket.socket) -> bytes:
    """Return what comes until the broker ends the connection, and close it."""
    found = b""
    with told:
        while piece := told.recv(65536):
            found += piece
    return found


def exchange(dial: Callable[[], socket.socket], data: bytes) -> bytes:
    """Connect and send; return what comes until the end."""
    told = dial()
    told.sendall(data)
    return rest(told)


def begin(dial: Callable[[], socket.socket], data: bytes) -> socket.socket:
    """Connect and send."""
    told = dial()
    told.sendall(data)
    return told


class SocketTests(TestCase):
    """One site behind three listeners, whose deadlines pass when the test says so."""

    def listen(self, answer: bytes = b"{}", **limits: int) -> RememberingSite:
        """Serve at all three; return the site."""
        site, loop = RememberingSite(answer, ConnectionLimits(**limits)), cast("Any", reactor)
        certificate = CurrentCertificate(
            configuration=Files.of(self).put(*self_signed("localhost")), clock=Clock(), wall=time.time
        )
        certificate.start()
        self.addCleanup(certificate.stop)
        self.path = self.mktemp()
        plain = loop.listenTCP(0, site, interface="127.0.0.1")
        encrypted = loop.listenTCP(0, wrapped(certificate, site, loop), interface="127.0.0.1")
        for port in (plain, encrypted, loop.listenUNIX(self.path, site)):
            self.addCleanup(port.stopListening)
        self.plain, self.encrypted = plain.getHost().port, encrypted.getHost().port
        return site

    def dial_plain(self) -> socket.socket:
        """Connect without TLS."""
        return socket.create_connection(("127.0.0.1", self.plain), PATIENCE)

    def dial_encrypted(self) -> socket.socket:
        """Connect with TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.encrypted), PATIENCE)
        return context.wrap_socket(plain)

    def dial_local(self) -> socket.socket:
        """Connect in the file system."""
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(PATIENCE)
        local.connect(self.path)
        return local

    @property
    def dials(self) -> tuple[Callable[[], socket.socket], ...]:
        """The ways to connect."""
        return (self.dial_plain, self.dial_encrypted, self.dial_local)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the broker does."""
        await deferToThread(poll, condition, lambda: "it has not happened")

    async def test_answers(self) -> None:
        """Each listener answers the same, in JSON, and clients see it although they have sent much."""
        site = self.listen()
        for dial in self.dials:
            for data, expected in SENT:
                received = replies(await deferToThread(exchange, dial, data))
                self.assertEqual([reply.status for reply in received], expected, (dial, data[:80]))
                for reply in received:
                    if reply.status == 200:
                        continue
                    self.assertEqual(reply.headers[b"content-type"], b"application/json")
                    self.assertEqual(reply.headers[b"x-content-type-options"], b"nosniff")
        await self.until(lambda: not site.peers.everybody.size)

    async def test_slow_clients(self) -> None:
        """Whoever says nothing, or not all, has lost its connection when the time is over."""
        site = self.listen()
        slow: tuple[tuple[bytes, list[int]], ...] = (
            (b"", []),
            (GET[:20], [408]),
            (PUT + b"Content-Length: 9\r\n\r\n{", [408]),
        )
        for dial in self.dials:
            for data, expected in slow:
                heard, count = site.heard + len(data), len(site.channels) + 1
                told = await deferToThread(begin, dial, data)
                await self.until(lambda: site.heard >= heard and len(site.channels) == count)  # noqa: B023
                site.clock.advance(HEAD_WITHIN)
                received = replies(await deferToThread(rest, told))
                self.assertEqual([reply.status for reply in received], expected)
                await self.until(lambda: not site.peers.everybody.size)

    async def test_nobody_reads(self) -> None:
        """A client that never reads is answered as much as the buffers hold, and is soon disconnected."""
        site = self.listen(b"x" * LARGE)
        for dial in self.dials:
            site.recorder.seen.clear()
            told = await deferToThread(begin, dial, GET * ASKED)
            await self.until(lambda: site.channels[-1].paused)
            answered = len(site.recorder.seen)
            self.assertLess(answered, ASKED / 2)
            site.clock.advance(TAKEN_WITHIN)
            await self.until(lambda: not site.peers.everybody.size)
            self.assertEqual(len(site.recorder.seen), answered)
            told.close()

    async def test_a_flood(self) -> None:
        """Of very many connections only so many are kept, and one that asks something is answered."""
        site = self.listen(per_peer=20)
        for dial in self.dials:
            flood = [await deferToThread(dial) for _ in range(100)]
            self.assertLessEqual(site.peers.everybody.size, 20)
            received = replies(await deferToThread(exchange, dial, LAST))
            self.assertEqual([reply.status for reply in received], [200])
            for one in flood:
                one.close()
            await self.until(lambda: not site.peers.everybody.size)
