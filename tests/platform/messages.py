"""The bodies that Cloud Controller sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.platform.offerings import Offering

ORGANIZATION: Final = "organization-1"
SPACE: Final = "space-1"


def provision_body(offering: Offering, name: str, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the body of a provision: parameters only when there are any, maintenance information whole."""
    return {
        "service_id": offering.service_id,
        "plan_id": offering.plan_id,
        "organization_guid": ORGANIZATION,
        "space_guid": SPACE,
        "context": _context(name),
        **({"parameters": parameters} if parameters else {}),
        **({"maintenance_info": offering.maintenance_info} if offering.maintenance_info else {}),
    }


def _context(name: str | None) -> dict[str, Any]:
    # Bindings are told no name.
    context = {
        "platform": "cloudfoundry",
        "organization_guid": ORGANIZATION,
        "organization_name": "organization",
        "organization_annotations": {},
        "space_guid": SPACE,
        "space_name": "space",
        "space_annotations": {},
    }
    return context if name is None else {**context, "instance_name": name}


def update_body(
    old: Offering,
    new: Offering,
    parameters: Mapping[str, Any] | None,
    name: str | None,
    info: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the body of an update: parameters always, be they empty, and the values that were."""
    previous = {
        "plan_id": old.plan_id,
        "service_id": old.service_id,
        "organization_id": ORGANIZATION,
        "space_id": SPACE,
        "maintenance_info": old.maintenance_info,
    }
    return {
        "service_id": new.service_id,
        "plan_id": new.plan_id,
        "parameters": parameters or {},
        "previous_values": previous,
        "context": _context(name or "instance"),
        **({"maintenance_info": info} if info else {}),
    }


def bind_body(
    offering: Offering, app_guid: str | None, parameters: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the body of a bind: an application is named twice, a key has none."""
    app: dict[str, Any] = {"app_guid": app_guid} if app_guid is not None else {}
    resource = {**app, "space_guid": SPACE, "app_annotations": {}} if app else {}
    return {
        "service_id": offering.service_id,
        "plan_id": offering.plan_id,
        "context": _context(None),
        **app,
        "bind_resource": resource,
        **({"parameters": parameters} if parameters else {}),
    }
