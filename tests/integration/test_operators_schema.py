"""A running broker answers agents and administrators as `docs/openapi-operators.yaml` says."""

from __future__ import annotations

import json
from base64 import b64encode
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit

from jsonschema import Draft7Validator

from tests.integration.schema_case import EXAMPLES, SchemaCase, is_done
from tests.model.test_pings import PING
from tests.platform.serve import OFFERED
from tests.stack import CATALOG, PASSWORD, USER
from tests.web.test_certificates import body
from tests.web.test_operators_document import WHOLE, read

_CONFIGURATION: Final = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "404", "409", "412", "413", "415"]

# A certificate, a definition or a ping may be right by the schema and wrong all the same.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "304", "400", "403", "404", "409", "412"]
"""
#: What there is, so that cases get beyond what is not found.
_THERE: Final = {
    "catalog": (CATALOG,),
    "name": tuple(definition.name for definition in OFFERED),
    "host": ("10.1.0.1", "10.1.0.2"),
}
#: Good requests, in an order in which each can be done: an operation, what stands in its path, and a body.
#: Broken values and those that come to mind by chance rarely name what there is.
GOOD: Final[tuple[tuple[str, dict[str, str], Any], ...]] = (
    ("POST /ping", {}, PING),
    ("PUT /{catalog}/image/{name}", {"catalog": CATALOG, "name": "a"}, WHOLE[0]),
    ("GET /{catalog}/image/{name}", {"catalog": CATALOG, "name": "a"}, None),
    ("DELETE /{catalog}/image/{name}", {"catalog": CATALOG, "name": "a"}, None),
    ("PUT /certificate/{host}", {"host": "d"}, body(Host="d")),
    ("GET /certificate/{host}", {"host": "d"}, None),
    ("DELETE /certificate/{host}", {"host": "d"}, None),
    ("GET /admin/hosts/{host}", {"host": "localhost"}, None),
    ("GET /admin/hosts/{host}/ports", {"host": "localhost"}, None),
    ("PUT /admin/hosts/{host}/cordon", {"host": "localhost"}, None),
    ("DELETE /admin/hosts/{host}/cordon", {"host": "localhost"}, None),
    ("PUT /admin/hosts/{host}/drain", {"host": "localhost"}, None),
    ("GET /admin/hosts/{host}/drain", {"host": "localhost"}, None),
    ("DELETE /admin/hosts/{host}/drain", {"host": "localhost"}, None),
    ("POST /admin/hosts/{host}/forget", {"host": "localhost"}, None),
    ("GET /admin/instances/{instance_id}", {"instance_id": "i"}, None),
    ("GET /admin/instances/{instance_id}/bindings", {"instance_id": "i"}, None),
    (
        "GET /admin/instances/{instance_id}/bindings/{binding_id}",
        {"instance_id": "i", "binding_id": "b"},
        None,
    ),
)
#: What is not done here, and why.
NOT_DONE: Final = {
    "POST /admin/operations/{operation_id}/cancel": "no operation hangs: tests.web.test_audit cancels one",
    "POST /admin/operations/{operation_id}/retry": "no operation waits: tests.web.test_audit retries one",
}


class OperatorsSchemaTests(SchemaCase):
    """Cases by the schema."""

    configuration = _CONFIGURATION

    def test_cases(self) -> None:
        """Each rule of the schema, kept or broken, and random requests are answered as it says.

        Each operation is done at least once.
        """
        done = self.do_good()
        examples = str(max(int(EXAMPLES) // 10, 1))
        arguments = ("--phases", "coverage,fuzzing", "--max-examples", examples)
        report = self.examine(with_known(read()), *arguments)
        for status in (200, 202, 400, 401, 404, 405, 412):
            self.assertGreater(report.count(status), 0, (status, report.statuses))
        self.assertGreater(report.statuses.total(), 1000)
        operations = {
            f"{method.upper()} {path}"
            for path, item in read()["paths"].items()
            for method in item
            if method != "parameters"
        }
        self.assertEqual(operations - done - report.done, set(NOT_DONE))

    def do_good(self) -> set[str]:
        """Send good requests, all of which must be done; return their operations."""
        service, plan = OFFERED[0].service_id, OFFERED[0].plans[0].id
        ids = {"service_id": service, "plan_id": plan}
        path = "/v2/service_instances/i"
        self.ask("PUT", path, {**ids, "organization_guid": "o", "space_guid": "s"})
        self.ask("PUT", f"{path}/service_bindings/b", ids)
        operation, *_ = self.ask("GET", "/admin/operations")
        credential = self.ask("POST", "/admin/credentials", {"Role": "agent", "User": "a"})
        good = (
            *GOOD,
            ("GET /admin/operations/{operation_id}", {"operation_id": operation["ID"]}, None),
            ("DELETE /admin/credentials/{credential}", {"credential": credential["ID"]}, None),
        )
        for name, filled, sent in good:
            method, _, template = name.partition(" ")
            self.assert_allowed(method.lower(), template, sent)
            self.ask(method, template.format(**filled), sent)
        return {name for name, _, _ in good}

    def assert_allowed(self, method: str, template: str, sent: Any) -> None:
        """The schema has such a request."""
        document = read()
        told = document["paths"][template][method].get("requestBody")
        self.assertEqual(told is None, sent is None, template)
        if told is not None:
            schema = {
                **told["content"]["application/json"]["schema"],
                "components": document["components"],
            }
            self.assertEqual([one.message for one in Draft7Validator(schema).iter_errors(sent)], [])

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """Send a request that must be done; return the answer."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        self.addCleanup(connection.close)
        headers = {
            "Authorization": f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}",
            "Content-Type": "application/json",
            "X-Broker-API-Version": "2.17",
        }
        connection.request(method, path, None if document is None else json.dumps(document), headers)
        answer = connection.getresponse()
        told = answer.read()
        self.assertTrue(is_done(answer.status), (method, path, answer.status, told))
        return json.loads(told)


def with_known(document: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with what there is in paths, or anything else."""
    # YAML's anchors are one object there, which a change must not meet twice.
    whole: dict[str, Any] = json.loads(json.dumps(document))
    for path in whole["paths"].values():
        for parameter in path.get("parameters", ()):
            if parameter["name"] in _THERE:
                there = {"type": "string", "enum": list(_THERE[parameter["name"]])}
                parameter["schema"] = {"anyOf": [there, parameter["schema"]]}
    return whole
