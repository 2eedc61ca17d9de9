"""Over TLS only the host's own authority is trusted, for docker-py's calls and for the streams of execs."""

import datetime as dt
import os
import socket
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.address import DockerAddress, TlsMaterial
from dockerbroker.engines.client import Client, Clients
from dockerbroker.engines.hijack import connect
from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.secrets import Secret
from tests.engines.certificates import Authority, TlsServer, self_signed

_HOST = "127.0.0.1"


class TlsTests(SynchronousTestCase):
    """Who is connected to, and who is not."""

    def setUp(self) -> None:
        """Have an authority, and material for the broker."""
        self.authority = Authority()
        certificate, key = self.authority.issue("broker")
        self.material = TlsMaterial(ca=self.authority.pem(), certificate=certificate, key=Secret(key))

    def address(
        self,
        pair: tuple[bytes, bytes],
        client_ca: bytes | None = None,
        newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ) -> DockerAddress:
        """Return the address of a server with this certificate and key, and its newest version of TLS."""
        server = TlsServer(*pair, client_ca, newest)
        server.start()
        self.addCleanup(server.stop)
        return DockerAddress(host=_HOST, port=server.port, tls=self.material)

    def ways(self, address: DockerAddress) -> list[Callable[[], object]]:
        """Return both ways of connecting to the address."""
        clients = Clients(address)
        self.addCleanup(clients.close)
        return [lambda: clients.version(5.0), lambda: connect(address, 3.0).close()]

    def assert_refused(self, address: DockerAddress, words: str) -> None:
        """Assert that neither way of connecting accepts the server, and that both say why."""
        for way in self.ways(address):
            error = self.assertRaises(EngineUnreachable, way)
            self.assertIn(words, error.description)
            self.assertIn(str(address), error.description)

    def assert_accepted(self, address: DockerAddress) -> None:
        """Assert that both ways of connecting accept the server."""
        for way in self.ways(address):
            way()

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable of the environment until the end of the test."""
        before = dict(os.environ)

        def restore() -> None:
            os.environ.clear()
            os.environ.update(before)

        self.addCleanup(restore)
        os.environ[name] = value

    def test_good(self) -> None:
        """A server with a certificate of the authority for its address is accepted."""
        self.assert_accepted(self.address(self.authority.issue(_HOST)))

    def test_client_certificate(self) -> None:
        """The broker shows its own certificate."""
        self.assert_accepted(self.address(self.authority.issue(_HOST), self.authority.pem()))

    def test_client_refused(self) -> None:
        """A server that refuses the broker's certificate is unreachable: it has not seen the request."""
        address = self.address(self.authority.issue(_HOST), Authority("stranger").pem())
        self.assertRaises(EngineUnreachable, self.ways(address)[0])

    def test_self_signed(self) -> None:
        """A self-signed certificate is refused (M10)."""
        self.assert_refused(self.address(self_signed(_HOST)), "self-signed certificate")

    def test_expired(self) -> None:
        """An expired certificate is refused (M10)."""
        expired = self.authority.issue(_HOST, lasts=-dt.timedelta(hours=1))
        self.assert_refused(self.address(expired), "certificate has expired")

    def test_wrong_name(self) -> None:
        """A certificate for another host is refused (M10)."""
        self.assert_refused(self.address(self.authority.issue("other.example")), "IP address mismatch")
        self.assert_refused(self.address(self.authority.issue("127.0.0.2")), "IP address mismatch")

    def test_no_name(self) -> None:
        """A certificate without names is refused, whatever its subject says."""
        self.assert_refused(self.address(self.authority.issue()), "IP address mismatch")

    def test_other_authority(self) -> None:
        """A certificate of another authority of the same name is refused."""
        self.assert_refused(self.address(Authority().issue(_HOST)), "certificate")

    def test_environment(self) -> None:
        """Authorities in the environment have no say (M11)."""
        stranger = Authority("stranger")
        bundle = Path(self.mktemp())
        bundle.write_bytes(stranger.pem())
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            self.set_variable(name, str(bundle))
        self.assert_refused(self.address(stranger.issue(_HOST)), "unable to get local issuer certificate")
        self.assert_accepted(self.address(self.authority.issue(_HOST)))

    def test_proxy(self) -> None:
        """Proxies in the environment are not used."""
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            self.set_variable(name, "http://127.0.0.1:1")
        self.assert_accepted(self.address(self.authority.issue(_HOST)))

    def test_netrc(self) -> None:
        """Nor are passwords of the user's `.netrc`, nor anything else of the environment."""
        address = self.address(self.authority.issue(_HOST))
        netrc = Path(self.mktemp())
        netrc.write_text(f"machine {_HOST} login somebody password swordfish\n")
        self.set_variable("NETRC", str(netrc))
        asked: list[str | None] = []

        def remember(response: Any, *_args: Any, **_options: Any) -> None:
            asked.append(response.request.headers.get("Authorization"))

        clients = Clients(address)
        self.addCleanup(clients.close)

        def ask(client: Client) -> None:
            client.hooks["response"].append(remember)
            client.version()

        clients.ask(ask, 5.0)
        self.assertEqual(asked, [None])

    def test_old_protocol(self) -> None:
        """A server that speaks no newer TLS than 1.1 is refused, and one with 1.2 is not (S47)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pair = self.authority.issue(_HOST)
            self.assert_refused(self.address(pair, newest=ssl.TLSVersion.TLSv1_1), "rotocol")
        self.assert_accepted(self.address(pair, newest=ssl.TLSVersion.TLSv1_2))

    def test_no_tls_there(self) -> None:
        """Where nothing listens there is no TLS either."""
        with socket.create_server((_HOST, 0)) as listener:
            port = listener.getsockname()[1]
        for way in self.ways(DockerAddress(host=_HOST, port=port, tls=self.material)):
            self.assertRaises(EngineUnreachable, way)

    def test_damaged_material(self) -> None:
        """Damaged material, or a key that does not belong to the certificate, is an error with a sentence."""
        _, other_key = self.authority.issue("other")
        good = self.material
        for tls in (
            TlsMaterial(ca=b"garbage", certificate=good.certificate, key=good.key),
            TlsMaterial(ca=b"\xff", certificate=good.certificate, key=good.key),
            TlsMaterial(ca=good.ca, certificate=good.certificate, key=Secret(other_key)),
            TlsMaterial(ca=good.ca, certificate=good.certificate, key=Secret(b"")),
        ):
            for way in self.ways(DockerAddress(host=_HOST, port=1, tls=tls)):
                self.assertRaises(EngineUnreachable, way)
