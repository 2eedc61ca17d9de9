"""The API of the certificates by which Docker hosts are reached."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from dockerbroker.model.docker_addresses import AllowedAddresses
from dockerbroker.model.hosts import HostKey
from tests.engine_transport import ThrowawayAuthority, TlsMaterial
from tests.engines.certificates import Authority
from tests.model.test_pings import PING
from tests.stack import HOST, Stack

CLIENT = ThrowawayAuthority().client()
OTHER = ThrowawayAuthority().client()
NAME = HOST.key.docker_host


def body(material: TlsMaterial = CLIENT, **changes: Any) -> dict[str, Any]:
    """Return the body of a PUT."""
    good = {
        "Host": NAME,
        "ClientCert": material.certificate.decode(),
        "ClientKey": material.key.decode(),
        "CA": material.ca.decode(),
    }
    return {**good, **changes}


class CertificatesCase(SynchronousTestCase):
    """A broker whose wall clock is right."""

    def setUp(self) -> None:
        """Start a broker."""
        self.stack = Stack()
        self.stack.skew = dt.datetime.now(dt.UTC).timestamp() - self.stack._wall()


class CertificateTests(CertificatesCase):
    """GET, PUT and DELETE of a certificate, and the list of them."""

    def test_life(self) -> None:
        """A certificate is added, replaced, told, listed and removed."""
        path = f"/certificate/{NAME}"
        self.assertEqual(self.stack.request("GET", path).status, 404)
        added = self.stack.request("PUT", path, body())
        self.assertEqual(added.status, 201)
        replaced = self.stack.request("PUT", path, body(OTHER))
        self.assertEqual(replaced.status, 200)
        self.assertNotEqual(added.json["Fingerprint"], replaced.json["Fingerprint"])
        told = self.stack.request("GET", path)
        self.assertEqual({**told.json, "Trials": replaced.json["Trials"]}, replaced.json)
        self.stack.request("PUT", "/certificate/docker1", body(Host="docker1"))
        listed = self.stack.request("GET", "/certificates")
        self.assertEqual([one["Host"] for one in listed.json], [NAME, "docker1"])
        self.assertEqual(listed.json[0], told.json)
        self.assertEqual((removed := self.stack.request("DELETE", path)).status, 200)
        self.assertEqual(removed.json, {})
        self.assertEqual(self.stack.request("DELETE", path).status, 404)
        self.assertEqual(self.stack.request("GET", path).status, 404)

    def test_readme(self) -> None:
        """The members of the README are enough; those that are unknown are ignored."""
        answer = self.stack.request("PUT", "/certificate/docker1", body(Host="docker1", More=[1]))
        self.assertEqual(answer.status, 201)
        self.assertEqual(answer.json["Trials"], [])

    def test_never_told(self) -> None:
        """No answer has anything of the material (S56)."""
        answers = [
            self.stack.request("PUT", f"/certificate/{NAME}", body()),
            self.stack.request("PUT", f"/certificate/{NAME}", body(CA="x")),
            self.stack.request("GET", f"/certificate/{NAME}"),
            self.stack.request("GET", "/certificates"),
            self.stack.request("DELETE", f"/certificate/{NAME}"),
        ]
        lines = [line for text in body().values() for line in text.splitlines() if len(line) > 40]
        self.assertTrue(lines)
        for answer in answers:
            for line in lines:
                self.assertNotIn(line, json.dumps(answer.json))

    def test_refused(self) -> None:
        """A bad certificate is 400 with one line, and changes nothing."""
        self.stack.request("PUT", f"/certificate/{NAME}", body())
        self.stack.trials.damaged.add("damaged")
        old_certificate, old_key = Authority().issue(lasts=dt.timedelta(hours=-1))
        wrong: tuple[tuple[str, dict[str, Any]], ...] = (
            (NAME, {}),
            (NAME, body(ClientKey=OTHER.key.decode())),
            (NAME, body(CA=CLIENT.certificate.decode())),
            (NAME, body(ClientCert=7)),
            (NAME, body(ClientCert=old_certificate.decode(), ClientKey=old_key.decode())),
            (NAME, body(Host="10.0.0.3")),
            (NAME, body(clientcert="twice")),
            ("unix:%2F%2F%2Frun", body(Host=None)),
            ("a b", body(Host=None)),
            ("damaged", body(Host="damaged")),
        )
        before = dict(self.stack.persister.tables.certificates)
        for host, sent in wrong:
            answer = self.stack.request("PUT", f"/certificate/{host}", sent)
            self.assertEqual(answer.status, 400, sent)
            self.assertNotIn("\n", answer.description)
        for broken in (b"", b"[]", b"{", b"\xff"):
            self.assertEqual(self.stack.request("PUT", f"/certificate/{NAME}", broken).status, 400)
        large = self.stack.request("PUT", f"/certificate/{NAME}", body(More="x" * 300_000))
        self.assertEqual(large.status, 413)
        self.assertEqual(self.stack.persister.tables.certificates, before)

    def test_tried(self) -> None:
        """A certificate is tried on every engine that is known at its address, and nowhere else."""
        ports = (2376, 2377)
        for port in ports:
            key = HostKey(service_host="s", docker_host="Docker1.example.org", docker_port=port)
            self.stack.add_host(evolve(HOST, key=key))
        self.stack.add_host(evolve(HOST, key=HostKey(service_host="t", docker_host="unix:///docker1")))
        name = "docker1.example.org"
        answer = self.stack.request("PUT", f"/certificate/{name}", body(Host=name))
        self.assertEqual(sorted(self.stack.trials.tried), [2376, 2377])
        tried = [
            {"Docker": f"Docker1.example.org:{port}", "Succeeded": True, "Description": ""} for port in ports
        ]
        self.assertEqual(answer.json["Trials"], tried)

    def test_trial_fails(self) -> None:
        """A certificate that opens no engine now is stored all the same, and the answer says why."""
        self.stack.trials.closed.add(NAME)
        answer = self.stack.request("PUT", f"/certificate/{NAME}", body())
        self.assertEqual(answer.status, 201)
        [trial] = answer.json["Trials"]
        self.assertEqual((trial["Docker"], trial["Succeeded"]), ("10.0.0.2:2375", False))
        self.assertIn("cannot be reached", trial["Description"])
        self.assertIn(NAME, self.stack.persister.tables.certificates)

    def test_trial_is_told(self) -> None:
        """What the trial found stands with the host until one succeeds; no host elsewhere is blamed."""
        elsewhere = evolve(HOST, key=HostKey(service_host="e", docker_host="10.9.9.9", docker_port=2376))
        self.stack.add_host(elsewhere)
        self.stack.trials.closed.add(NAME)
        self.stack.request("PUT", f"/certificate/{NAME}", body())
        complaints = {one["DockerHost"]: one["Complaint"] for one in self.hosts()}
        self.assertIn("cannot be reached", complaints["10.0.0.2"])
        self.assertEqual(complaints["10.9.9.9"], "")
        self.stack.trials.closed.clear()
        self.stack.request("PUT", f"/certificate/{NAME}", body())
        self.assertEqual({one["Complaint"] for one in self.hosts()}, {""})

    def hosts(self) -> list[dict[str, Any]]:
        """Return what administrators are told of the hosts."""
        shown: list[dict[str, Any]] = self.stack.request("GET", "/admin/hosts").json
        return shown

    def test_no_database(self) -> None:
        """Without a database nothing is told or stored."""
        for method in ("certificate", "certificates", "put_certificate", "delete_certificate"):
            self.stack.persister.fail_next(method, Unavailable("The database does not answer."))
        for method, path in (("GET", NAME), ("PUT", NAME), ("DELETE", NAME)):
            self.assertEqual(self.stack.request(method, f"/certificate/{path}", body()).status, 503)
        self.assertEqual(self.stack.request("GET", "/certificates").status, 503)
        self.assertEqual(self.stack.persister.tables.certificates, {})


class AddressesTests(SynchronousTestCase):
    """Which addresses of Docker agents may announce (S32)."""

    def test_refused(self) -> None:
        """A ping with another address is 403 with one line, and nothing is stored."""
        stack = Stack(addresses=AllowedAddresses())
        before = dict(stack.persister.tables.hosts)
        for docker_host in ("10.0.0.2", "169.254.169.254", "docker1", "127.1"):
            answer = stack.request("POST", "/ping", {**PING, "DockerHost": docker_host})
            self.assertEqual(answer.status, 403, docker_host)
            self.assertNotIn("\n", answer.description)
        self.assertEqual(stack.persister.tables.hosts, before)

    def test_own(self) -> None:
        """An agent on the broker's machine may announce its own address, and a socket."""
        stack = Stack(addresses=AllowedAddresses())
        for docker_host in ("127.0.0.1", "localhost", "unix:///var/run/docker.sock"):
            answer = stack.request("POST", "/ping", {**PING, "DockerHost": docker_host})
            self.assertEqual(answer.status, 200, docker_host)
