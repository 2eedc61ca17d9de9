"""What platforms ask for: the paths, queries and bodies of the Open Service Broker API, as values.

An optional member that is null is as good as absent: Cloud Controller sends such, and others do.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any

from dockerbroker import wire
from dockerbroker.errors import InvalidRequest
from dockerbroker.model.members import Members
from dockerbroker.model.requests import (
    BindRequest,
    DeleteRequest,
    FetchRequest,
    PollRequest,
    ProvisionRequest,
    UpdateRequest,
)
from dockerbroker.model.secrets import Secret
from dockerbroker.web.query import Query

_LONGEST_ID = 255
_ID = f"must have 1 to {_LONGEST_ID} characters, without control characters and '/', and not be '.' or '..'"


def check_identifier(what: str, identifier: str) -> str:
    """Return an identifier out of a path; raises `InvalidRequest`."""
    if not _is_identifier(identifier):
        raise InvalidRequest(f"The {what} {_ID}.")
    return identifier


def _is_identifier(text: str) -> bool:
    return (
        1 <= len(text) <= _LONGEST_ID
        and text not in {".", ".."}
        and not any(character == "/" or unicodedata.category(character) == "Cc" for character in text)
    )


def provision_request(instance_id: str, query: Query, body: bytes) -> ProvisionRequest:
    """Decode a provision; raises `InvalidRequest` with every complaint about its body."""
    members = Members(document=wire.decode_object(body))
    request = ProvisionRequest(
        instance_id=instance_id,
        service_id=members.text("service_id", required=True),
        plan_id=members.text("plan_id", required=True),
        organization_guid=members.text("organization_guid", required=True),
        space_guid=members.text("space_guid", required=True),
        parameters=Secret(members.object("parameters")),
        context=members.object("context"),
        maintenance_version=_maintenance_version(members),
        accepts_incomplete=_accepts_incomplete(query),
    )
    members.check()
    return request


def update_request(instance_id: str, query: Query, body: bytes) -> UpdateRequest:
    """Decode an update; raises `InvalidRequest` with every complaint about its body."""
    members = Members(document=wire.decode_object(body))
    request = UpdateRequest(
        instance_id=instance_id,
        service_id=members.text("service_id", required=True),
        plan_id=_optional(members, "plan_id"),
        parameters=Secret(members.object("parameters")),
        context=members.object("context"),
        maintenance_version=_maintenance_version(members),
        accepts_incomplete=_accepts_incomplete(query),
    )
    _check_previous_values(members)
    members.check()
    return request


def _check_previous_values(members: Members) -> None:
    """Complain of what cannot be right; nothing is made of them, since the broker knows better."""
    previous = _within(members, "previous_values")
    for key in ("service_id", "plan_id", "organization_id", "space_id"):
        previous.text(key)
    _within(previous, "maintenance_info").text("version")


def _accepts_incomplete(query: Query) -> bool:
    return query.flag("accepts_incomplete")


def _optional(members: Members, key: str) -> str | None:
    """Return a string that is not empty, or None when it is absent."""
    if members.document.get(key) is None:
        return None
    return members.text(key, required=True)


def _within(members: Members, key: str) -> Members:
    """Return the members of an object that is a member; what is wrong with them is told with the rest."""
    where = f"{members.where}{key}."
    return Members(document=members.object(key), where=where, complaints=members.complaints)


def _maintenance_version(members: Members) -> str | None:
    if members.document.get("maintenance_info") is None:
        return None
    return _within(members, "maintenance_info").text("version", required=True)


def bind_request(instance_id: str, binding_id: str, query: Query, body: bytes) -> BindRequest:
    """Decode a bind or a rotation; raises `InvalidRequest` with every complaint about its body."""
    members = Members(document=wire.decode_object(body))
    bind_resource = members.object("bind_resource")
    predecessor = _predecessor(members)
    request = BindRequest(
        instance_id=instance_id,
        binding_id=binding_id,
        service_id=_plan_member(members, "service_id", predecessor),
        plan_id=_plan_member(members, "plan_id", predecessor),
        predecessor_binding_id=predecessor,
        accepts_incomplete=_accepts_incomplete(query),
        app_guid=_app_guid(members, bind_resource),
        bind_resource=bind_resource,
        parameters=Secret(members.object("parameters")),
        context=members.object("context"),
    )
    members.check()
    return request


def _predecessor(members: Members) -> str | None:
    key = "predecessor_binding_id"
    text = _optional(members, key)
    if text and not _is_identifier(text):
        members.complain(key, _ID)
    return text


def _plan_member(members: Members, key: str, predecessor: str | None) -> str:
    # The specification requires nothing but the predecessor of a rotation, its OpenAPI file the ids too.
    if predecessor is not None:
        return _optional(members, key) or ""
    return members.text(key, required=True)


def _app_guid(members: Members, bind_resource: Mapping[str, Any]) -> str | None:
    # The top-level member is the deprecated place of bind_resource.app_guid (OSB section Binding).
    inner = Members(document=bind_resource, where="bind_resource.", complaints=members.complaints)
    outside, inside = _optional(members, "app_guid"), _optional(inner, "app_guid")
    return outside if outside is not None else inside


def delete_request(instance_id: str, query: Query, binding_id: str | None = None) -> DeleteRequest:
    """Decode the query of a deprovision or unbind; raises `InvalidRequest`.

    The ids of an unbind may be missing here: an unknown binding is gone whatever the query says.
    """
    request = DeleteRequest(
        instance_id=instance_id,
        binding_id=binding_id,
        service_id=query.text("service_id") or "",
        plan_id=query.text("plan_id") or "",
        accepts_incomplete=_accepts_incomplete(query),
    )
    if binding_id is None:
        request.require_plan()
    return request


def fetch_request(instance_id: str, query: Query, binding_id: str | None = None) -> FetchRequest:
    """Decode the query of a look at an instance or binding; raises `InvalidRequest`."""
    return FetchRequest(
        instance_id=instance_id,
        binding_id=binding_id,
        service_id=query.filled("service_id"),
        plan_id=query.filled("plan_id"),
    )


def poll_request(instance_id: str, query: Query, binding_id: str | None = None) -> PollRequest:
    """Decode the query of a poll; raises `InvalidRequest`."""
    return PollRequest(
        instance_id=instance_id,
        binding_id=binding_id,
        operation_id=query.filled("operation"),
        service_id=query.filled("service_id"),
        plan_id=query.filled("plan_id"),
    )
