"""Trying whether a certificate opens an engine, on servers of every quality."""

from __future__ import annotations

import datetime as dt
import socket
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from dockerbroker.engines.interfaces import ITrials
from dockerbroker.engines.trials import DockerTrials
from dockerbroker.errors import EngineError, InvalidRequest
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.docker_addresses import folded_host
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.secrets import Secret
from tests.contracts.real import engines_for
from tests.engines.certificates import Authority, TlsServer, self_signed
from tests.memory_trials import MemoryTrials

HOST = "127.0.0.1"


class TrialsTests(TestCase):
    """Trials on loopback; each is over at once, or has a deadline of its own."""

    timeout = 60

    def setUp(self) -> None:
        """Have an authority, and engines that trust no certificate yet."""
        self.authority = Authority()
        certificate, key = self.authority.issue("broker")
        self.certificate = HostCertificate(
            host=HOST,
            certificate=certificate.decode(),
            key=Secret(key.decode()),
            ca=self.authority.pem().decode(),
        )
        self.trials = DockerTrials(engines_for(self))

    def server(self, pair: tuple[bytes, bytes], client_ca: bytes | None = None) -> int:
        """Start a server with this certificate and key; return its port."""
        server = TlsServer(*pair, client_ca)
        server.start()
        self.addCleanup(server.stop)
        return server.port

    async def trouble(self, port: int, name: str = HOST) -> str:
        """Return why the certificate does not open the engine at a port, or nothing."""
        host = DockerHost(key=HostKey(service_host="s", docker_host=name, docker_port=port))
        self.assertEqual(folded_host(name), name)
        try:
            await self.trials.attempt(host, self.certificate)
        except EngineError as error:
            self.assertNotIn("\n", error.description)
            self.assertIn(f"{name}:{port}", error.description)
            return error.description
        return ""

    def test_interface(self) -> None:
        """The trials, and those of the tests, are what the broker expects."""
        self.assertTrue(verifyObject(ITrials, self.trials))
        self.assertTrue(verifyObject(ITrials, MemoryTrials()))

    async def test_good(self) -> None:
        """An engine that shows a certificate of the authority for its address and takes ours is opened."""
        self.assertEqual(
            await self.trouble(self.server(self.authority.issue(HOST), self.authority.pem())), ""
        )

    async def test_bad_server(self) -> None:
        """An engine with a self-signed or expired certificate, or that of another name, is not opened."""
        expired = self.authority.issue(HOST, lasts=-dt.timedelta(hours=1))
        for pair, words in (
            (self_signed(HOST), "self-signed"),
            (expired, "expired"),
            (self.authority.issue("127.0.0.2"), "IP address mismatch"),
            (self.authority.issue("localhost"), "IP address mismatch"),
            (self.authority.issue(), "IP address mismatch"),
            (Authority("stranger").issue(HOST), "unable to get local issuer"),
        ):
            self.assertIn(words, await self.trouble(self.server(pair)))

    async def test_name(self) -> None:
        """A host that is reached by a name must show that name."""
        self.assertEqual(await self.trouble(self.server(self.authority.issue("localhost")), "localhost"), "")
        wrong = await self.trouble(self.server(self.authority.issue(HOST)), "localhost")
        self.assertIn("ostname mismatch", wrong)

    async def test_wrong_client(self) -> None:
        """An engine that takes the certificates of another authority alone is not opened."""
        port = self.server(self.authority.issue(HOST), Authority("stranger").pem())
        self.assertNotEqual(await self.trouble(port), "")

    async def test_nobody(self) -> None:
        """Where nobody listens, or there is no TLS, or no answer, nothing is opened."""
        with socket.create_server((HOST, 0)) as silent:
            self.assertNotEqual(await self.trouble(silent.getsockname()[1]), "")
        with socket.create_server((HOST, 0)) as listener:
            port = listener.getsockname()[1]
        self.assertIn("refused", await self.trouble(port))

    def test_check(self) -> None:
        """What no connection can be made with is refused at once, with one line."""
        self.trials.check(self.certificate)
        _, other = self.authority.issue("other")
        changes: tuple[dict[str, Any], ...] = (
            {"key": Secret(other.decode())},
            {"key": Secret("")},
            {"ca": ""},
            {"certificate": "words"},
        )
        for change in changes:
            members = {"key": self.certificate.key, "ca": self.certificate.ca}
            wrong = HostCertificate(
                **{"host": HOST, "certificate": self.certificate.certificate, **members, **change}
            )
            error = self.assertRaises(InvalidRequest, self.trials.check, wrong)
            self.assertNotIn("\n", error.description)

    async def test_after_that(self) -> None:
        """A trial leaves no connection behind, and changes nothing in what is trusted."""
        port = self.server(self.authority.issue(HOST), self.authority.pem())
        self.assertEqual(await self.trouble(port), "")
        host = DockerHost(key=HostKey(service_host="s", docker_host=HOST, docker_port=port))
        engine = self.trials.engines(host)
        self.assertIsNone(engine.connections.clients.address.tls)
        await self.assertFailure(ensureDeferred(engine.containers("c")), EngineError)
