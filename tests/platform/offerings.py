"""What a platform remembers of a broker's catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class Offering:
    """A plan, with what its service adds to it."""

    service_id: str
    plan_id: str
    requires: frozenset[str] = frozenset()
    instances_retrievable: bool = False
    bindings_retrievable: bool = False
    allow_context_updates: bool = False
    plan_updateable: bool = False
    bindable: bool = True
    maximum_polling_duration: float | None = None
    maintenance_info: Mapping[str, Any] | None = field(default=None)


def read_offerings(catalog: Mapping[str, Any]) -> dict[tuple[str, str], Offering]:
    """Return the catalog's plans by the ids of service and plan."""
    offerings = (_offering(service, plan) for service in catalog["services"] for plan in service["plans"])
    return {(offering.service_id, offering.plan_id): offering for offering in offerings}


def _offering(service: Mapping[str, Any], plan: Mapping[str, Any]) -> Offering:
    return Offering(
        service_id=service["id"],
        plan_id=plan["id"],
        requires=frozenset(service.get("requires", ())),
        instances_retrievable=service.get("instances_retrievable", False),
        bindings_retrievable=service.get("bindings_retrievable", False),
        allow_context_updates=service.get("allow_context_updates", False),
        plan_updateable=plan.get("plan_updateable", service.get("plan_updateable", False)),
        bindable=plan.get("bindable", service["bindable"]),
        maximum_polling_duration=plan.get("maximum_polling_duration"),
        maintenance_info=plan.get("maintenance_info"),
    )
