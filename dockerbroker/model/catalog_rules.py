"""Cloud Controller's rules for a catalog, so that it never refuses one that this broker has accepted."""

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from dockerbroker import wire
from dockerbroker.model.catalog import LONGEST_NAME, ImageDefinition, collisions
from dockerbroker.model.members import shown
from dockerbroker.model.plans import MaintenanceInfo, Plan
from dockerbroker.model.schema_rules import schema_complaints

LONGEST_DESCRIPTION: Final = 10_000
#: All tags of an offering together.
LONGEST_TAGS: Final = 2048
LONGEST_MAINTENANCE_INFO: Final = 2000
REQUIRABLE: Final = ("syslog_drain", "route_forwarding", "volume_mount")
_PARAMETERS: Final[Mapping[str, Any]] = {"parameters": None}
#: The members of a plan's schemas; None is where a schema stands (OSB section Schemas Object).
_SHAPE: Final[Mapping[str, Any]] = {
    "service_instance": {"create": _PARAMETERS, "update": _PARAMETERS},
    "service_binding": {"create": _PARAMETERS},
}

_NUMBER: Final = r"(?:0|[1-9]\d*)"
_IDENTIFIER: Final = rf"(?:{_NUMBER}|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMANTIC_VERSION: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?\Z",
    re.ASCII,
)
_FRIENDLY: Final = frozenset(string.ascii_letters + string.digits + ".-")
_UNRESERVED: Final = frozenset(string.ascii_letters + string.digits + "-._~")


@frozen(kw_only=True)
class Finding:
    """What is wrong with the member `key` of a definition, or of its plan with that index.

    The key is that of the definition's JSON; the sentence goes on after it.
    """

    key: str
    sentence: str
    plan: int | None = None


def complaints(definitions: Iterable[ImageDefinition]) -> list[str]:
    """Return everything for which Cloud Controller would refuse the catalog, and what to do about it."""
    ordered = sorted(definitions, key=lambda definition: definition.name)
    if not ordered:
        return ["The catalog is empty: Cloud Foundry wants one service at least; add an image."]
    said = [_told(definition, finding) for definition in ordered for finding in findings(definition)]
    return [*said, *(f"In the catalog {found}; change one of them." for found in collisions(ordered))]


def lint(definitions: Iterable[ImageDefinition]) -> list[str]:
    """Return the complaints, and advice after them: what is allowed but not good for users."""
    ordered = sorted(definitions, key=lambda definition: definition.name)
    advice = [_told(definition, finding) for definition in ordered for finding in _advice(definition)]
    return [*complaints(ordered), *advice]


def findings(definition: ImageDefinition) -> Iterator[Finding]:
    """Yield what is wrong with one definition, wherever it stands."""
    # Without an id of its own it is the name, which is said once.
    identifier = "id" if definition.id is None else definition.id
    yield from _texts(None, identifier, definition.name, definition.description)
    yield from _tags(definition)
    yield from _client(definition)
    if not isinstance(definition.metadata.get("shareable", False), bool):
        yield Finding(key="metadata.shareable", sentence="must be true or false")
    if not definition.plans:
        yield Finding(key="plans", sentence="is empty; add a plan")
    yield from _twice(definition.plans)
    for index, plan in enumerate(definition.plans):
        yield from _texts(index, plan.id, plan.name, plan.description)
        yield from _maintenance(index, plan.maintenance)
        yield from _schemas(index, "schemas", plan.schemas, _SHAPE)
        if plan.asynchronous_only and definition.is_bindable(plan) and not definition.bindings_retrievable:
            yield Finding(
                plan=index,
                key="asynchronousonly",
                sentence="needs bindingsretrievable: Cloud Foundry fetches what is not bound at once",
            )


def _told(definition: ImageDefinition, finding: Finding) -> str:
    service = f"service {definition.name!r}"
    if finding.plan is None:
        return f"The {service}: {finding.key} {finding.sentence}."
    plan = definition.plans[finding.plan]
    return f"The plan {plan.name!r} of the {service}: {finding.key} {finding.sentence}."


def _texts(plan: int | None, identifier: str, name: str, description: str | None) -> Iterator[Finding]:
    for key, text in (("id", identifier), ("name", name)):
        if not text.strip():
            yield Finding(plan=plan, key=key, sentence="must not be blank")
        elif len(text) > LONGEST_NAME:
            yield Finding(plan=plan, key=key, sentence=f"must have at most {LONGEST_NAME} characters")
    if description is not None and not description.strip():
        yield Finding(plan=plan, key="description", sentence="must not be blank; leave it out")
    elif len(description or "") > LONGEST_DESCRIPTION:
        sentence = f"must have at most {LONGEST_DESCRIPTION} characters"
        yield Finding(plan=plan, key="description", sentence=sentence)


def _tags(definition: ImageDefinition) -> Iterator[Finding]:
    if len("".join(definition.tags)) > LONGEST_TAGS:
        yield Finding(key="tags", sentence=f"must have at most {LONGEST_TAGS} characters together")
    if unknown := sorted(set(definition.requires) - set(REQUIRABLE)):
        sentence = f"knows {', '.join(REQUIRABLE)}, not {', '.join(map(repr, unknown))}"
        yield Finding(key="requires", sentence=sentence)


def _client(definition: ImageDefinition) -> Iterator[Finding]:
    if definition.dashboard_client is None:
        return
    client = definition.dashboard_client.reveal()
    for key in ("id", "secret", "redirect_uri"):
        if not isinstance(client.get(key), str) or not client[key].strip():
            sentence = "is missing or empty; Cloud Foundry wants id, secret and redirect_uri"
            yield Finding(key=f"dashboardclient.{key}", sentence=sentence)


def _twice(plans: Sequence[Plan]) -> Iterator[Finding]:
    for index, plan in enumerate(plans):
        for key, value in (("id", plan.id), ("name", plan.name)):
            if any(getattr(other, key) == value for other in plans[:index]):
                yield Finding(plan=index, key=key, sentence="is that of another plan of the service")


def _maintenance(plan: int, info: MaintenanceInfo | None) -> Iterator[Finding]:
    if info is None:
        return
    if not _SEMANTIC_VERSION.match(info.version):
        sentence = "must be a semantic version, such as 1.2.0"
        yield Finding(plan=plan, key="maintenanceinfo.version", sentence=sentence)
    document = {"version": info.version, "description": info.description or ""}
    if len(wire.encode(document).decode("utf-8")) > LONGEST_MAINTENANCE_INFO:
        sentence = f"must have at most {LONGEST_MAINTENANCE_INFO} characters as JSON; shorten the description"
        yield Finding(plan=plan, key="maintenanceinfo", sentence=sentence)


def _schemas(plan: int, key: str, found: Mapping[str, Any], shape: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in found.items():
        place = f"{key}.{shown(name)}"
        if name not in shape:
            yield Finding(plan=plan, key=place, sentence=f"is not known; known are {' and '.join(shape)}")
        elif shape[name] is None:
            for sentence in schema_complaints(value):
                yield Finding(plan=plan, key=place, sentence=sentence)
        elif not isinstance(value, dict):
            yield Finding(plan=plan, key=place, sentence="must be an object")
        else:
            yield from _schemas(plan, place, value, shape[name])


def _advice(definition: ImageDefinition) -> Iterator[Finding]:
    named = [(None, definition.service_id, definition.name)]
    plans = [(index, plan.id, plan.name) for index, plan in enumerate(definition.plans)]
    for index, identifier, name in [*named, *plans]:
        if not set(name) <= _FRIENDLY:
            sentence = "is easier to type with letters, digits, '.' and '-' alone"
            yield Finding(plan=index, key="name", sentence=sentence)
        if not set(identifier) <= _UNRESERVED:
            sentence = "stands in addresses and should have letters, digits, '-', '.', '_' and '~' alone"
            yield Finding(plan=index, key="id", sentence=sentence)
    if len(definition.description or "") > LONGEST_NAME:
        sentence = f"should have at most {LONGEST_NAME} characters; there is metadata.longDescription"
        yield Finding(key="description", sentence=sentence)
