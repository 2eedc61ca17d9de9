"""A host is reached by the certificate that it has now, over a network only with TLS unless told so."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.connections import Connections
from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.secrets import Secret
from tests.engines.certificates import Authority, TlsServer

AUTHORITY = Authority()


def issued(host: str = "127.0.0.1") -> HostCertificate:
    """Return a new certificate of the authority for a client."""
    certificate, key = AUTHORITY.issue("client")
    return HostCertificate(
        host=host, certificate=certificate.decode(), key=Secret(key.decode()), ca=AUTHORITY.pem().decode()
    )


def host(docker_host: str = "127.0.0.1", port: int = 2376) -> DockerHost:
    """Return the host there."""
    port = 0 if docker_host.startswith("unix:") else port
    return DockerHost(key=HostKey(service_host="s", docker_host=docker_host, docker_port=port))


@define(eq=False)
class Trusting:
    """Trusts what a test says; raises it if it is an error."""

    now: HostCertificate | EngineUnreachable | None = None
    asked: list[str] = field(factory=list)

    async def __call__(self, host: DockerHost) -> HostCertificate | None:
        """Return the certificate of the moment."""
        self.asked.append(host.key.docker_host)
        if isinstance(self.now, EngineUnreachable):
            raise self.now
        return self.now


class ConnectionsTests(SynchronousTestCase):
    """Which connections there are."""

    def renewed(self, connections: Connections) -> str | None:
        """Renew the connections; returns the sentence with which that is refused."""
        renewing = Deferred.fromCoroutine(connections.renew())
        if getattr(renewing, "result", None) is not None:
            error = self.failureResultOf(renewing, EngineUnreachable).value
            return str(getattr(error, "description", ""))
        self.successResultOf(renewing)
        return None

    def test_plain(self) -> None:
        """Without a certificate a host on a network is refused, and this machine is not."""
        for docker_host in ("10.0.0.2", "docker1", "localhost.example.org", "127.1", "2001:db8::1"):
            sentence = self.renewed(Connections(host(docker_host), Trusting(), False))
            self.assertIn("has no certificate", sentence or "")
            self.assertIn("plaindocker", sentence or "")
            self.assertIsNone(self.renewed(Connections(host(docker_host), Trusting(), True)))
        for docker_host in ("127.0.0.1", "::1", "[::1]", "localhost", "unix:///var/run/docker.sock"):
            self.assertIsNone(self.renewed(Connections(host(docker_host), Trusting(), False)))

    def test_certificate(self) -> None:
        """With a certificate every host is reached, with TLS; also where it could be reached without."""
        for allows_plain in (True, False):
            for docker_host in ("10.0.0.2", "127.0.0.1"):
                connections = Connections(host(docker_host), Trusting(issued()), allows_plain)
                self.assertIsNone(self.renewed(connections))
                self.assertIsNotNone(connections.clients.address.tls)

    def test_removed(self) -> None:
        """A certificate that is removed is not used any more."""
        trusting = Trusting(issued())
        connections = Connections(host("10.0.0.2"), trusting, False)
        self.assertIsNone(self.renewed(connections))
        trusting.now = None
        self.assertIn("has no certificate", self.renewed(connections) or "")
        self.assertIsNone(connections.clients.address.tls)

    def test_removed_meanwhile(self) -> None:
        """A call that waits for its turn while the certificate is removed does not go without TLS."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.settimeout(0.0)
        trusting = Trusting(issued())
        # No address of this machine's own, but it leads here.
        connections = Connections(host("0.0.0.0", listener.getsockname()[1]), trusting, False)
        self.assertIsNone(self.renewed(connections))
        trusting.now = None
        self.assertIn("has no certificate", self.renewed(connections) or "")
        self.assertRaises(EngineUnreachable, connections.clients.version, 1.0)
        self.assertRaises(BlockingIOError, listener.accept)
        trusting.now = issued()
        self.assertIsNone(self.renewed(connections))
        self.assertIsNotNone(connections.clients.address.tls)

    def test_unknown(self) -> None:
        """When it cannot be found out whether there is a certificate, nothing is connected to."""
        trusting = Trusting(EngineUnreachable("The certificate cannot be found."))
        self.assertIn("cannot be found", self.renewed(Connections(host(), trusting, True)) or "")

    def test_same(self) -> None:
        """As long as the certificate is the same, so are the connections."""
        trusting = Trusting(issued())
        connections = Connections(host(), trusting, False)
        self.renewed(connections)
        before = connections.clients
        self.renewed(connections)
        self.assertIs(connections.clients, before)

    def test_next_connection(self) -> None:
        """A new certificate is used by the next call, and a call that has begun before ends well."""
        good, key = AUTHORITY.issue("127.0.0.1")
        server = TlsServer(good, key, AUTHORITY.pem())
        server.start()
        self.addCleanup(server.stop)
        stranger = Authority("stranger")
        strange, strange_key = stranger.issue("client")
        wrong = HostCertificate(
            host="127.0.0.1",
            certificate=strange.decode(),
            key=Secret(strange_key.decode()),
            ca=AUTHORITY.pem().decode(),
        )
        trusting = Trusting(issued())
        connections = Connections(host(port=server.port), trusting, False)
        self.addCleanup(connections.close)
        self.renewed(connections)
        first = connections.clients
        self.assertEqual(first.version(5.0), "1.41")
        trusting.now = wrong
        self.renewed(connections)
        error = self.assertRaises(EngineUnreachable, connections.clients.version, 5.0)
        self.assertIn("127.0.0.1", error.description)
        self.assertEqual(first.ask(lambda client: client.api_version, 5.0), "1.41")
        trusting.now = issued()
        self.renewed(connections)
        self.assertEqual(connections.clients.version(5.0), "1.41")

    def test_rotation(self) -> None:
        """While certificates change again and again no call fails (G21)."""
        server = TlsServer(*AUTHORITY.issue("127.0.0.1"), AUTHORITY.pem())
        server.start()
        self.addCleanup(server.stop)
        trusting = Trusting(issued())
        connections = Connections(host(port=server.port), trusting, False)
        self.addCleanup(connections.close)
        self.renewed(connections)
        ended = threading.Event()

        def ask() -> int:
            count = 0
            while not ended.is_set():
                connections.clients.ask(lambda client: client.version(api_version=False), 20.0)
                count += 1
            return count

        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask) for _ in range(3)]
            try:
                for _ in range(100):
                    trusting.now = issued()
                    self.renewed(connections)
                    connections.clients.version(20.0)
            finally:
                ended.set()
            self.assertGreater(min(one.result() for one in asking), 0)

    def test_closed(self) -> None:
        """What is closed makes no connections any more, whatever is trusted later."""
        trusting = Trusting(issued())
        connections = Connections(host(), trusting, False)
        connections.close()
        self.renewed(connections)
        self.assertRaises(EngineUnreachable, connections.clients.version, 5.0)
