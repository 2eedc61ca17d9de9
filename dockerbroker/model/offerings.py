"""The catalog that platforms see (OSB section Catalog Management)."""

from collections.abc import Iterable
from typing import Any

from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.plans import MaintenanceInfo, Plan


def catalog(definitions: Iterable[ImageDefinition]) -> dict[str, Any]:
    """Return the body of GET /v2/catalog, in the order of the names."""
    ordered = sorted(definitions, key=lambda definition: definition.name)
    return {"services": [offering(definition) for definition in ordered]}


def offering(definition: ImageDefinition) -> dict[str, Any]:
    """Return the Service Offering Object; what the definition does not have is left out."""
    description = f"{definition.name} docker service"
    client = definition.dashboard_client
    document = {
        "id": definition.service_id,
        "name": definition.name,
        "description": definition.description or description,
        "tags": list(definition.tags),
        "requires": list(definition.requires),
        "bindable": definition.bindable,
        "instances_retrievable": definition.instances_retrievable,
        "bindings_retrievable": definition.bindings_retrievable,
        "allow_context_updates": definition.allow_context_updates,
        "metadata": dict(definition.metadata),
        "dashboard_client": None if client is None else client.reveal(),
        "plan_updateable": definition.plan_updateable,
        "plans": [_plan(plan, f"{description}, plan {plan.name}") for plan in definition.plans],
    }
    return _present(document)


def _plan(plan: Plan, description: str) -> dict[str, Any]:
    return _present(
        {
            "id": plan.id,
            "name": plan.name,
            "description": plan.description or description,
            "metadata": dict(plan.metadata),
            "free": plan.free,
            "bindable": plan.bindable,
            "plan_updateable": plan.updateable,
            "binding_rotatable": plan.binding_rotatable or None,
            "schemas": dict(plan.schemas),
            "maximum_polling_duration": plan.maximum_polling_duration,
            "maintenance_info": _maintenance(plan.maintenance),
        }
    )


def _maintenance(info: MaintenanceInfo | None) -> dict[str, Any]:
    return {} if info is None else _present({"version": info.version, "description": info.description})


def _present(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null and what is empty."""
    return {key: value for key, value in document.items() if value is not None and value not in ({}, [])}
