"""The platform API's schema, `docs/openapi.yaml`, made ready for test cases against a broker of `serve`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import yaml

from dockerbroker.model.catalog import ImageDefinition

PATH: Final = Path(__file__).parent.parent.parent / "docs" / "openapi.yaml"

#: What cannot be said by a pattern: base64 that holds a JSON object.
_IDENTITIES: Final = ("cloudfoundry eyJ1c2VyX2lkIjoiMSJ9", "kubernetes eyJ1c2VybmFtZSI6ICJkIn0=")
_QUERIES: Final = {
    "ServiceId": "service_id",
    "PlanId": "plan_id",
    "ServiceIdHint": "service_id",
    "PlanIdHint": "plan_id",
}


def read() -> dict[str, Any]:
    """Return the schema as it is written, without what stands in a document of its own."""
    document: dict[str, Any] = yaml.safe_load(PATH.read_text("utf-8"))
    document["paths"] = {path: item for path, item in document["paths"].items() if "$ref" not in item}
    return document


def offered(document: dict[str, Any], definitions: Sequence[ImageDefinition]) -> dict[str, Any]:
    """Return the schema of a broker that offers these: what is not in its catalog is not valid."""
    # YAML's anchors are one object here, which a change must not meet twice.
    document = _unshared(document)
    components = document["components"]
    plans = [(definition.service_id, plan.id) for definition in definitions for plan in definition.plans]
    known = {
        "service_id": _one_of(sorted({service for service, _ in plans})),
        "plan_id": _one_of([plan for _, plan in plans]),
    }
    components["parameters"]["OriginatingIdentity"]["schema"] = _one_of(_IDENTITIES)
    for parameter, name in _QUERIES.items():
        schema = components["parameters"][parameter]["schema"]
        hint = {"anyOf": [known[name], schema]}
        components["parameters"][parameter]["schema"] = hint if parameter.endswith("Hint") else known[name]
    for name in ("ProvisionRequest", "BindRequest"):
        components["schemas"][name] = {"anyOf": list(_each(components["schemas"][name], plans))}
    return document


def _each(schema: dict[str, Any], plans: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for service_id, plan_id in plans:
        ids = {"service_id": _one_of([service_id]), "plan_id": _one_of([plan_id])}
        yield {**schema, "properties": {**schema["properties"], **ids}}


def without_headers(document: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without the headers of platforms, so that every case gets beyond their checks."""
    document = _unshared(document)
    for path in document["paths"].values():
        path["parameters"] = [
            parameter
            for parameter in path["parameters"]
            if not parameter["$ref"].endswith(("Identity", "/Version"))
        ]
    return document


def with_few_ids(document: dict[str, Any], count: int, *, only: bool) -> dict[str, Any]:
    """Return the schema with a few ids in paths, so that cases meet; `only` those, or any other as well."""
    document = _unshared(document)
    for parameter in ("InstanceId", "BindingId"):
        few = _one_of([f"{parameter}-{number}" for number in range(count)])
        schema = document["components"]["parameters"][parameter]["schema"]
        document["components"]["parameters"][parameter]["schema"] = few if only else {"anyOf": [few, schema]}
    return document


def with_asynchronous(document: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a platform that always takes 202 for an answer, as Cloud Controller does."""
    document = _unshared(document)
    accepts = document["components"]["parameters"]["AcceptsIncomplete"]
    accepts.update({"required": True, "schema": {"type": "boolean", "enum": [True]}})
    return document


def _one_of(values: Sequence[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def _unshared(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _unshared(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_unshared(value) for value in node]
    return deepcopy(node)
