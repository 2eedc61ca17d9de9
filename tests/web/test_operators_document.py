"""`docs/openapi-operators.yaml` names the routes for agents and operators; answers are as it says."""

from __future__ import annotations

from functools import cache
from typing import Any, Final
from urllib.parse import quote

import yaml
from jsonschema import Draft7Validator
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.confinement import REFUSED_KEYS
from dockerbroker.model.definitions import decode_image, encode_image, read_image
from dockerbroker.model.members import Members
from dockerbroker.model.roles import Role
from tests.broker.test_comparing import orphan
from tests.documented import DOCS
from tests.model.test_pings import PING, VITALS
from tests.stack import HOST, Stack
from tests.web.test_certificates import CertificatesCase, body

_NAME = HOST.key.docker_host

#: Images of which everything is told.
WHOLE: Final[tuple[dict[str, Any], ...]] = (
    {
        "Id": "a-1",
        "Image": "b:1",
        "Description": "c",
        "Bindable": False,
        "Tags": ["d"],
        "Requires": ["syslog_drain"],
        "Metadata": {"displayName": "e"},
        "Dashboardclient": {"id": "f", "secret": "g", "redirect_uri": "https://h.example"},
        "Planupdateable": True,
        "Instancesretrievable": False,
        "Allowcontextupdates": True,
        "Legacyarguments": True,
        "Hostlabels": {"disk": "ssd"},
        "Plans": [
            {
                "Name": "i",
                "Id": "j",
                "Description": "k",
                "Free": False,
                "Metadata": {"bullets": ["l"]},
                "Maintenanceinfo": {"Version": "1.0.0", "Description": "m"},
                "Maximumpollingduration": 900,
                "Bindable": True,
                "Planupdateable": False,
                "Bindingrotatable": True,
                "Asynchronousonly": True,
                "Environment": {"N": "o"},
                "Command": ["p"],
                "Memory": "64m",
                "Cpus": 0.5,
                "Pids": 10,
                "Restart": "no",
                "Volumes": {"qq": "/r"},
                "Hostlabels": {"zone": "s"},
                "Samehost": "never",
            }
        ],
    },
    {
        "Plan": "t",
        "Numinstances": 0,
        "Containername": "uu",
        "Credentials": {"v": "$HOST"},
        "DashBoardUrl": {"dashboard_url": "http://$HOST"},
        "Bindingsretrievable": False,
    },
)


@cache
def read() -> dict[str, Any]:
    """Return the document."""
    document: dict[str, Any] = yaml.safe_load((DOCS / "openapi-operators.yaml").read_text("utf-8"))
    return document


class RoutesTests(SynchronousTestCase):
    """The document beside the routers."""

    def test_routes(self) -> None:
        """Every route is in it, and no other."""
        served = {
            (route.method, route.path)
            for route in Stack().site.routes()
            if route.role in {Role.AGENT, Role.ADMINISTRATOR}
        }
        told = {
            (method.upper(), path)
            for path, item in read()["paths"].items()
            for method in item
            if method != "parameters"
        }
        self.assertEqual(told, served)

    def test_in_the_whole(self) -> None:
        """The document of all APIs leads to each of its paths, and to nothing else in it."""
        whole = yaml.safe_load((DOCS / "openapi.yaml").read_text("utf-8"))["paths"]
        led = {path: item["$ref"] for path, item in whole.items() if "$ref" in item}
        pointers = {
            path: quote(path.replace("~", "~0").replace("/", "~1"), safe="~") for path in read()["paths"]
        }
        expected = {path: f"openapi-operators.yaml#/paths/{pointer}" for path, pointer in pointers.items()}
        self.assertEqual(led, expected)


class PingTests(SynchronousTestCase):
    """The document beside the pings of agents."""

    def test_members(self) -> None:
        """Whatever an agent of ours sends is in it, but for what is not used, and has the right type."""
        schema = read()["components"]["schemas"]["Ping"]
        sent = {**PING, **VITALS, "DockerTrouble": "It hangs.", "Labels": {"a": "b"}, "OwnKeepAlive": 4.0}
        self.assertEqual(set(schema["properties"]), set(sent) - {"LastPing", "Portbindings"})
        self.assertEqual([error.message for error in Draft7Validator(schema).iter_errors(sent)], [])


class ImageTests(SynchronousTestCase):
    """The document beside image definitions."""

    def test_members(self) -> None:
        """Whatever of an image or a plan is read is in it, and nothing else."""
        schemas = read()["components"]["schemas"]
        members = Members(document={"name": "a", "plans": [{"name": "b"}]})
        read_image(members)
        [plan] = members.inside[:1]
        for kind, seen in (("Image", members.seen), ("Plan", plan.seen)):
            self.assertEqual(
                {name.lower() for name in schemas[kind]["properties"]}, seen - {*REFUSED_KEYS}, kind
            )

    def test_written(self) -> None:
        """An image of which everything is told is as it is written down, in an answer, too."""
        document = read()
        schema = {**document["components"]["schemas"]["Image"], "components": document["components"]}
        for sent in WHOLE:
            told = encode_image(decode_image(sent, "a"))
            self.assertGreaterEqual(told.keys(), sent.keys() - {"Plan"})
            for one in (sent, told):
                self.assertEqual([error.message for error in Draft7Validator(schema).iter_errors(one)], [])


class AnswersTests(CertificatesCase):
    """The document beside a broker's answers."""

    def assert_told(self, method: str, path: str, *, document: Any = None, of: str = "") -> None:
        """The answer to a request is one that the document has."""
        answer = self.stack.request(method, path, document)
        told = read()
        found = told["paths"][of or path][method.lower()]["responses"][str(answer.status)]
        if "$ref" in found:
            found = told["components"]["responses"][found["$ref"].rpartition("/")[2]]
        schema = {**found["content"]["application/json"]["schema"], "components": told["components"]}
        self.assertEqual([error.message for error in Draft7Validator(schema).iter_errors(answer.json)], [])

    def test_certificates(self) -> None:
        """Answers about certificates, good ones and others, are as they are written down."""
        path, of = f"/certificate/{_NAME}", "/certificate/{host}"
        self.assert_told("GET", path, of=of)
        self.assert_told("PUT", path, of=of, document={})
        for _ in range(2):
            self.assert_told("PUT", path, of=of, document=body())
        self.assert_told("GET", path, of=of)
        self.assert_told("GET", "/certificates")
        for _ in range(2):
            self.assert_told("DELETE", path, of=of)

    def test_pings(self) -> None:
        """Answers to pings, good ones and others, are as they are written down."""
        for document in (PING, {}, {**PING, "DockerHost": "169.254.169.254"}):
            self.assert_told("POST", "/ping", document=document)

    def test_images(self) -> None:
        """Answers about images, good ones and others, are as they are written down."""
        for catalog in ("docker", "other"):
            self.assert_told("GET", f"/{catalog}/images", of="/{catalog}/images")
            for name in ("redis", "mysql"):
                path, of = f"/{catalog}/image/{name}", "/{catalog}/image/{name}"
                self.assert_told("GET", path, of=of)
                for document in ({}, *WHOLE, {"Id": "redis", "Plan": "a"}):
                    self.assert_told("PUT", path, of=of, document=document)
                self.assert_told("DELETE", path, of=of)
        self.stack.request("PUT", "/docker/image/redis", {"Plan": "100"})
        self.stack.provision("i-1")
        self.assert_told("DELETE", "/docker/image/redis", of="/{catalog}/image/{name}")

    def test_inventory(self) -> None:
        """Answers about instances, bindings and operations, good ones and others, are as they are written."""
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1", app_guid="a-1")
        self.stack.persister.tables.conditions["i-1"] = "It is paused."
        for query in ("", "?limit=0", "?limit=1"):
            self.assert_told("GET", f"/admin/instances{query}", of="/admin/instances")
            self.assert_told("GET", f"/admin/operations{query}", of="/admin/operations")
        [one] = self.stack.request("GET", "/admin/operations?limit=1").json
        of = {"instances": "/admin/instances/{instance_id}", "operations": "/admin/operations/{operation_id}"}
        for name in ("i-1", "i-9", "x" * 256):
            path = f"/admin/instances/{name}"
            self.assert_told("GET", path, of=of["instances"])
            self.assert_told("GET", f"{path}/bindings", of=f"{of['instances']}/bindings")
            for binding in ("b-1", "b-9"):
                told = f"{of['instances']}/bindings/{{binding_id}}"
                self.assert_told("GET", f"{path}/bindings/{binding}", of=told)
        for name in (one["ID"], "never"):
            path = f"/admin/operations/{name}"
            self.assert_told("GET", path, of=of["operations"])
            self.assert_told("POST", f"{path}/retry", of=f"{of['operations']}/retry")
            self.assert_told("POST", f"{path}/cancel", of=f"{of['operations']}/cancel")
        self.assert_told("GET", "/admin/hosts/10.0.0.1/ports", of="/admin/hosts/{host}/ports")
        self.assert_told("GET", "/admin/catalog")
        self.assert_told("GET", "/admin/keys")

    def test_reaper(self) -> None:
        """Answers about what nobody owns are as they are written down, whichever way it ends."""
        orphan(self.stack, "i-1")
        self.assert_told("GET", "/admin/orphans")
        self.assert_told("GET", "/admin/reaper")
        for query in ("?force=x", "", ""):
            self.assert_told("POST", f"/admin/reaper{query}", of="/admin/reaper")
        self.assert_told("GET", "/admin/reaper")
        self.stack.advance(90)
        self.assert_told("GET", "/admin/reaper")
        self.stack.engine.reachable = False
        self.assert_told("GET", "/admin/orphans")

    def test_served(self) -> None:
        """A broker serves both documents as they are."""
        for name in ("openapi.yaml", "openapi-operators.yaml"):
            answer = self.stack.request("GET", f"/admin/{name}")
            self.assertEqual((answer.status, answer.header("content-type")), (200, "application/yaml"))
            self.assertEqual(answer.body, (DOCS / name).read_bytes())

    def test_hosts(self) -> None:
        """Answers about hosts, of which all or little is known, are as they are written down."""
        self.stack.persister.forget_pings()
        whole = {**PING, "EngineID": "e", "MemoryFree": 5, "CPULoad": 0.5, "Labels": {"disk": "ssd"}}
        self.assert_told("POST", "/ping", document=whole)
        self.stack.provision("i-1")
        self.assert_told("GET", "/admin/hosts")
        self.stack.persister.tables.conditions["i-1"] = "It is paused."
        self.assert_told("GET", "/admin/conditions")
        for name in ("10.0.0.1", "elsewhere"):
            path, of = f"/admin/hosts/{name}", "/admin/hosts/{host}"
            self.assert_told("GET", path, of=of)
            self.assert_told("PUT", f"{path}/cordon", of=f"{of}/cordon")
            self.assert_told("DELETE", f"{path}/cordon", of=f"{of}/cordon")
            for method in ("PUT", "GET", "DELETE"):
                self.assert_told(method, f"{path}/drain", of=f"{of}/drain")
            for query in ("", "?force=perhaps", "?force=true"):
                self.assert_told("POST", f"{path}/forget{query}", of=f"{of}/forget")
