"""What an update makes of an instance.

Source: OSB section Updating a Service Instance; and what Cloud Controller sends: an empty `parameters` object
means that nothing changes.
"""

from typing import Any

from attrs import evolve, frozen

from dockerbroker.errors import InvalidRequest, NotFound, UpdateRefused
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.instances import InstanceState, Operation, OperationKind, Phase, ServiceInstance
from dockerbroker.model.plans import Plan
from dockerbroker.model.requests import UpdateRequest, same
from dockerbroker.model.secrets import Secret
from dockerbroker.model.transitions import Begin, Done, Join, busy, require_version


@frozen
class Record:
    """Nothing but the record changes: write it."""


UpdateDecision = Begin | Join | Done | Record


def successor(
    request: UpdateRequest,
    instance: ServiceInstance,
    offered: ImageDefinition | None,
    present: Plan | None = None,
) -> ServiceInstance:
    """Return what the update makes of the instance; its ports and volumes are those of before.

    `offered` is the catalog's definition now, narrowed to the plan that the instance is to have; it is needed
    for another plan or version. `present` is the instance's own plan as the catalog has it now. Raises
    `InvalidRequest`, `UpdateRefused` or `MaintenanceInfoConflict`.
    """
    moves = request.plan_id is not None and request.plan_id != instance.plan.id
    if request.maintenance_version is not None:
        if offered is None:
            raise UpdateRefused("The catalog does not offer the plan of this service instance any more.")
        require_version(offered.plan, request.maintenance_version)
    definition = instance.definition
    if offered is not None and (moves or _is_upgrade(request, instance)):
        is_movable = not moves or offered.is_updateable(present or instance.plan)
        definition = _moved(instance, offered, is_movable=is_movable)
    parameters = {**instance.parameters.reveal(), **request.parameters.reveal()}
    replaces = instance.owns_container and _shape(definition) != _shape(instance.definition)
    return evolve(
        instance,
        definition=definition,
        parameters=Secret(parameters),
        context={**instance.context, **request.context},
        generation=instance.generation + 1 if replaces else instance.generation,
        container_id=None if replaces else instance.container_id,
        state=InstanceState.READY,
        successor=None,
    )


def _is_upgrade(request: UpdateRequest, instance: ServiceInstance) -> bool:
    maintenance = instance.plan.maintenance
    present = maintenance.version if maintenance is not None else None
    return request.maintenance_version is not None and request.maintenance_version != present


def _moved(instance: ServiceInstance, offered: ImageDefinition, *, is_movable: bool) -> ImageDefinition:
    # That is the word of the catalog as it is now, by which the platform goes as well.
    if not is_movable:
        raise UpdateRefused(
            f"Service instances of the plan {instance.plan.name!r} cannot be moved to another plan; "
            "create a new one instead."
        )
    if offered.container_name != instance.definition.container_name:
        raise UpdateRefused(
            "A service in a container that exists already cannot be exchanged for one in a container of its "
            "own, nor the other way round; create a new service instance instead."
        )
    return offered


def _shape(definition: ImageDefinition) -> tuple[Any, ...]:
    """Return what of a definition shapes the container."""
    return (definition.image, definition.plan.options)


def check_request(request: UpdateRequest, instance: ServiceInstance | None) -> ServiceInstance:
    """Return the instance; raises `NotFound`, or `InvalidRequest` when it is of another service."""
    if instance is None:
        raise NotFound(f"The service instance {request.instance_id!r} does not exist.")
    if request.service_id != instance.definition.service_id:
        raise InvalidRequest(
            f"The service instance {instance.id!r} has the service_id {instance.definition.service_id!r}, "
            "which an update cannot change."
        )
    return instance


def update_decision(
    request: UpdateRequest,
    instance: ServiceInstance,
    wanted: ServiceInstance,
    running: Operation | None,
) -> UpdateDecision:
    """Decide on an update that makes `wanted` of the instance.

    Raises `ConcurrencyError` while another operation holds it, and `UpdateRefused` when it cannot be used.
    """
    if running is not None:
        pending = instance.successor
        is_update = running.kind is OperationKind.UPDATE and running.phase is Phase.FORWARD
        if is_update and pending is not None and _is_same(pending, wanted):
            return Join(running.id)
        raise busy(instance.id)
    if instance.state is not InstanceState.READY:
        raise UpdateRefused(
            f"The service instance {instance.id!r} cannot be updated: an earlier operation on it failed. "
            "Delete it and create it again."
        )
    if not _is_same(instance, wanted):
        return Begin()
    renamed = request.context and not same(instance.context, wanted.context)
    return Record() if renamed else Done()


def _is_same(one: ServiceInstance, other: ServiceInstance) -> bool:
    return one.definition == other.definition and same(one.parameters.reveal(), other.parameters.reveal())
