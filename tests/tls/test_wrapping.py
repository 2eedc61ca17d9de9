"""The broker's site behind TLS, on transports in memory."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Final

from attrs import define, evolve, field
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from dockerbroker.tls.contexts import HTTP
from dockerbroker.tls.serving import CurrentCertificate
from dockerbroker.tls.wrapping import HANDSHAKE, wrapped
from dockerbroker.web.client_certificates import request_certificate
from dockerbroker.web.guard import GuardedSite
from tests.engines.certificates import Authority
from tests.stack import Stack
from tests.tls.files import Files
from tests.tls.memory import client_context, pair_of
from tests.web.connection import AUTHORIZATION, HalfClosable

_GET: Final = b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"
_ENOUGH: Final = 1 << 20


class _Telling(Resource):
    """Remembers whose certificates were shown, and answers."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Any] = []

    def render_GET(self, request: Request) -> bytes:
        """Answer."""
        self.shown.append(request_certificate(request))
        return b'{"told": true}'


class _Socket(HalfClosable):
    """A transport on which TLS stands."""

    aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""

    def abortConnection(self) -> None:
        """Remember that the connection was cut off."""
        self.aborted = True
        super().abortConnection()


class _Full(Factory):
    """Wants no connection."""

    def buildProtocol(self, addr: IAddress | None) -> None:
        """Refuse it."""


@define(eq=False)
class _Client:
    """A client of a site over TLS, and the transport on which the site sees it."""

    factory: IProtocolFactory
    clock: Clock
    context: SSL.Context = field(factory=client_context)
    connection: SSL.Connection = field(init=False)
    transport: _Socket = field(factory=_Socket, init=False)
    _protocol: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Connect."""
        self.connection = SSL.Connection(self.context, None)
        self.connection.set_connect_state()
        self._protocol = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 50000))
        self._protocol.makeConnection(self.transport)

    def hello(self) -> bytes:
        """Return the first bytes of a handshake."""
        with contextlib.suppress(SSL.WantReadError):
            self.connection.do_handshake()
        return self.connection.bio_read(_ENOUGH)

    def send(self, data: bytes) -> None:
        """Let bytes of TLS arrive."""
        self._protocol.dataReceived(data)

    def shake(self) -> _Client:
        """Do the handshake."""
        self.send(self.hello())
        for _ in range(2):
            self._pump()
            with contextlib.suppress(SSL.WantReadError):
                self.connection.do_handshake()
        self._pump()
        return self

    def ask(self, request: bytes) -> bytes:
        """Return what is answered to a request."""
        self.connection.sendall(request)
        self._pump()
        self.clock.advance(0)
        self._pump()
        try:
            return self.connection.recv(_ENOUGH)
        except SSL.WantReadError:
            return b""

    def _pump(self) -> None:
        with contextlib.suppress(SSL.WantReadError):
            self.send(self.connection.bio_read(_ENOUGH))
        if data := self.transport.value():
            self.transport.clear()
            self.connection.bio_write(data)


class WrappingTests(SynchronousTestCase):
    """A site behind a certificate."""

    def setUp(self) -> None:
        """Make the certificate, and a site."""
        self.clock, self.files, self.clients = Clock(), Files.of(self), Authority("clients")
        self.telling = _Telling()
        self.configuration = self.files.put(*Authority().issue("broker"))
        self.site = GuardedSite(self.telling, self.clock)
        self.factory = self.behind(self.site, wants_certificates=False)

    def behind(self, site: IProtocolFactory, *, wants_certificates: bool) -> IProtocolFactory:
        """Return the site behind the certificate, with or without an authority of clients."""
        authority = self.files.write("ca.pem", self.clients.pem()) if wants_certificates else None
        shown = CurrentCertificate(
            configuration=evolve(self.configuration, client_ca=authority), clock=self.clock, wall=lambda: 0.0
        )
        shown.start()
        self.addCleanup(shown.stop)
        return wrapped(shown, site, self.clock)

    def patient(self) -> IProtocolFactory:
        """Return what has no deadlines of its own, behind the certificate."""
        return self.behind(Factory.forProtocol(Protocol), wants_certificates=False)

    def test_drip(self) -> None:
        """A handshake that is not done within its deadline is cut off, however often a byte of it arrives."""
        silent, dripping = (_Client(self.patient(), self.clock) for _ in range(2))
        first = dripping.hello()
        for at in range(int(HANDSHAKE)):
            self.assertFalse(dripping.transport.aborted or silent.transport.aborted)
            dripping.send(first[at : at + 1])
            self.clock.advance(1)
        self.assertTrue(dripping.transport.aborted)
        self.assertTrue(silent.transport.aborted)

    def test_half_a_handshake(self) -> None:
        """A client that goes silent in the middle of its handshake is cut off as well."""
        client = _Client(self.patient(), self.clock)
        client.send(client.hello())
        self.assertGreater(len(client.transport.value()), 100)
        self.clock.advance(HANDSHAKE)
        self.assertTrue(client.transport.aborted)

    def test_done_in_time(self) -> None:
        """Who has done its handshake is served past that deadline."""
        for configure in (lambda context: context.set_max_proto_version(SSL.TLS1_2_VERSION), bool):
            client = _Client(self.factory, self.clock, client_context(configure)).shake()
            self.assertTrue(client.ask(_GET).startswith(b"HTTP/1.1 200 "))
            self.clock.advance(HANDSHAKE)
            self.assertFalse(client.transport.aborted)
            self.assertTrue(client.ask(_GET).endswith(b'{"told": true}'))

    def test_too_many(self) -> None:
        """A connection that the site does not want is none over TLS either."""
        factory = self.behind(_Full(), wants_certificates=False)
        self.assertIsNone(factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 50000)))

    def test_gone(self) -> None:
        """Of a client that is gone before its handshake nothing is left to wait for."""
        client = _Client(self.factory, self.clock)
        client._protocol.connectionLost()
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.getTime() == HANDSHAKE], [])

    def test_protocol(self) -> None:
        """A client that would like HTTP/2 better gets HTTP/1.1; one that speaks nothing else is refused."""
        client = _Client(self.factory, self.clock)
        client.connection.set_alpn_protos([b"h2", HTTP])
        client.shake()
        self.assertEqual(client.connection.get_alpn_proto_negotiated(), HTTP)
        self.assertTrue(client.ask(_GET).startswith(b"HTTP/1.1 200 "))
        client = _Client(self.factory, self.clock)
        client.connection.set_alpn_protos([b"h2"])
        answer = client.shake().ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertEqual(client.connection.get_alpn_proto_negotiated(), b"")
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)

    def test_large(self) -> None:
        """A body that is too large is refused over TLS as elsewhere, in words that the client can read."""
        stack = Stack()
        client = _Client(self.behind(stack.site, wants_certificates=False), self.clock).shake()
        answer = client.ask(
            b"PUT /v2/service_instances/i HTTP/1.1\r\nHost: broker\r\nContent-Type: application/json\r\n"
            b"X-Broker-API-Version: 2.17\r\nAuthorization: " + AUTHORIZATION + b"\r\n"
            b"Content-Length: 99999999\r\n\r\n"
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 413 "), head)
        self.assertIn("larger", json.loads(body)["description"])

    def test_no_certificate(self) -> None:
        """Where none is asked for, and without TLS, a request has no certificate."""
        _Client(self.factory, self.clock).shake().ask(_GET)
        plain: Any = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.7", 50000))
        plain.makeConnection(HalfClosable())
        plain.dataReceived(_GET)
        self.assertEqual(self.telling.shown, [None, None])

    def test_certificate(self) -> None:
        """Whose the client's certificate is can be asked of its requests: its names, or its common name."""
        factory = self.behind(self.site, wants_certificates=True)
        for pair in (
            self.clients.issue("Host1.example.org", "192.0.2.1", "2001:db8::1", subject="other"),
            self.clients.issue(subject="Host2"),
        ):
            client = _Client(factory, self.clock)
            client.connection.use_certificate(pair_of(*pair).certificate)
            client.connection.use_privatekey(pair_of(*pair).key.reveal())  # type: ignore[arg-type]
            client.shake().ask(_GET)
            self.assertEqual(self.telling.shown[-1].fingerprint, pair_of(*pair).fingerprint)
        first, second = self.telling.shown
        self.assertEqual(first.names, {"host1.example.org", "192.0.2.1", "2001:db8::1"})
        self.assertEqual((second.names, second.subject), ({"host2"}, "CN=Host2"))

    def test_stranger(self) -> None:
        """Without a certificate, where one is asked for, no request reaches the site."""
        factory = self.behind(self.site, wants_certificates=True)
        client = _Client(factory, self.clock).shake()
        self.assertRaises(SSL.Error, client.ask, _GET)
        self.assertEqual(self.telling.shown, [])
        self.assertTrue(client.transport.disconnecting)
