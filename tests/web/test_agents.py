"""Pings of agents."""

import datetime as dt
import json
from base64 import b64encode
from typing import Any

from attrs import evolve
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL.crypto import X509
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dockerbroker.broker.pings import PACE, Pings
from dockerbroker.errors import Unavailable
from dockerbroker.model.docker_addresses import AllowedAddresses
from dockerbroker.model.hosts import HostKey
from dockerbroker.web.agents import Agents
from tests.engines.certificates import Authority
from tests.model.test_pings import PING, README_PING
from tests.pinging import ping
from tests.stack import ANYWHERE, HOST, Stack
from tests.web.connection import AUTHORIZATION, Connection, HalfClosable
from tests.web.test_certificates import body as certificate_body


@implementer(ISSLTransport)
class Encrypted(HalfClosable):
    """A transport on which a client has shown a certificate for these names."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        certificate, _ = Authority().issue(*names)
        self._certificate = X509.from_cryptography(load_pem_x509_certificate(certificate))

    def getTcpKeepAlive(self) -> bool:
        """Return that there is none."""
        return False

    def getTcpNoDelay(self) -> bool:
        """Return that nothing is held back."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Do nothing."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""

    def getPeerCertificate(self) -> X509:
        """Return the certificate."""
        return self._certificate


class CertificateTests(SynchronousTestCase):
    """Agents that show a certificate of their own."""

    def answered(self, *names: str) -> bytes:
        """Ping for the host 10.0.0.7 with a certificate for these names; return the answer."""
        connection = Connection(Stack(), Encrypted(*names))
        body = b'{"ServiceHost":"10.0.0.7","DockerHost":"10.0.0.7","DockerPort":2376}'
        connection.head(
            b"Content-Type: application/json", b"Content-Length: %d" % len(body), request=b"POST /ping"
        )
        connection.send(body)
        return connection.received()

    def test_own(self) -> None:
        """One that is for the servicehost may ping for it."""
        self.assertIn(b"HTTP/1.1 200 ", self.answered("docker7.example.org", "10.0.0.7"))

    def test_of_another(self) -> None:
        """S29: one that is for other hosts, or for none, may not, whatever the body says."""
        for names in (("10.0.0.8",), ("10.0.0.70", "docker7"), ()):
            answer = self.answered(*names)
            self.assertIn(b"HTTP/1.1 403 ", answer)
            self.assertIn(b"certificate", answer)

    def test_how_it_is_reached(self) -> None:
        """An agent says how those hosts are reached that its certificate is for; administrators of all."""
        stack = Stack()
        stack.skew = dt.datetime.now(dt.UTC).timestamp() - stack._wall()
        login = {"Role": "agent", "User": "a", "Password": "another horse"}
        self.assertEqual(stack.request("POST", "/admin/credentials", login).status, 201)
        agent = b"Basic " + b64encode(b"a:another horse")
        for authorization, name, status in (
            (agent, "docker7", b"403"),
            (agent, HOST.key.service_host, b"201"),
            (AUTHORIZATION, "docker7", b"200"),
        ):
            connection = Connection(stack, Encrypted(name))
            sent = json.dumps(certificate_body()).encode()
            connection.head(
                b"Content-Type: application/json",
                b"Content-Length: %d" % len(sent),
                request=b"PUT /certificate/" + HOST.key.docker_host.encode(),
                authorization=authorization,
            )
            connection.send(sent)
            self.assertIn(b"HTTP/1.1 %s " % status, connection.received())


class PingTests(SynchronousTestCase):
    """POST /ping."""

    def setUp(self) -> None:
        """Start a broker that knows no host but its first one."""
        self.stack = Stack()

    def told(self) -> Any:
        """Return what administrators are told of the host that pinged."""
        hosts = self.stack.request("GET", "/admin/hosts").json
        (host,) = [one for one in hosts if one["ServiceHost"] == PING["ServiceHost"]]
        return host

    def known(self) -> list[HostKey]:
        """Return the keys of the known hosts."""
        return list(self.stack.persister.tables.hosts)

    def test_readme(self) -> None:
        """The README's ping, as an old agent sends it, makes its host known."""
        headers = {"X-Broker-API-Version": "1.1"}
        answer = self.stack.request("POST", "/ping", README_PING.encode(), headers=headers)
        self.assertEqual((answer.status, answer.json), (200, {"KeepAlive": 1}))
        expected = HostKey(service_host="localhost", docker_host="localhost", docker_port=1234)
        self.assertIn(expected, self.known())

    def test_own_address(self) -> None:
        """S32: by default an agent names its own address, and no other one; never one of a cloud."""
        stack = Stack(addresses=AllowedAddresses())
        before = dict(stack.persister.tables.hosts)
        strange = ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "10.0.0.99", "docker1")
        for address in strange:
            answer = stack.request("POST", "/ping", {**PING, "DockerHost": address, "DockerPort": 2375})
            self.assertEqual(answer.status, 403, address)
        self.assertEqual(stack.persister.tables.hosts, before)
        records = self.successResultOf(Deferred.fromCoroutine(stack.persister.audit(0, 99)))
        self.assertEqual([one.members["result"] for one in records].count("refused"), 5)

    def test_commands(self) -> None:
        """An agent cannot have a command of its own choice run on the broker's machine."""
        command = {**PING, "ExecCommand": "DockerCommandExec", "ExecArgs": "sh,-c,id"}
        answer = self.stack.request("POST", "/ping", command)
        self.assertEqual(answer.status, 403)
        self.assertIn("execcommands", answer.description)
        self.assertEqual(self.stack.request("POST", "/ping", {**command, "ExecArgs": ""}).status, 200)

    def test_registering_too_often(self) -> None:
        """S31: the fourth agent of one host within eight seconds is told to wait, and for how long."""
        statuses = [
            self.stack.request("POST", "/ping", {**PING, "Session": name, "Sequence": 1}).status
            for name in "abc"
        ]
        self.assertNotIn(429, statuses)
        answer = self.stack.request("POST", "/ping", {**PING, "Session": "d", "Sequence": 1})
        self.assertEqual((answer.status, answer.header("retry-after")), (429, "8"))
        self.stack.advance(8)
        again = self.stack.request("POST", "/ping", {**PING, "Session": "d", "Sequence": 1})
        self.assertNotEqual(again.status, 429)

    def test_too_many(self) -> None:
        """S31: an agent that speaks for one host makes 16 addresses of it known, and pings on for them."""
        login = {"Role": "agent", "User": "a", "Password": "another horse", "ServiceHost": "h"}
        self.assertEqual(self.stack.request("POST", "/admin/credentials", login).status, 201)
        told = {"ServiceHost": "h", "DockerHost": "127.0.0.1"}
        auth = ("a", "another horse")
        for ports, status in ((range(1, 17), 200), (range(17, 20), 403), (range(1, 3), 200)):
            for port in ports:
                answer = self.stack.request("POST", "/ping", {**told, "DockerPort": port}, auth=auth)
                self.assertEqual(answer.status, status, (port, answer.body))
        self.assertEqual(len(self.known()), 1 + 16)

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

    def test_absurd_body(self) -> None:
        """A ping of 10 MB is refused with 413, one that is no JSON object with 400, and nothing is stored."""
        before = dict(self.stack.persister.tables.hosts)
        huge = {**PING, "DockerTrouble": "x" * 10_000_000}
        self.assertEqual(self.stack.request("POST", "/ping", huge).status, 413)
        for raw in (b"", b"[]", b"null", b'{"ServiceHost": NaN}', b"{", b"[" * 10_000):
            answer = self.stack.request("POST", "/ping", raw)
            self.assertEqual(answer.status, 400, raw[:20])
            self.assertNotIn("\n", answer.description)
        self.assertEqual(self.stack.persister.tables.hosts, before)

    def test_whatever_time_it_says(self) -> None:
        """The time of the agent's clock changes nothing, be it in the future."""
        self.stack.request("POST", "/ping", {**PING, "LastPing": "2999-01-01T00:00:00Z"})
        first = dict(self.stack.persister.tables.hosts)
        self.stack.request("POST", "/ping", {**PING, "LastPing": "1999-01-01T00:00:00Z"})
        self.assertEqual(self.stack.persister.tables.hosts, first)

    def test_old_session(self) -> None:
        """A ping that was stored already, or one of a session that was replaced, is refused with 409."""
        for session, sequence, status in (("a", 2, 200), ("a", 1, 409), ("b", 1, 200), ("a", 3, 409)):
            ping = {**PING, "Session": session, "Sequence": sequence}
            answer = self.stack.request("POST", "/ping", ping)
            self.assertEqual(answer.status, status, (session, sequence))

    def test_other_engine(self) -> None:
        """A ping of another Docker Engine under the same address is refused with 409, and says why."""
        self.stack.request("POST", "/ping", {**PING, "EngineID": "e-1"})
        answer = self.stack.request("POST", "/ping", {**PING, "EngineID": "e-2"})
        self.assertEqual(answer.status, 409)
        self.assertIn("another Docker Engine", answer.description)
        self.assertEqual(self.stack.request("POST", "/ping", {**PING, "EngineID": "e-1"}).status, 200)

    def test_outdated(self) -> None:
        """A host whose runc is too old is told of, and not used where that is configured (S50)."""
        old = {**PING, "RuncVersion": "1.1.12"}
        self.assertEqual(self.stack.request("POST", "/ping", old).status, 200)
        host = self.told()
        self.assertIn("runc 1.1.12 is older than 1.2.8", host["Outdated"])
        self.assertEqual((host["Hindrance"], host["Vitals"]["RuncVersion"]), ("", "1.1.12"))
        pings = Pings(self.stack.persister, self.stack.clock, pace=0)
        strict = Agents(pings, ANYWHERE, refuses_outdated=True)
        self.stack.site.open(evolve(self.stack.apis, agents=strict))
        self.assertEqual(self.stack.request("POST", "/ping", old).status, 200)
        host = self.told()
        self.assertIn("runc 1.1.12 is older", host["Hindrance"])
        self.assertFalse(host["IsUsable"])
        self.assertEqual(self.stack.request("POST", "/ping", {**old, "RuncVersion": "1.2.8"}).status, 200)
        host = self.told()
        self.assertEqual((host["Outdated"], host["Hindrance"]), ("", ""))

    def test_trouble(self) -> None:
        """Nothing is placed on a host whose Docker is not well, until its agent says that it is."""
        place = {"ServiceHost": "10.0.0.1", "DockerHost": "10.0.0.2", "DockerPort": 2375, "KeepAlive": 1000}
        self.stack.request("POST", "/ping", {**place, "DockerTrouble": "Docker did not answer within 5 s."})
        self.assertEqual(self.stack.provision("i-1").status, 503)
        self.stack.request("POST", "/ping", place)
        self.assertEqual(self.stack.provision("i-1").status, 201)

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

    def test_gone(self) -> None:
        """The ping of an agent that does not wait for its answer is stored; that is no defect."""
        self.slow()
        connection, body = Connection(self.stack), json.dumps({**PING, "DockerHost": "10.0.0.7"}).encode()
        length = b"Content-Length: %d" % len(body)
        connection.head(b"Content-Type: application/json", length, request=b"POST /ping")
        connection.send(body)
        self.assertEqual(len(self.known()), 1)
        connection.end()
        self.stack.advance(PACE)
        self.assertEqual(len(self.known()), 2)
        self.assertEqual(connection.received(), b"")
        self.assertEqual(self.flushLoggedErrors(), [])

    def slow(self) -> None:
        """Let the next ping wait for others."""
        pings = Pings(self.stack.persister, self.stack.clock)
        self.stack.site.open(evolve(self.stack.apis, agents=Agents(pings, ANYWHERE)))
        pings.record(ping(HOST))

    def test_defect(self) -> None:
        """An agent has an answer also when the broker has a defect, of which the log is told."""
        self.stack.persister.fail_next("record_pings", ZeroDivisionError())
        answer = self.stack.request("POST", "/ping", PING)
        self.assertEqual(answer.status, 500)
        self.assertIn("its log tells more", answer.description)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.stack.request("POST", "/ping", PING).status, 200)

    def test_method(self) -> None:
        """Nothing but a POST is a ping."""
        for method in ("GET", "PUT", "OPTIONS"):
            answer = self.stack.request(method, "/ping")
            self.assertEqual((answer.status, answer.header("Allow")), (405, "POST"), method)
            self.assertTrue(answer.description)

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
