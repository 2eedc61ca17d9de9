"""`docs/openapi.yaml` names what the broker's routers have, and every status that they may answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.web.health import READY, UP
from dockerbroker.web.osb import STATUS
from dockerbroker.web.platform import Platform
from tests.platform import schema

_METHODS: Final = ("get", "put", "patch", "delete")
#: Of a path that is written down, these cannot be answered: it has a route, and the methods are those.
_ROUTED: Final = {404, 405}
#: What is said before it is known which operation is asked for.
_TO_ANYBODY: Final = {408, 414, 431}
#: Only agents are told that something is not allowed to them.
_TO_AGENTS: Final = {403}


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from _nodes(inner)
    if isinstance(node, list):
        for inner in node:
            yield from _nodes(inner)


class DocumentTests(SynchronousTestCase):
    """The schema as a document."""

    def setUp(self) -> None:
        """Read it."""
        self.document = schema.read()
        self.operations = {
            (method.upper(), path): item[method]
            for path, item in self.document["paths"].items()
            for method in _METHODS
            if method in item
        }
        self.platform = {key: one for key, one in self.operations.items() if key[1].startswith("/v2/")}

    def test_probes(self) -> None:
        """Besides, it has what everybody may ask."""
        probes = {("GET", f"/{name.decode()}") for name in (UP, READY)}
        self.assertEqual(self.operations.keys() - self.platform.keys(), probes)
        for probe in probes:
            self.assertEqual(self.operations[probe]["security"], [])

    def test_routes(self) -> None:
        """Every route of the platform is in it, and no other."""
        served = {
            (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule))
            for rule in Platform.app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD"}
        }
        self.assertEqual(served, set(self.platform))

    def test_common_statuses(self) -> None:
        """What may be wrong with any request is told of every operation."""
        for key, operation in self.platform.items():
            missing = {"400", "401", "412", "413", "415", "500", "503"} - set(operation["responses"])
            self.assertEqual(missing, set(), key)

    def test_all_statuses(self) -> None:
        """Every status of the broker's table is somewhere in it."""
        known = {int(status) for operation in self.operations.values() for status in operation["responses"]}
        self.assertEqual(
            {status for _, status, _ in STATUS} - known - _ROUTED - _TO_ANYBODY - _TO_AGENTS, set()
        )

    def test_error_codes(self) -> None:
        """Every error code of the broker's table is one that it names."""
        codes = self.document["components"]["schemas"]["Error"]["properties"]["error"]["enum"]
        self.assertEqual({code for _, _, code in STATUS if code is not None} - set(codes), set())

    def test_references(self) -> None:
        """Every reference leads somewhere, and everything to which one can lead is used."""
        used = {node["$ref"] for node in _nodes(self.document) if isinstance(node.get("$ref"), str)}
        offered = {
            f"#/components/{kind}/{name}"
            for kind, parts in self.document["components"].items()
            if kind != "securitySchemes"
            for name in parts
        }
        self.assertEqual((used - offered, offered - used), (set(), set()))

    def test_no_nulls(self) -> None:
        """No answer has a member that may be null."""
        names = {"Catalog", "Provisioned", "InstanceAccepted", "Accepted", "Instance", "Bound", "Binding"}
        parts = self.document["components"]["schemas"]
        answers = [parts[name] for name in names]
        self.assertEqual([node for node in _nodes(answers) if "nullable" in node], [])
