"""The Open Service Broker API on the wire: requests to values, results and errors to status and JSON."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from dockerbroker import errors, wire
from dockerbroker.errors import InvalidRequest
from dockerbroker.model.members import Members
from dockerbroker.model.requests import BindRequest, Bound, DeleteRequest, Provisioned, ProvisionRequest
from dockerbroker.model.secrets import Secret

#: THE table: what can go wrong -> HTTP status and, where the specification names one, its error code.
#: The first class that matches counts, so that subclasses stand before their bases.
STATUS: tuple[tuple[type[errors.BrokerError], int, str | None], ...] = (
    (errors.InvalidRequest, 400, None),
    (errors.Unauthenticated, 401, None),
    (errors.NotFound, 404, None),
    (errors.MethodNotAllowed, 405, None),
    (errors.Conflict, 409, None),
    (errors.Gone, 410, None),
    (errors.UnsupportedVersion, 412, None),
    (errors.TooLarge, 413, None),
    (errors.ConcurrencyError, 422, "ConcurrencyError"),
    (errors.MaintenanceInfoConflict, 422, "MaintenanceInfoConflict"),
    (errors.NoCapacity, 503, None),
    (errors.Unavailable, 503, None),
    (errors.BrokerError, 500, None),
)

_LONGEST_ID = 255
_ID = f"must have 1 to {_LONGEST_ID} characters, without control characters and '/', and not be '.' or '..'"


def failure(error: errors.BrokerError) -> tuple[int, dict[str, Any]]:
    """Return the status and the body that tell of the error."""
    for kind, status, code in STATUS:
        if isinstance(error, kind):
            named = {"error": code} if code is not None else {}
            return status, {**named, "description": error.description}
    raise AssertionError(error)


def check_identifier(what: str, identifier: str) -> str:
    """Return an identifier out of a path; raises `InvalidRequest`."""
    if (
        not 1 <= len(identifier) <= _LONGEST_ID
        or identifier in {".", ".."}
        or any(character == "/" or _is_control(character) for character in identifier)
    ):
        raise InvalidRequest(f"The {what} {_ID}.")
    return identifier


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def provision_request(instance_id: str, body: bytes) -> ProvisionRequest:
    """Decode the body of a provision; raises `InvalidRequest` with every complaint."""
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
    )
    members.check()
    return request


def _maintenance_version(members: Members) -> str | None:
    info = members.object("maintenance_info")
    inner = Members(document=info, where="maintenance_info.", complaints=members.complaints)
    return inner.text("version", required=True) if info else None


def bind_request(instance_id: str, binding_id: str, body: bytes) -> BindRequest:
    """Decode the body of a bind; raises `InvalidRequest` with every complaint."""
    members = Members(document=wire.decode_object(body))
    bind_resource = members.object("bind_resource")
    request = BindRequest(
        instance_id=instance_id,
        binding_id=binding_id,
        service_id=members.text("service_id", required=True),
        plan_id=members.text("plan_id", required=True),
        app_guid=_app_guid(members, bind_resource),
        bind_resource=bind_resource,
        parameters=Secret(members.object("parameters")),
        context=members.object("context"),
    )
    members.check()
    return request


def _app_guid(members: Members, bind_resource: Mapping[str, Any]) -> str | None:
    # The top-level member is the deprecated place of bind_resource.app_guid (OSB section Binding).
    inner = Members(document=bind_resource, where="bind_resource.", complaints=members.complaints)
    for place in (members, inner):
        if place.document.get("app_guid") is not None:
            return place.text("app_guid", required=True)
    return None


def delete_request(
    instance_id: str, query: Mapping[bytes, Sequence[bytes]], binding_id: str | None = None
) -> DeleteRequest:
    """Decode the query of a deprovision or unbind; raises `InvalidRequest`.

    The ids of an unbind may be missing here: an unknown binding is gone whatever the query says.
    """
    request = DeleteRequest(
        instance_id=instance_id,
        binding_id=binding_id,
        service_id=_parameter(query, b"service_id"),
        plan_id=_parameter(query, b"plan_id"),
    )
    if binding_id is None:
        request.require_plan()
    return request


def _parameter(query: Mapping[bytes, Sequence[bytes]], name: bytes) -> str:
    values = query.get(name, [b""])
    try:
        if len(values) == 1:
            return values[0].decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise InvalidRequest(f"The query parameter {name.decode('ascii')} must be given once, in UTF-8.")


def provisioned(answer: Provisioned) -> tuple[int, dict[str, Any]]:
    """Return the status and body of a provision."""
    url = answer.instance.dashboard_url
    return (201 if answer.created else 200), ({"dashboard_url": url} if url is not None else {})


def bound(answer: Bound) -> tuple[int, dict[str, Any]]:
    """Return the status and body of a bind."""
    return (201 if answer.created else 200), answer.binding.document.reveal()
