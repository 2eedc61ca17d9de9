"""Image definitions as JSON: the README's format, and what has come to it since."""

import re
from collections.abc import Mapping
from typing import Any, Final

from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.catalog_rules import findings
from dockerbroker.model.confinement import refuse_privileges
from dockerbroker.model.members import Members
from dockerbroker.model.plan_definitions import encode_plan, read_host_labels, read_plan
from dockerbroker.model.plans import Plan
from dockerbroker.model.secrets import Secret
from dockerbroker.wire import fold

#: A Docker image reference: [registry/]path[:tag][@digest] (Docker's reference grammar, bounded).
_REFERENCE: Final = re.compile(
    r"(?=.{1,500}\Z)(?:[A-Za-z0-9]+(?:(?:\.|-+)[A-Za-z0-9]+)*(?::\d{1,5})?/)?"
    r"[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[a-f0-9]{64})?\Z"
)
_CONTAINER_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}\Z")
_TAGS: Final = ("docker",)
_CLIENT: Final = ("id", "secret", "redirect_uri")


def read_image(members: Members) -> ImageDefinition:
    """Read a definition from folded members; complaints, Cloud Controller's too, are left in them."""
    name = members.short_text("name", required=True)
    container_name = members.text_or_none("containername")
    refuse_privileges(members)
    definition = ImageDefinition(
        name=name,
        id=members.short_text("id") or None,
        image=_read_reference(members, name, container_name),
        plans=_read_plans(members, name, exists=container_name is not None),
        description=members.text_or_none("description"),
        bindable=members.truth("bindable", default=True),
        tags=members.texts("tags") if members.has("tags") else _TAGS,
        requires=members.texts("requires"),
        metadata=members.object("metadata"),
        dashboard_client=_read_client(members),
        plan_updateable=members.truth("planupdateable", default=False),
        instances_retrievable=members.truth("instancesretrievable", default=True),
        bindings_retrievable=members.truth("bindingsretrievable", default=True),
        allow_context_updates=members.truth("allowcontextupdates", default=False),
        dashboard_url=_read_dashboard(members),
        credentials=Secret(credentials) if (credentials := members.object("credentials")) else None,
        numinstances=_read_numinstances(members, container_name),
        container_name=container_name,
        legacy_arguments=members.truth("legacyarguments", default=False),
        host_labels=read_host_labels(members),
    )
    _complain_of_findings(members, definition)
    return definition


def decode_image(document: Mapping[str, Any], name: str) -> ImageDefinition:
    """Decode the body of a PUT of the image named `name`; raises `InvalidRequest` with every complaint."""
    members = Members(document={"name": name, **fold(document)})
    definition = read_image(members)
    if definition.name != name:
        members.complain("name", f"is not {name!r}, the name in the path")
    members.check()
    return definition


def encode_image(definition: ImageDefinition) -> dict[str, Any]:
    """Encode a definition in the README's format and key casing; absent members are left out."""
    document: dict[str, Any] = {"Name": definition.name, **_encode_plans(definition)}
    document["Numinstances"] = definition.numinstances
    if definition.image != definition.name:
        document["Image"] = definition.image
    if definition.dashboard_url is not None:
        document["DashBoardUrl"] = {"dashboard_url": definition.dashboard_url}
    if definition.credentials is not None:
        document["Credentials"] = definition.credentials.reveal()
    if definition.container_name is not None:
        document["Containername"] = definition.container_name
    if definition.legacy_arguments:
        document["Legacyarguments"] = True
    return document | _encode_offering(definition)


def _encode_offering(definition: ImageDefinition) -> dict[str, Any]:
    client = definition.dashboard_client
    document: dict[str, tuple[Any, Any]] = {
        "Id": (definition.id, None),
        "Description": (definition.description, None),
        "Bindable": (definition.bindable, True),
        "Tags": (list(definition.tags), list(_TAGS)),
        "Requires": (list(definition.requires), []),
        "Metadata": (dict(definition.metadata), {}),
        "Dashboardclient": (None if client is None else client.reveal(), None),
        "Planupdateable": (definition.plan_updateable, False),
        "Instancesretrievable": (definition.instances_retrievable, True),
        "Bindingsretrievable": (definition.bindings_retrievable, True),
        "Allowcontextupdates": (definition.allow_context_updates, False),
        "Hostlabels": (dict(definition.host_labels), {}),
    }
    return {key: value for key, (value, usual) in document.items() if value != usual}


def _encode_plans(definition: ImageDefinition) -> dict[str, Any]:
    plans = [encode_plan(plan, definition.name) for plan in definition.plans]
    if len(plans) == 1 and set(plans[0]) == {"Name"}:
        return {"Plan": plans[0]["Name"]}
    return {"Plans": plans}


def _complain_of_findings(members: Members, definition: ImageDefinition) -> None:
    unreadable = tuple(members.complaints)
    for finding in findings(definition):
        key = finding.key
        if finding.plan is not None:
            key = f"plans[{finding.plan}].{key}" if members.has("plans") else "plan"
        # What could not be read has been complained about.
        if not any(said.startswith(f"{members.where}{key}") for said in unreadable):
            members.complain(key, finding.sentence)


def _read_reference(members: Members, name: str, container_name: str | None) -> str:
    image = members.text("image") or name
    if container_name is None and image and not _REFERENCE.match(image):
        members.complain("image" if members.text("image") else "name", "is not the name of a Docker image")
    return image


def _read_plans(members: Members, name: str, *, exists: bool) -> tuple[Plan, ...]:
    if not members.has("plans"):
        plan = members.short_text("plan", required=True)
        return (Plan(id=f"{name}_{plan}", name=plan),)
    if members.has("plan"):
        members.complain("plans", "cannot be given beside plan; keep one")
    return tuple(read_plan(inner, name, exists=exists) for inner in members.each("plans"))


def _read_client(members: Members) -> Secret[dict[str, Any]] | None:
    client = members.section("dashboardclient")
    found = {key: client.text(key) for key in _CLIENT if client.has(key)}
    return Secret(found) if client.document else None


def _read_dashboard(members: Members) -> str | None:
    value = members.document.get("dashboardurl")
    if isinstance(value, str):
        return members.text_or_none("dashboardurl")
    return members.section("dashboardurl").text_or_none("dashboard_url")


def _read_numinstances(members: Members, container_name: str | None) -> int:
    # The README writes the key in both ways; they are one.
    keys = [key for key in ("numinstances", "numinstance") if key in members.document]
    members.seen.update(("numinstances", "numinstance"))
    if len(keys) > 1:
        members.complain("numinstance", "is the same key as numinstances; keep one")
    key = keys[0] if keys else "numinstances"
    count = members.integer(key, 0 if container_name else 1, least=0, most=1)
    if container_name is None and count == 0:
        members.complain(key, "is 0, so containername must name the container to use")
    if container_name is not None:
        if count != 0:
            members.complain(key, "must be 0 when containername is given")
        if not _CONTAINER_NAME.match(container_name):
            members.complain("containername", "is not the name or id of a Docker container")
    return count
