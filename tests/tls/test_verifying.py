"""What brokers prove to agents before they are told anything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from attrs import define, evolve, field
from treq.client import HTTPClient
from twisted.internet import reactor as the_reactor
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from dockerbroker.agent.answers import reason_of
from dockerbroker.agent.requests import Requests
from dockerbroker.config import BrokerServer
from dockerbroker.config.agent import BrokerTls
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.secrets import Secret
from dockerbroker.tls.serving import CurrentCertificate
from dockerbroker.tls.verifying import BrokerPolicy
from dockerbroker.tls.wrapping import wrapped
from tests.engines.certificates import Authority, self_signed
from tests.tls.files import Files

# Twisted declares it as less than it is.
reactor: Any = the_reactor

_HOUR: Final = dt.timedelta(hours=1)
_LIMIT: Final = 20.0
_PROXIES: Final = {
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "ALL_PROXY": "http://127.0.0.1:1",
    "SSL_CERT_FILE": "/dev/null",
    "REQUESTS_CA_BUNDLE": "/dev/null",
}


@define(eq=False, slots=False)
class _Pings(Resource):
    """Remembers what it is told; with a `target` it sends everybody there instead."""

    target: str | None = None
    told: list[bytes] = field(factory=list)
    isLeaf = True

    def __attrs_pre_init__(self) -> None:
        Resource.__init__(self)

    def render(self, request: Request) -> bytes:
        """Take a ping."""
        assert request.content is not None
        self.told.append(request.content.read())
        if self.target is not None:
            request.redirect(self.target.encode("ascii"))
        return b"{}"


class VerifyingTests(TestCase):
    """Requests of an agent, over loopback."""

    timeout = 60

    def setUp(self) -> None:
        """Make an authority, which the agent is told of."""
        self.files, self.authority, self.pings = Files.of(self), Authority(), _Pings()
        self.ca = self.files.write("ca.pem", self.authority.pem())

    def serve(self, certificate: bytes, key: bytes, clients: Authority | None = None) -> int:
        """Start a broker with this certificate; return its port."""
        configuration = self.files.put(certificate, key)
        if clients is not None:
            configuration = evolve(configuration, client_ca=self.files.write("clients.pem", clients.pem()))
        shown = CurrentCertificate(configuration=configuration, clock=reactor, wall=lambda: 0.0)
        shown.start()
        self.addCleanup(shown.stop)
        return self.listen(wrapped(shown, Site(self.pings), reactor))

    def listen(self, factory: IProtocolFactory) -> int:
        """Listen on loopback until the test ends; return the port."""
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def ping(self, port: int, host: str = "127.0.0.1", **files: Any) -> Exception | None:
        """Send a ping to a broker; return why it was not taken."""
        tls = BrokerTls(**{"ca": self.ca, **files})
        server = BrokerServer(host=host, port=port, user="u", password=Secret("the secret"), tls=tls)
        send = HTTPClient(Agent(reactor, BrokerPolicy(host=host, tls=tls))).request
        requests = Requests(server=server, send=send, clock=reactor)
        try:
            await requests.ask("POST", server.url, b"{}", _LIMIT)
        except Exception as error:  # noqa: BLE001 (it is what is asserted)
            return error
        return None

    async def test_trusted(self) -> None:
        """A broker that proves its address or its name is pinged, whatever the environment says."""
        for name, value in _PROXIES.items():
            self.patch_environment(name, value)
        port = self.serve(*self.authority.issue("127.0.0.1", "localhost"))
        for host in ("127.0.0.1", "localhost"):
            self.assertIsNone(await self.ping(port, host))
        self.assertEqual(self.pings.told, [b"{}"] * 2)

    async def test_of_the_machine(self) -> None:
        """An agent without authorities of its own trusts those of its machine, and no other."""
        # OpenSSL looks for the machine's where this says.
        self.patch_environment("SSL_CERT_FILE", str(self.ca))
        port = self.serve(*self.authority.issue("127.0.0.1"))
        self.assertIsNone(await self.ping(port, ca=None))
        other = self.serve(*Authority("other").issue("127.0.0.1"))
        error = await self.ping(other, ca=None)
        assert error is not None
        self.assertIn("is not trusted", str(reason_of(error)))
        self.assertEqual(self.pings.told, [b"{}"])

    def patch_environment(self, name: str, value: str) -> None:
        """Set a variable until the test ends."""
        import os

        before = os.environ.get(name)
        os.environ[name] = value
        self.addCleanup(
            lambda: os.environ.pop(name) if before is None else os.environ.__setitem__(name, before)
        )

    async def test_untrusted(self) -> None:
        """A broker that does not prove who it is hears nothing, and the reason is a sentence."""
        cases: tuple[tuple[tuple[bytes, bytes], dict[str, Any], str], ...] = (
            (self.authority.issue("other.example.org"), {}, "is not for the name or address"),
            (self.authority.issue(), {}, "is not for the name or address"),
            (Authority().issue("127.0.0.1"), {}, "is not trusted"),
            (self_signed("127.0.0.1"), {}, "is not trusted"),
            (self.authority.issue("127.0.0.1", lasts=-_HOUR), {}, "is not trusted"),
            (self.authority.issue("127.0.0.1", begins=_HOUR), {}, "is not trusted"),
            (self.authority.issue("127.0.0.1"), {"ca": None}, "is not trusted"),
        )
        for (certificate, key), files, expected in cases:
            error = await self.ping(self.serve(certificate, key), **files)
            assert error is not None
            self.assertIn(expected, str(reason_of(error)))
        self.assertEqual(self.pings.told, [])

    async def test_plain(self) -> None:
        """A broker without TLS is told nothing that could be read, if it was to have TLS."""
        heard = _Hearing(Site(self.pings))
        error = await self.ping(self.listen(heard))
        assert error is not None
        self.assertIsNotNone(reason_of(error))
        self.assertEqual(heard.data[0][:1], b"\x16")
        self.assertNotIn(b"Authorization", b"".join(heard.data))
        self.assertEqual(self.pings.told, [])

    async def test_redirect(self) -> None:
        """A broker that sends the agent elsewhere is not followed."""
        port = self.serve(*self.authority.issue("127.0.0.1"))
        self.pings.target = f"https://127.0.0.1:{port}/elsewhere"
        error = await self.ping(port)
        self.assertIn("it answered 302", str(error))
        self.assertEqual(len(self.pings.told), 1)

    async def test_own_certificate(self) -> None:
        """A broker that wants certificates takes pings with one, and otherwise the agent is told."""
        clients = Authority("clients")
        port = self.serve(*self.authority.issue("127.0.0.1"), clients=clients)
        for pair, expected in (
            (clients.issue("host"), None),
            (Authority("others").issue("host"), "it wants another certificate of this agent"),
            (None, "it wants another certificate of this agent"),
        ):
            error = await self.ping(port, **({} if pair is None else self.shown(*pair)))
            if expected is None:
                self.assertIsNone(error)
            else:
                assert error is not None
                self.assertIn(expected, str(reason_of(error)))
        self.assertEqual(len(self.pings.told), 1)

    def shown(self, certificate: bytes, key: bytes) -> Mapping[str, Any]:
        """Return the files of what an agent shows."""
        return {
            "certificate": self.files.write("agent.crt", certificate),
            "private_key": self.files.write("agent.key", key),
        }

    def test_exchanged(self) -> None:
        """Files that are exchanged count from the next connection on; bad ones are told once."""
        policy = BrokerPolicy(host="broker", tls=BrokerTls(ca=self.ca))
        first = policy.creatorForNetloc(b"broker", 1)
        self.assertIs(policy.creatorForNetloc(b"broker", 1), first)
        self.files.write("ca.pem", Authority().pem())
        second = policy.creatorForNetloc(b"broker", 1)
        self.assertIsNot(second, first)
        with capturedLogs() as events:
            self.files.write("ca.pem", b"junk")
            for _ in range(3):
                self.assertIs(policy.creatorForNetloc(b"broker", 1), second)
        (event,) = (event for event in events if event["log_level"] is LogLevel.warn)
        self.assertIn("brokerservers.cacert: ", formatEvent(event))

    def test_unusable(self) -> None:
        """Files and names that cannot be used at the start are sentences."""
        absent = self.files.folder / "absent"
        for host, tls, expected in (
            ("broker", BrokerTls(ca=absent), "brokerservers.cacert: "),
            ("broker", BrokerTls(certificate=absent, private_key=absent), "brokerservers.certificate: "),
            ("a" * 70 + ".example.org", BrokerTls(ca=self.ca), "brokerservers.host: "),
        ):
            refusal = self.assertRaises(InvalidConfiguration, BrokerPolicy(host=host, tls=tls).load)
            self.assertIn(expected, refusal.description)


class _Heard(ProtocolWrapper):
    """Remembers what has come, and refuses it."""

    def dataReceived(self, data: bytes) -> None:
        """Remember, and refuse."""
        hearing: Any = self.factory
        hearing.data.append(data)
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.transport.loseConnection()


class _Hearing(WrappingFactory):
    """Remembers what comes on all connections."""

    protocol = _Heard

    def __init__(self, wrapped_factory: IProtocolFactory) -> None:
        super().__init__(wrapped_factory)
        self.data: list[bytes] = []
