"""Pings of agents."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from dockerbroker.model.hosts import HostKey
from tests.model.test_hosts import PING, README_PING
from tests.stack import HOST, Stack


class PingTests(SynchronousTestCase):
    """POST /ping."""

    def setUp(self) -> None:
        """Start a broker that knows no host but its first one."""
        self.stack = Stack()

    def known(self) -> list[HostKey]:
        """Return the keys of the known hosts."""
        return list(self.stack.persister.tables.hosts)

    def test_readme(self) -> None:
        """The README's ping, as an old agent sends it, makes its host known."""
        headers = {"X-Broker-API-Version": "1.1"}
        answer = self.stack.request("POST", "/ping", README_PING.encode(), headers=headers)
        self.assertEqual((answer.status, answer.json), (200, {}))
        expected = HostKey(service_host="localhost", docker_host="localhost", docker_port=1234)
        self.assertIn(expected, self.known())

    def test_refusals_change_nothing(self) -> None:
        """A malformed ping is answered with 400 and leaves everything as it was."""
        before = dict(self.stack.persister.tables.hosts)
        self.stack.advance(1)
        wrong: tuple[dict[str, Any], ...] = (
            {},
            {**PING, "ServiceHost": ""},
            {**PING, "DockerHost": None},
            {**PING, "DockerPort": "many"},
            {**PING, "KeepAlive": 0},
            {**PING, "Portbind_min": 5, "Portbind_max": 4},
            {**PING, "ExecCommand": "Telnet"},
            {**PING, "servicehost": "twice"},
        )
        for body in wrong:
            answer = self.stack.request("POST", "/ping", body)
            self.assertEqual(answer.status, 400, body)
            self.assertTrue(answer.description)
        self.assertEqual(self.stack.persister.tables.hosts, before)

    def test_identity(self) -> None:
        """A host is told apart by its service host, its Docker host and its Docker port."""
        for changes in ({}, {"ServiceHost": "other"}, {"DockerHost": "other"}, {"DockerPort": 4321}):
            for _ in range(2):
                self.stack.request("POST", "/ping", {**PING, **changes})
        self.assertEqual(len(self.known()), 1 + 4)

    def test_acknowledged_when_stored(self) -> None:
        """A ping that could not be stored is not acknowledged."""
        self.stack.persister.fail_next("record_pings", Unavailable("The database does not answer."))
        self.assertEqual(self.stack.request("POST", "/ping", PING).status, 503)

    def test_alive_again(self) -> None:
        """A host that fell silent is used again after its next ping."""
        stack = Stack()
        stack.heartbeat.start()
        stack.advance(1)
        stack.add_host(evolve(HOST, keep_alive=1))
        stack.advance(3.1)
        self.assertEqual(stack.provision("i-1").status, 503)
        ping = {"ServiceHost": "10.0.0.1", "DockerHost": "10.0.0.2", "DockerPort": 2375, "KeepAlive": 1}
        stack.request("POST", "/ping", ping)
        self.assertEqual(stack.provision("i-1").status, 201)
