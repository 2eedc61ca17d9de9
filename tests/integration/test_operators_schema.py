"""A running broker answers agents and administrators as `docs/openapi-operators.yaml` says."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.integration.schema_case import EXAMPLES, SchemaCase
from tests.platform.serve import OFFERED
from tests.stack import CATALOG
from tests.web.test_operators_document import read

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


class OperatorsSchemaTests(SchemaCase):
    """Cases by the schema."""

    configuration = _CONFIGURATION

    def test_cases(self) -> None:
        """Each rule of the schema, kept or broken, and random requests are answered as it says."""
        examples = str(max(int(EXAMPLES) // 10, 1))
        arguments = ("--phases", "coverage,fuzzing", "--max-examples", examples)
        report = self.examine(with_known(read()), *arguments)
        for status in (200, 202, 400, 401, 404, 405, 412):
            self.assertGreater(report.count(status), 0, (status, report.statuses))
        self.assertGreater(report.statuses.total(), 1000)


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
