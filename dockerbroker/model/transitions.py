"""The rules of the life cycle: what a request means for what is stored.

Source: OSB sections Provisioning, Binding, Unbinding, Deprovisioning and Blocking Operations.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from dockerbroker.errors import (
    AsyncRequired,
    ConcurrencyError,
    Conflict,
    Gone,
    InvalidRequest,
    MaintenanceInfoConflict,
    NotFound,
)
from dockerbroker.model.instances import (
    BindingState,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
)
from dockerbroker.model.plans import Plan
from dockerbroker.model.requests import BindRequest, DeleteRequest, ProvisionRequest


@frozen
class Begin:
    """Nothing stands in the way: write a new operation."""


@frozen
class Join:
    """The same request is being carried out: wait for that operation and give its answer."""

    operation_id: str


@frozen
class Done:
    """What is asked for exists already."""


@frozen
class Halt:
    """What is to be deleted is being made: write a deletion that ends that operation and replaces it."""

    operation_id: str


Decision = Begin | Join | Done
Deletion = Begin | Join | Halt


def require_asynchronous(plan: Plan, *, accepts_incomplete: bool) -> None:
    """Raise `AsyncRequired` when the plan's work does not fit into the request."""
    if plan.asynchronous_only and not accepts_incomplete:
        raise AsyncRequired(
            f"The plan {plan.name!r} takes longer than a request may: "
            "it needs a client that sends accepts_incomplete=true."
        )


def require_version(plan: Plan, version: str | None) -> None:
    """Raise `MaintenanceInfoConflict` when the request names another version than the catalog's."""
    if version is None:
        return
    if plan.maintenance is None:
        raise MaintenanceInfoConflict(
            f"The plan {plan.name!r} has no maintenance_info: no version can be asked for."
        )
    if version != plan.maintenance.version:
        raise MaintenanceInfoConflict(
            f"The catalog has the plan {plan.name!r} in version {plan.maintenance.version}, which is not the "
            "version asked for; the platform must read the catalog again."
        )


def provision_decision(
    request: ProvisionRequest, stored: ServiceInstance | None, running: Operation | None
) -> Decision:
    """Decide on a provision; `running` is the operation that holds the stored instance, if any.

    Raises `Conflict` when the instance exists with other attributes and `ConcurrencyError` while it is
    being removed.
    """
    if stored is None:
        return Begin()
    if not request.describes(stored):
        raise Conflict(f"The service instance {stored.id!r} exists already with other attributes.")
    if running is not None and running.kind is OperationKind.PROVISION and running.phase is Phase.FORWARD:
        return Join(running.id)
    if stored.state is InstanceState.FAILED and running is None:
        raise ConcurrencyError(
            f"The service instance {stored.id!r} could not be removed; delete it again first."
        )
    if stored.state in {InstanceState.DEPROVISIONING, InstanceState.FAILED, InstanceState.PROVISIONING}:
        raise ConcurrencyError(
            f"The service instance {stored.id!r} is being removed; provision it again when it is gone."
        )
    return Done()


def bind_decision(
    request: BindRequest,
    instance: ServiceInstance | None,
    stored: ServiceBinding | None,
    running: Operation | None,
) -> Decision:
    """Decide on a bind.

    Raises `NotFound` for an unknown instance, `Conflict` when the binding exists with other attributes,
    `InvalidRequest` when the plan is not the instance's, `ConcurrencyError` while the instance is busy.
    """
    if instance is None:
        raise NotFound(f"The service instance {request.instance_id!r} does not exist.")
    if stored is not None:
        return _rebind_decision(request, instance, stored, running)
    _check_plan(request, instance)
    if not instance.definition.is_bindable(instance.plan):
        raise InvalidRequest(f"Service instances of the plan {instance.plan.name!r} cannot be bound.")
    _check_usable(instance, running)
    return Begin()


def check_predecessor(
    request: BindRequest, instance: ServiceInstance, predecessor: ServiceBinding | None, now: float
) -> None:
    """Raise `InvalidRequest` when the binding cannot be rotated; `now` is in seconds since 1970.

    Source: OSB section Binding Rotation.
    """
    name = request.predecessor_binding_id
    if not instance.plan.binding_rotatable:
        raise InvalidRequest(f"Bindings of the plan {instance.plan.name!r} cannot be rotated.")
    if predecessor is None or predecessor.state is not BindingState.BOUND:
        raise InvalidRequest(f"The predecessor_binding_id {name!r} is no binding of this service instance.")
    if _expiry(predecessor.document.reveal()) <= now:
        raise InvalidRequest(f"The binding {name!r} has expired and cannot be rotated; bind anew.")


def _expiry(document: Mapping[str, Any]) -> float:
    """Return when the binding expires, in seconds since 1970; infinity when it does not say."""
    text = (document.get("metadata") or {}).get("expires_at")
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else float("inf")
    except ValueError:
        return float("inf")


def _rebind_decision(
    request: BindRequest, instance: ServiceInstance, stored: ServiceBinding, running: Operation | None
) -> Decision:
    if not request.describes(stored, instance):
        raise Conflict(f"The binding {stored.id!r} exists already with other attributes.")
    if stored.state is BindingState.BOUND:
        return Done()
    if _is_running(running, OperationKind.BIND, stored.id):
        assert running is not None
        return Join(running.id)
    if running is not None:
        raise busy(instance.id)
    raise Conflict(
        f"The binding {stored.id!r} was left in an unknown state by an earlier failure; unbind it first."
    )


def deprovision_decision(
    request: DeleteRequest, instance: ServiceInstance | None, running: Operation | None
) -> Deletion:
    """Decide on a deprovision: it halts a provision (OSB section Deprovisioning).

    Raises `Gone` for an unknown instance and `ConcurrencyError` while another operation holds it.
    """
    if instance is None:
        raise Gone(f"Failed to find the service instance {request.instance_id!r}; it is gone.")
    _check_plan(request, instance)
    if running is None:
        return Begin()
    if running.kind is OperationKind.DEPROVISION:
        return Join(running.id)
    if running.kind is OperationKind.PROVISION:
        return Halt(running.id)
    raise busy(instance.id)


def unbind_decision(
    request: DeleteRequest,
    instance: ServiceInstance | None,
    stored: ServiceBinding | None,
    running: Operation | None,
) -> Deletion:
    """Decide on an unbind: it halts the bind.

    `stored` is looked at first, since an unknown binding is gone whatever else.
    """
    if instance is None or stored is None:
        raise Gone(f"Failed to find the binding {request.binding_id!r}; it is gone.")
    request.require_plan()
    _check_plan(request, instance)
    if running is None:
        return Begin()
    if _is_running(running, OperationKind.UNBIND, stored.id):
        return Join(running.id)
    if _is_running(running, OperationKind.BIND, stored.id):
        return Halt(running.id)
    raise busy(instance.id)


def _check_plan(request: BindRequest | DeleteRequest, instance: ServiceInstance) -> None:
    definition = instance.definition
    if isinstance(request, BindRequest):
        is_wrong = not request.is_of(instance)
    else:
        # A platform that never got the answer to an update knows another plan, and must be able to delete.
        is_wrong = request.service_id != definition.service_id or not request.plan_id
    if is_wrong:
        raise InvalidRequest(
            f"The service instance {instance.id!r} has the service_id {definition.service_id!r} "
            f"and the plan_id {definition.plan.id!r}, not those of the request."
        )


def _check_usable(instance: ServiceInstance, running: Operation | None) -> None:
    if running is not None or instance.state in {InstanceState.PROVISIONING, InstanceState.UPDATING}:
        raise busy(instance.id)
    if instance.state is not InstanceState.READY:
        raise InvalidRequest(
            f"The service instance {instance.id!r} cannot be used: an earlier operation on it failed. "
            "Deprovision it again."
        )


def _is_running(running: Operation | None, kind: OperationKind, binding_id: str) -> bool:
    return running is not None and running.kind is kind and running.binding_id == binding_id


def busy(instance_id: str) -> ConcurrencyError:
    """Return the error for an instance that another operation holds."""
    return ConcurrencyError(
        f"Another operation on the service instance {instance_id!r} is in progress; "
        "try again when it is over."
    )
