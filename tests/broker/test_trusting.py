"""Certificates of Docker hosts are looked up at each call."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.trusting import Trust
from dockerbroker.errors import EngineUnreachable, Unavailable
from dockerbroker.model.hosts import DockerHost, HostKey
from tests.memory_persister import MemoryPersister
from tests.persisters.values import certificate


def host(docker_host: str) -> DockerHost:
    """Return the host there."""
    return DockerHost(key=HostKey(service_host="s", docker_host=docker_host, docker_port=2376))


class TrustTests(SynchronousTestCase):
    """What is trusted."""

    def setUp(self) -> None:
        """Have an empty database."""
        self.persister = MemoryPersister(Clock().seconds)
        self.trust = Trust(self.persister)

    def trusted(self, docker_host: str) -> object:
        """Return what is trusted at a host."""
        return self.successResultOf(Deferred.fromCoroutine(self.trust(host(docker_host))))

    def put(self, name: str, text: str) -> None:
        """Store a certificate."""
        self.successResultOf(Deferred.fromCoroutine(self.persister.put_certificate(certificate(name, text))))

    def test_now(self) -> None:
        """The certificate is the one that is stored now, also when another broker has stored it."""
        self.assertIsNone(self.trusted("docker1"))
        for text in ("one", "two"):
            self.put("docker1", text)
            self.assertEqual(self.trusted("docker1"), certificate("docker1", text))
        self.assertIsNone(self.trusted("docker2"))

    def test_written_otherwise(self) -> None:
        """However an agent writes its address, the certificate is that of the address."""
        self.put("docker1", "")
        self.put("fd00::1", "")
        for docker_host in ("Docker1", "docker1.", "[FD00::1]", "fd00:0::1"):
            self.assertIsNotNone(self.trusted(docker_host), docker_host)

    def test_socket(self) -> None:
        """A socket has no certificate, and nothing is looked up."""
        self.assertIsNone(self.trusted("unix:///var/run/docker.sock"))
        self.assertEqual(self.persister.calls, [])

    def test_no_database(self) -> None:
        """While the database does not answer what was found last holds; nothing else does."""
        self.put("docker1", "")
        self.trusted("docker1")
        for _ in range(2):
            self.persister.fail_next("certificate", Unavailable("Down."))
        self.assertEqual(self.trusted("docker1"), certificate("docker1"))
        error = self.failureResultOf(Deferred.fromCoroutine(self.trust(host("docker2"))), EngineUnreachable)
        self.assertIn("docker2", error.value.description)
