"""`docs/openapi-operators.yaml` names the routes for agents and operators; answers are as it says."""

from __future__ import annotations

import re
from typing import Any

import yaml
from jsonschema import Draft7Validator
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.web.agents import Agents
from dockerbroker.web.certificates import CertificateRoutes
from dockerbroker.web.hosts import HostRoutes
from tests.documented import DOCS
from tests.model.test_pings import PING, VITALS
from tests.stack import HOST
from tests.web.test_certificates import CertificatesCase, body

_NAME = HOST.key.docker_host


def read() -> dict[str, Any]:
    """Return the document."""
    document: dict[str, Any] = yaml.safe_load((DOCS / "openapi-operators.yaml").read_text("utf-8"))
    return document


class RoutesTests(SynchronousTestCase):
    """The document beside the routers."""

    def test_routes(self) -> None:
        """Every route is in it, and no other."""
        served = {
            (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
            for api in (Agents, CertificateRoutes, HostRoutes)
            for rule in api.app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD"}
        }
        told = {
            (method.upper(), path)
            for path, item in read()["paths"].items()
            for method in item
            if method != "parameters"
        }
        self.assertEqual(told, served)


class PingTests(SynchronousTestCase):
    """The document beside the pings of agents."""

    def test_members(self) -> None:
        """Whatever an agent of ours sends is in it, but for what is not used, and has the right type."""
        schema = read()["components"]["schemas"]["Ping"]
        sent = {**PING, **VITALS, "DockerTrouble": "It hangs.", "Labels": {"a": "b"}, "OwnKeepAlive": 4.0}
        self.assertEqual(set(schema["properties"]), set(sent) - {"LastPing", "Portbindings"})
        self.assertEqual([error.message for error in Draft7Validator(schema).iter_errors(sent)], [])


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

    def test_hosts(self) -> None:
        """Answers about hosts, of which all or little is known, are as they are written down."""
        self.stack.persister.forget_pings()
        whole = {**PING, "EngineID": "e", "MemoryFree": 5, "CPULoad": 0.5, "Labels": {"disk": "ssd"}}
        self.assert_told("POST", "/ping", document=whole)
        self.stack.provision("i-1")
        self.assert_told("GET", "/admin/hosts")
        for name in ("10.0.0.1", "elsewhere"):
            path, of = f"/admin/hosts/{name}", "/admin/hosts/{host}"
            self.assert_told("GET", path, of=of)
            self.assert_told("PUT", f"{path}/cordon", of=f"{of}/cordon")
            self.assert_told("DELETE", f"{path}/cordon", of=f"{of}/cordon")
            for query in ("", "?force=perhaps", "?force=true"):
                self.assert_told("POST", f"{path}/forget{query}", of=f"{of}/forget")
