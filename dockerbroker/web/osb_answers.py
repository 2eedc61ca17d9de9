"""What platforms are answered: values as statuses and bodies of the Open Service Broker API.

No member is ever null: Cloud Controller takes several such for malformed answers.
"""

from collections.abc import Mapping
from typing import Any

from dockerbroker.model.instances import ServiceBinding, ServiceInstance
from dockerbroker.model.requests import Accepted, Bound, LastOperation, Provisioned, Updated

#: The longest description of an operation, in characters: Cloud Controller stores no longer one.
LONGEST_DESCRIPTION = 10_000

Answer = tuple[int, dict[str, Any]]


def provisioned(outcome: Provisioned | Accepted) -> Answer:
    """Return the status and body of a provision."""
    if isinstance(outcome, Accepted):
        return _accepted(outcome)
    return (201 if outcome.created else 200), _dashboard(outcome.instance)


def updated(outcome: Updated | Accepted) -> Answer:
    """Return the status and body of an update."""
    if isinstance(outcome, Accepted):
        return _accepted(outcome)
    return 200, _dashboard(outcome.instance)


def bound(outcome: Bound | Accepted) -> Answer:
    """Return the status and body of a bind."""
    if isinstance(outcome, Accepted):
        return _running(outcome)
    return (201 if outcome.created else 200), _present(outcome.binding.document.reveal())


def deleted(outcome: Accepted | None) -> Answer:
    """Return the status and body of a deprovision or unbind."""
    return (200, {}) if outcome is None else _running(outcome)


def fetched_instance(instance: ServiceInstance) -> Answer:
    """Return the status and body of a look at an instance."""
    maintenance = instance.plan.maintenance
    members = {
        "service_id": instance.definition.service_id,
        "plan_id": instance.plan.id,
        "dashboard_url": instance.dashboard_url,
        "parameters": instance.parameters.reveal() or None,
        "maintenance_info": {"version": maintenance.version} if maintenance is not None else None,
    }
    return 200, _present(members)


def fetched_binding(binding: ServiceBinding) -> Answer:
    """Return the status and body of a look at a binding."""
    members = {**binding.document.reveal(), "parameters": binding.parameters.reveal() or None}
    return 200, _present(members)


def last_operation(operation: LastOperation) -> Answer:
    """Return the status and body of a poll."""
    members = {
        "state": operation.state,
        "description": operation.description[:LONGEST_DESCRIPTION] or None,
        "instance_usable": operation.instance_usable,
        "update_repeatable": operation.update_repeatable,
    }
    return 200, _present(members)


def _accepted(outcome: Accepted) -> Answer:
    status, body = _running(outcome)
    return status, {**(_dashboard(outcome.instance) if outcome.instance is not None else {}), **body}


def _running(outcome: Accepted) -> Answer:
    return 202, {"operation": outcome.operation_id}


def _dashboard(instance: ServiceInstance) -> dict[str, Any]:
    return _present({"dashboard_url": instance.dashboard_url})


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in members.items() if value is not None}
