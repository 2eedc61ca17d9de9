"""The API by which administrators look after Docker hosts."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.hosts import HostKey
from tests.pinging import ping
from tests.stack import HOST, Stack

_LOCAL: Final = evolve(HOST, key=HostKey(service_host="10.0.0.9", docker_host="unix:///run/docker.sock"))
_TWIN: Final = evolve(HOST, key=evolve(HOST.key, docker_host="10.0.0.3"))
_ONE: Final = "/admin/hosts/10.0.0.1"


class HostsTests(SynchronousTestCase):
    """A broker with one host, on which nothing is placed yet."""

    def setUp(self) -> None:
        """Start a broker."""
        self.stack = Stack()

    def hear(self, *hosts: object, **vitals: object) -> None:
        """Let hosts ping."""
        told = [ping(host, **vitals) for host in hosts or (HOST,)]  # type: ignore[arg-type]
        Deferred.fromCoroutine(self.stack.persister.record_pings(told))

    def test_one(self) -> None:
        """A host is shown with all that is known of it."""
        self.stack.advance(2.5)
        answer = self.stack.request("GET", _ONE)
        self.assertEqual(answer.status, 200)
        self.assertEqual(
            answer.json,
            {
                "ID": "10.0.0.1,10.0.0.2,2375",
                "ServiceHost": "10.0.0.1",
                "DockerHost": "10.0.0.2",
                "DockerPort": 2375,
                "State": "alive",
                "IsUsable": True,
                "Hindrance": "",
                "Complaint": "",
                "Outdated": "",
                "IsCordoned": False,
                "IsDraining": False,
                "IsActive": True,
                "SecondsSincePing": 2.5,
                "KeepAlive": 86400,
                "PerfFactor": 1.0,
                "Labels": {},
                "Instances": 0,
            },
        )

    def test_vitals(self) -> None:
        """What the agent told is shown, but for its session; a Docker in trouble keeps it unused."""
        self.hear(engine_id="e", trouble="Docker does not answer.", memory_free=5, session="s", sequence=1)
        shown = self.stack.request("GET", _ONE).json
        self.assertEqual((shown["IsUsable"], shown["Hindrance"]), (False, "Docker does not answer."))
        vitals = shown["Vitals"]
        self.assertEqual(
            vitals, {"EngineID": "e", "MemoryFree": 5, "DockerTrouble": "Docker does not answer."}
        )

    def test_list(self) -> None:
        """All hosts are listed, in the order of their names, with the instances that they have."""
        self.hear(_LOCAL)
        self.stack.provision("i-1")
        shown = self.stack.request("GET", "/admin/hosts").json
        found = [(one["ServiceHost"], one["DockerPort"], one["Instances"]) for one in shown]
        self.assertEqual(found, [("10.0.0.1", 2375, 1), ("10.0.0.9", 0, 0)])

    def test_names(self) -> None:
        """A host is named by its id, and by its service host unless another one has the same."""
        self.hear(_LOCAL, _TWIN)
        for name in ("10.0.0.9", "10.0.0.9,unix:///run/docker.sock,0"):
            for path in (name, quote(name, safe="")):
                answer = self.stack.request("GET", f"/admin/hosts/{path}")
                self.assertEqual((answer.status, answer.json["ServiceHost"]), (200, "10.0.0.9"), path)
        answer = self.stack.request("GET", _ONE)
        self.assertEqual(answer.status, 409)
        self.assertIn("10.0.0.1,10.0.0.3,2375", answer.description)
        answer = self.stack.request("GET", "/admin/hosts/10.0.0.1,10.0.0.3,2375")
        self.assertEqual(answer.json["DockerHost"], "10.0.0.3")

    def test_unknown(self) -> None:
        """A host that is not known is not found, whatever is asked about it."""
        path = "/admin/hosts/elsewhere"
        for method, tail in (("GET", ""), ("PUT", "/cordon"), ("DELETE", "/cordon"), ("POST", "/forget")):
            self.assertEqual(self.stack.request(method, path + tail).status, 404, tail)

    def test_cordon(self) -> None:
        """Nothing is placed on a host with a cordon, and its instances stay; twice is as once."""
        self.stack.provision("i-1")
        for _ in range(2):
            answer = self.stack.request("PUT", f"{_ONE}/cordon")
            self.assertEqual((answer.status, answer.json["IsCordoned"]), (200, True))
        self.assertIn("cordoned", answer.json["Hindrance"])
        refused = self.stack.provision("i-2")
        self.assertEqual(refused.status, 503)
        self.assertIn("cordoned", refused.description)
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 201)
        for _ in range(2):
            answer = self.stack.request("DELETE", f"{_ONE}/cordon")
            self.assertEqual((answer.status, answer.json["IsCordoned"]), (200, False))
        self.assertEqual(self.stack.provision("i-2").status, 201)

    def test_forget(self) -> None:
        """A host without instances is forgotten, until it pings again."""
        answer = self.stack.request("POST", f"{_ONE}/forget")
        self.assertEqual((answer.status, answer.json), (200, {}))
        self.assertEqual(self.stack.request("GET", "/admin/hosts").json, [])
        self.hear()
        self.assertEqual(len(self.stack.request("GET", "/admin/hosts").json), 1)

    def test_forget_with_instances(self) -> None:
        """While a host has instances it is not forgotten, and they are named; by force it is."""
        for number in range(22):
            self.stack.provision(f"i-{number:02}")
        answer = self.stack.request("POST", f"{_ONE}/forget")
        self.assertEqual(answer.status, 409)
        for part in ("22 service instances", "i-00, i-01", "and 2 more"):
            self.assertIn(part, answer.description)
        self.assertEqual(self.stack.request("POST", f"{_ONE}/forget?force=perhaps").status, 400)
        self.assertEqual(len(self.stack.request("GET", "/admin/hosts").json), 1)
        self.assertEqual(self.stack.request("POST", f"{_ONE}/forget?force=true").status, 200)
        self.assertEqual(self.stack.request("GET", "/admin/hosts").json, [])
        self.assertEqual(len(self.stack.persister.tables.instances), 22)

    def test_conditions(self) -> None:
        """How instances are not as they should be is told, and nothing of those that are well (D10, D14)."""
        self.assertEqual(self.stack.request("GET", "/admin/conditions").json, [])
        for instance_id in ("i-1", "i-2", "i-3"):
            self.stack.provision(instance_id)
        self.stack.comparer.start()
        missing, stopped, _ = self.stack.engine.world.values()
        del self.stack.engine.world[missing.id]
        self.stack.image.startable = False
        self.stack.engine.crash(stopped.id)
        self.stack.advance(300)
        told = self.stack.request("GET", "/admin/conditions").json
        self.assertEqual([one["Instance"] for one in told], ["i-1", "i-2"])
        self.assertIn("is missing on the Docker host 10.0.0.1", told[0]["Condition"])
        self.assertIn("does not stay up", told[1]["Condition"])
        # Whoever wants to use it is told as well, and it is not made anew without its data.
        self.assertIn("removed by somebody else", self.stack.bind("i-1", "b-1").description)

    def test_credentials(self) -> None:
        """Without credentials nothing is told or done."""
        for method, path in (("GET", "/admin/hosts"), ("POST", f"{_ONE}/forget")):
            self.assertEqual(self.stack.request(method, path, auth=None).status, 401)
        self.assertEqual(len(self.stack.request("GET", "/admin/hosts").json), 1)
