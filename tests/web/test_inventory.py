"""The API by which administrators read instances, bindings and operations, and help those that wait."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.hosts import HostKey
from tests.stack import HOST, Stack, add_service
from tests.web.parts import ids, read_all

_HOST_ID = "10.0.0.1,10.0.0.2,2375"


class InventoryCase(SynchronousTestCase):
    """A broker."""

    def setUp(self) -> None:
        """Start it."""
        self.stack = Stack()

    def read(self, path: str, **query: Any) -> list[Any]:
        """Return all of a list, part by part."""
        return read_all(self.stack, f"{path}?{urlencode(query)}" if query else path)


class InstancesTests(InventoryCase):
    """Service instances."""

    def test_one(self) -> None:
        """An instance is told without anything that is secret, with what is wrong with it."""
        self.stack.provision("i-1", parameters={"password": "canary"}, context={"note": "canary"})
        answer = self.stack.request("GET", "/admin/instances/i-1")
        self.assertEqual(answer.status, 200)
        told = answer.json
        self.assertEqual(told.pop("CreatedAt")[:10], "2023-11-14")
        container, [port] = told.pop("Container"), told.pop("Ports").values()
        self.assertIn(container, self.stack.engine.world)
        self.assertGreater(port, 0)
        self.assertEqual(
            told,
            {
                "ID": "i-1",
                "State": "ready",
                "Service": "redis",
                "ServiceID": "redis",
                "PlanID": "redis_100",
                "Image": "redis",
                "Organization": "o-1",
                "Space": "s-1",
                "Host": _HOST_ID,
                "Volumes": {},
                "Generation": 1,
                "Moves": 0,
                "OwnsContainer": True,
            },
        )
        self.assertNotIn(b"canary", answer.body)
        self.stack.persister.tables.conditions["i-1"] = "It is paused."
        told = self.stack.request("GET", "/admin/instances/i-1").json
        self.assertEqual(told["Condition"], "It is paused.")

    def test_unknown(self) -> None:
        """What does not exist is not found, neither it nor its bindings; a wrong id is refused."""
        for path in ("i-9", "i-9/bindings", "i-9/bindings/b-1"):
            answer = self.stack.request("GET", f"/admin/instances/{path}")
            self.assertEqual(answer.status, 404)
            self.assertIn("'i-9'", answer.description)
        self.assertEqual(self.stack.request("GET", f"/admin/instances/{'x' * 256}").status, 400)

    def test_parts(self) -> None:
        """A list is read in parts that follow one another, in the order of the ids' bytes."""
        made = ["a", "B", "c d", "ä", "x%y"]
        for one in made:
            self.stack.provision(quote(one, safe=""))
        in_order = sorted(made, key=str.encode)
        self.assertEqual(ids(self.read("/admin/instances")), in_order)
        for limit in (1, 2, 4, 5, 6):
            self.assertEqual(ids(self.read("/admin/instances", limit=limit)), in_order, limit)
        first = self.stack.request("GET", "/admin/instances?limit=2&space=s-1")
        self.assertEqual(ids(first.json), in_order[:2])
        self.assertEqual(first.header("link"), '</admin/instances?limit=2&space=s-1&after=a>; rel="next"')

    def test_filters(self) -> None:
        """Each filter leaves out what differs, alone and beside others."""
        other = evolve(HOST, key=HostKey(service_host="10.0.0.5", docker_host="10.0.0.5", docker_port=2375))
        self.stack.provision("i-1")
        self.stack.provision("i-2", organization_guid="o-2")
        self.stack.provision("i-3", space_guid="s-2")
        add_service(self.stack.add_host(other))
        Deferred.fromCoroutine(self.stack.persister.cordon(HOST.key, is_cordoned=True))
        self.stack.provision("i-4")
        wanted = {
            "service=redis&plan=redis_100&state=ready": ["i-1", "i-2", "i-3", "i-4"],
            "service=mysql": [],
            "plan=redis_200": [],
            "state=updating": [],
            "organization=o-2": ["i-2"],
            "space=s-2": ["i-3"],
            "space=s-2&organization=o-2": [],
            "host=10.0.0.5": ["i-4"],
            f"host={_HOST_ID}": ["i-1", "i-2", "i-3"],
        }
        for query, expected in wanted.items():
            for limit in (1, 1000):
                found = read_all(self.stack, f"/admin/instances?{query}&limit={limit}")
                self.assertEqual(ids(found), expected, query)

    def test_wrong_queries(self) -> None:
        """A parameter that cannot be is refused in a sentence that names it."""
        limits = ("limit=0", "limit=1001", "limit=-1", "limit=x", "limit=")
        for query in (*limits, "after=", "state=x", "space=", "plan=a&plan=b"):
            answer = self.stack.request("GET", f"/admin/instances?{query}")
            self.assertEqual(answer.status, 400, query)
            self.assertIn(query.partition("=")[0], answer.description)

    def test_unreadable(self) -> None:
        """A record that cannot be read stands in the list as such, and those behind it follow."""
        for one in ("i-1", "i-2", "i-3"):
            self.stack.provision(one)
        self.stack.persister.tables.instances["i-2"]["secret"] = "{"
        found = self.read("/admin/instances", limit=1)
        self.assertEqual(ids(found), ["i-1", "i-2", "i-3"])
        self.assertEqual(found[1], {"ID": "i-2", "State": "unreadable"})
        self.assertEqual(ids(self.read("/admin/instances", space="s-1")), ["i-1", "i-3"])
        self.assertEqual(self.stack.request("GET", "/admin/instances/i-2").status, 503)
        self.flushLoggedErrors()

    def test_bound(self) -> None:
        """However few are wanted, only so many are looked at for an answer, which names the next part."""
        self.stack.provision("i")
        [row] = self.stack.persister.tables.instances.values()
        many = {f"i{number:04}": {**row, "id": f"i{number:04}"} for number in range(1500)}
        self.stack.persister.tables.instances.update(many)
        answer = self.stack.request("GET", "/admin/instances?space=other")
        self.assertEqual((answer.json, "after=i0998" in str(answer.header("link"))), ([], True))
        self.assertEqual(read_all(self.stack, "/admin/instances?space=other"), [])
        self.assertEqual(len(read_all(self.stack, "/admin/instances?space=s-1&limit=700")), 1501)


class BindingsTests(InventoryCase):
    """Bindings."""

    def test_bindings(self) -> None:
        """They are listed in parts and told one by one, without credentials and parameters."""
        self.stack.provision("i-1")
        for number in range(3):
            self.stack.bind("i-1", f"b-{number}", app_guid="a-1", parameters={"note": "canary"})
        path = "/admin/instances/i-1/bindings"
        found = self.read(path, limit=2)
        self.assertEqual(ids(found), ["b-0", "b-1", "b-2"])
        answer = self.stack.request("GET", f"{path}/b-1")
        self.assertEqual((answer.status, answer.json), (200, found[1]))
        self.assertEqual(found[1].pop("CreatedAt")[:10], "2023-11-14")
        told = {"Instance": "i-1", "ID": "b-1", "State": "bound", "Application": "a-1"}
        self.assertEqual(found[1], told)
        for secret in (b"swordfish", b"canary"):
            self.assertNotIn(secret, answer.body)
        self.assertEqual(self.stack.request("GET", f"{path}/b-9").status, 404)
        self.stack.provision("i-2")
        self.assertEqual(self.read("/admin/instances/i-2/bindings"), [])


class PortsTests(InventoryCase):
    """Ports of a host."""

    def test_ports(self) -> None:
        """The leased ports of a host are told with their instances, in parts."""
        for number in range(3):
            self.stack.provision(f"i-{number}")
        every = self.read("/admin/hosts/10.0.0.1/ports")
        self.assertEqual(sorted(one["Instance"] for one in every), ["i-0", "i-1", "i-2"])
        self.assertEqual(every, sorted(every, key=lambda one: int(one["Port"])))
        self.assertEqual(self.read(f"/admin/hosts/{_HOST_ID}/ports", limit=2), every)
        self.assertEqual(self.stack.request("GET", "/admin/hosts/10.0.0.9/ports").status, 404)
        for query in ("after=x", "after=65536", "limit=0"):
            self.assertEqual(self.stack.request("GET", f"/admin/hosts/10.0.0.1/ports?{query}").status, 400)


class OperationsTests(InventoryCase):
    """Operations."""

    def setUp(self) -> None:
        """Provision and bind; another provision waits for its host."""
        super().setUp()
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        self.stack.bind("i-1", "b-2")
        for _ in range(20):
            self.stack.engine.fail_next("create", EngineUnreachable("It is away."))

    def operations(self, **query: Any) -> list[tuple[str, str]]:
        """Return the kinds and subjects of operations."""
        found = self.read("/admin/operations", **query)
        return [(one["Kind"], one.get("Binding", one["Instance"])) for one in found]

    def test_list(self) -> None:
        """Those begun last come first, in parts, all or those on one thing, or of one kind or state."""
        every = [("bind", "b-2"), ("bind", "b-1"), ("provision", "i-1")]
        self.assertEqual(self.operations(), every)
        self.assertEqual(self.operations(limit=1), every)
        self.assertEqual(self.operations(instance="i-1"), every[2:])
        self.assertEqual(self.operations(instance="i-1", binding="b-1"), every[1:2])
        self.assertEqual(self.operations(kind="bind", limit=1), every[:2])
        self.assertEqual(self.operations(state="succeeded"), every)
        self.assertEqual(self.operations(state="failed"), [])
        self.assertEqual(self.operations(unfinished="true"), [])
        self.assertEqual(self.operations(unfinished="true", instance="i-1"), [])

    def test_wrong_queries(self) -> None:
        """A parameter that cannot be is refused, as is one after which nothing can come."""
        for query in ("kind=x", "state=ready", "unfinished=1", "binding=b-1", "after=never"):
            self.assertEqual(self.stack.request("GET", f"/admin/operations?{query}").status, 400, query)

    def test_one(self) -> None:
        """An operation is told with its instance's host and container, and in a sentence what it does."""
        [found] = self.read("/admin/operations", kind="provision")
        told = self.stack.request("GET", f"/admin/operations/{found['ID']}").json
        self.assertEqual({**told, **found}, told)
        self.assertEqual(told["What"], "the service instance is ready")
        self.assertEqual(told["Host"], _HOST_ID)
        self.assertIn(told["Container"], self.stack.engine.world)
        self.assertRegex(found["EndedAt"], r"^2023-.*Z$")
        self.assertNotIn("Step", found)
        self.assertEqual(self.stack.request("GET", "/admin/operations/never").status, 404)

    def test_cancel(self) -> None:
        """One that is under way is cancelled, and undone by whoever carries it; once over it cannot be."""
        asked = self.stack.ask("PUT", "/v2/service_instances/i-2", _BODY)
        [found] = self.read("/admin/operations", unfinished="true")
        answer = self.stack.request("POST", f"/admin/operations/{found['ID']}/cancel")
        self.assertEqual((answer.status, answer.json["IsCancelled"]), (202, True))
        self.assertEqual(self.stack.settle(asked).status, 500)
        again = self.stack.request("POST", f"/admin/operations/{found['ID']}/cancel")
        self.assertEqual(again.status, 409)
        self.assertRegex(again.description, r"\.$")
        self.assertEqual(self.stack.request("POST", "/admin/operations/never/cancel").status, 404)

    def test_retry(self) -> None:
        """One that waits is tried at once; one that is carried or over is not, and that is said."""
        [found] = self.read("/admin/operations", kind="provision")
        path = f"/admin/operations/{found['ID']}/retry"
        self.assertEqual(self.stack.request("POST", path).status, 409)
        self.assertEqual(self.stack.request("POST", "/admin/operations/never/retry").status, 404)
        row = self.stack.persister.tables.operations[found["ID"]]
        waits = self.stack.clock.seconds() + 500
        row.update(is_over=False, phase="in progress", finished_at=None, lease_until=waits, owner=None)
        answer = self.stack.request("POST", path)
        self.assertEqual((answer.status, answer.json["ID"]), (202, found["ID"]))
        self.assertLessEqual(row["lease_until"] or 0.0, self.stack.clock.seconds())

    def test_methods(self) -> None:
        """What is read cannot be written, and the answer says by what it can be asked."""
        for path, allowed in (
            ("/admin/instances", "GET, HEAD"),
            ("/admin/instances/i-1", "GET, HEAD"),
            ("/admin/operations/o/retry", "POST"),
            ("/admin/operations/o/cancel", "POST"),
        ):
            answer = self.stack.request("DELETE", path)
            self.assertEqual((answer.status, answer.header("allow")), (405, allowed), path)
            self.assertTrue(re.search(r"\.$", answer.description))


_BODY = {"service_id": "redis", "plan_id": "redis_100", "organization_guid": "o-1", "space_guid": "s-1"}
