"""What all routes under `/admin` have in common, as the document tells: parameters, tags and parts."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from attrs import evolve
from twisted.internet.defer import Deferred

from dockerbroker import wire
from dockerbroker.model.certificates import decode_certificate
from dockerbroker.model.roles import Role
from dockerbroker.web.routes import Route
from tests.stack import HOST
from tests.web.parts import read_all
from tests.web.test_certificates import CertificatesCase, body
from tests.web.test_operators_document import read

_PARAMETERS: Final = {"host": "10.0.0.1", "instance_id": "i-1", "binding_id": "b-1"}
_ONES: Final = ("a", "b,c", "d e", "ä")


def documented(route: Route) -> list[str]:
    """Return the names of a route's parameters in the query, as the document tells of them."""
    told = read()
    given = told["paths"][route.path][route.method.lower()].get("parameters", [])
    found = [
        told["components"]["parameters"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        for one in given
    ]
    return [one["name"] for one in found if one["in"] == "query"]


class ListsCase(CertificatesCase):
    """A broker of which there is something to read."""

    def setUp(self) -> None:
        """Let it have an instance, whose operation is over, and a binding."""
        super().setUp()
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        [operation, _] = self.stack.request("GET", "/admin/operations").json
        self.values = {**_PARAMETERS, "operation_id": operation["ID"]}

    def routes(self) -> list[Route]:
        """Return the routes under `/admin`."""
        return [
            route
            for route in self.stack.site.routes()
            if route.role is Role.ADMINISTRATOR and route.path.startswith("/admin/")
        ]


class ParametersTests(ListsCase):
    """Parameters that a path does not know."""

    def test_unknown(self) -> None:
        """Every path refuses them, before it does anything, and names exactly those of the document."""
        before = self.stack.persister.tables.hosts[HOST.key]
        for route in self.routes():
            known = documented(route)
            for name in ("Limit", "stat", "x" * 999):
                path = f"{route.at(self.values)}?{urlencode({name: '1'})}"
                answer = self.stack.request(route.method, path)
                self.assertEqual(answer.status, 400, (route, answer.body))
                self.assertIn(repr(name[:50]), answer.description)
                told = answer.description.rpartition(" knows ")[2].removesuffix(".").split(", ")
                self.assertEqual(sorted(told), sorted(known) or ["no parameter"], route)
        self.assertEqual(self.stack.persister.tables.hosts[HOST.key], before)

    def test_elsewhere(self) -> None:
        """Platforms may send what they like, and so may who uses the paths of the original."""
        for path in ("/v2/catalog", "/v2/service_instances/i-1", "/certificates", "/docker/images"):
            self.assertEqual(self.stack.request("GET", f"{path}?other=1").status, 200, path)

    def test_values(self) -> None:
        """A filter whose value nothing can have is refused, and the parameter named."""
        for path, query in (
            ("audit", "action=putimage"),
            ("operations", f"instance={'x' * 256}"),
            ("operations", "instance=i-1&binding=a%2Fb"),
            ("operations", "kind=backup"),
            ("operations", "unfinished=yes"),
            ("instances", "state=gone"),
            ("hosts", "limit=1001"),
            ("conditions", "after="),
            ("credentials", "limit=0"),
            ("certificates", "limit=x"),
        ):
            answer = self.stack.request("GET", f"/admin/{path}?{query}")
            self.assertEqual(answer.status, 400, query)
            self.assertIn(query.rpartition("&")[2].partition("=")[0], answer.description)


class TagsTests(ListsCase):
    """Entity tags."""

    def test_known(self) -> None:
        """Whatever is read has one, and is not sent again to who has it, also by line."""
        routes = [route.at(self.values) for route in self.routes() if route.method == "GET"]
        self.assertGreater(len(routes), 15)
        for path in (*routes, "/admin/audit?format=ndjson"):
            answer = self.stack.request("GET", path)
            tag = str(answer.header("etag"))
            again = self.stack.request("GET", path, headers={"if-none-match": tag})
            self.assertEqual((answer.status, again.status, again.body), (200, 304, b""), path)

    def test_changed(self) -> None:
        """What has changed has another one."""
        for path in ("credentials", "audit", "audit?format=ndjson"):
            tag = str(self.stack.request("GET", f"/admin/{path}").header("etag"))
            self.stack.request("POST", "/admin/credentials", {"Role": "agent", "User": "a"})
            again = self.stack.request("GET", f"/admin/{path}", headers={"if-none-match": tag})
            self.assertEqual(again.status, 200, path)


class PartsTests(ListsCase):
    """Lists in parts."""

    def assert_parts(self, name: str, member: str, expected: list[str]) -> None:
        """A list is the same in parts of any size, in the order of one of its members."""
        for limit in range(1, len(expected) + 2):
            found = read_all(self.stack, f"/admin/{name}?limit={limit}")
            self.assertEqual([one[member] for one in found], expected, (name, limit))
            first = self.stack.request("GET", f"/admin/{name}?limit={limit}")
            self.assertEqual(first.header("link") is None, limit >= len(expected), (name, limit))
        beyond: list[Any] = self.stack.request("GET", f"/admin/{name}?after={'~' * 9}").json
        self.assertEqual([one[member] for one in beyond], [one for one in expected if one > "~" * 9])

    def test_hosts(self) -> None:
        """Hosts are told in the order of their ids."""
        self.stack.persister.forget_pings()
        for one in _ONES:
            self.stack.add_host(evolve(HOST, key=evolve(HOST.key, service_host=one)))
        found = [one["ID"] for one in self.stack.request("GET", "/admin/hosts").json]
        self.assertGreaterEqual(len(found), len(_ONES))
        self.assert_parts("hosts", "ID", sorted(found))

    def test_conditions(self) -> None:
        """Conditions are told in the order of the ids of the instances."""
        self.stack.persister.tables.conditions.update(dict.fromkeys(_ONES, "It is paused."))
        self.assert_parts("conditions", "Instance", sorted(_ONES))

    def test_certificates(self) -> None:
        """Certificates are told in the order of the hosts; the list of the original is told as a whole."""
        hosts = [f"10.0.0.{number}" for number in range(100, 204)]
        made = decode_certificate(HOST.key.docker_host, wire.encode(body()))
        for one in hosts:
            Deferred.fromCoroutine(self.stack.persister.put_certificate(evolve(made, host=one)))
        self.assertEqual(len(self.stack.request("GET", "/admin/certificates").json), 100)
        self.assertEqual([one["Host"] for one in read_all(self.stack, "/admin/certificates")], hosts)
        whole = self.stack.request("GET", "/certificates")
        self.assertEqual(([one["Host"] for one in whole.json], whole.header("link")), (hosts, None))

    def test_credentials(self) -> None:
        """Credentials are told in the order of their ids."""
        for one in _ONES:
            self.stack.request("POST", "/admin/credentials", {"Role": "agent", "User": one})
        found = [one["ID"] for one in self.stack.request("GET", "/admin/credentials").json]
        self.assert_parts("credentials", "ID", sorted(found))
