"""The rules of the life cycle: what a request means for what is stored, and which step comes next.

Source: OSB sections Provisioning, Binding, Unbinding, Deprovisioning and Blocking Operations.
"""

from attrs import evolve, frozen

from dockerbroker.errors import ConcurrencyError, Conflict, Gone, InvalidRequest, NotFound
from dockerbroker.model.instances import (
    BindingState,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
    Step,
)
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


Decision = Begin | Join | Done


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
    _check_usable(instance, running)
    return Begin()


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
        raise _busy(instance.id)
    raise Conflict(
        f"The binding {stored.id!r} was left in an unknown state by an earlier failure; unbind it first."
    )


def deprovision_decision(
    request: DeleteRequest, instance: ServiceInstance | None, running: Operation | None
) -> Decision:
    """Decide on a deprovision.

    Raises `Gone` for an unknown instance and `ConcurrencyError` while another operation holds it.
    """
    if instance is None:
        raise Gone(f"Failed to find the service instance {request.instance_id!r}; it is gone.")
    _check_plan(request, instance)
    if running is None:
        return Begin()
    if running.kind is OperationKind.DEPROVISION:
        return Join(running.id)
    raise _busy(instance.id)


def unbind_decision(
    request: DeleteRequest,
    instance: ServiceInstance | None,
    stored: ServiceBinding | None,
    running: Operation | None,
) -> Decision:
    """Decide on an unbind; `stored` is looked at first, since an unknown binding is gone whatever else."""
    if instance is None or stored is None:
        raise Gone(f"Failed to find the binding {request.binding_id!r}; it is gone.")
    request.require_plan()
    _check_plan(request, instance)
    if running is None:
        return Begin()
    if _is_running(running, OperationKind.UNBIND, stored.id):
        return Join(running.id)
    raise _busy(instance.id)


def _check_plan(request: BindRequest | DeleteRequest, instance: ServiceInstance) -> None:
    definition = instance.definition
    if (request.service_id, request.plan_id) != (definition.service_id, definition.plan.id):
        raise InvalidRequest(
            f"The service instance {instance.id!r} has the service_id {definition.service_id!r} "
            f"and the plan_id {definition.plan.id!r}, not those of the request."
        )


def _check_usable(instance: ServiceInstance, running: Operation | None) -> None:
    if running is not None or instance.state is InstanceState.PROVISIONING:
        raise _busy(instance.id)
    if instance.state is not InstanceState.READY:
        raise InvalidRequest(
            f"The service instance {instance.id!r} cannot be bound: an earlier deprovision of it failed. "
            "Deprovision it again."
        )


def _is_running(running: Operation | None, kind: OperationKind, binding_id: str) -> bool:
    return running is not None and running.kind is kind and running.binding_id == binding_id


def _busy(instance_id: str) -> ConcurrencyError:
    return ConcurrencyError(
        f"Another operation on the service instance {instance_id!r} is in progress; "
        "try again when it is over."
    )


def forward_steps(kind: OperationKind, instance: ServiceInstance) -> tuple[Step, ...]:
    """Return what an operation on the instance does, in order."""
    owns = instance.owns_container
    runs = not instance.definition.is_static
    table: dict[OperationKind, tuple[tuple[Step, bool], ...]] = {
        OperationKind.PROVISION: (
            (Step.CREATE, owns),
            (Step.START, owns),
            (Step.READY, True),
            (Step.EXECUTE, runs),
            (Step.KEEP, owns),
        ),
        OperationKind.BIND: ((Step.EXECUTE, True),),
        OperationKind.UNBIND: ((Step.EXECUTE, True),),
        OperationKind.DEPROVISION: ((Step.UNBIND, True), (Step.EXECUTE, runs), (Step.REMOVE, True)),
    }
    return tuple(step for step, applies in table[kind] if applies)


def undo_steps(kind: OperationKind, instance: ServiceInstance) -> tuple[Step, ...]:
    """Return how an operation that failed is undone, in order; a delete is not undone but repeated."""
    if kind is OperationKind.PROVISION:
        return (Step.UNDO, Step.REMOVE) if not instance.definition.is_static else (Step.REMOVE,)
    if kind is OperationKind.BIND:
        return (Step.UNDO,)
    return ()


def next_step(operation: Operation, instance: ServiceInstance) -> Step | None:
    """Return the step after the one that the operation has just done, or None when that was the last."""
    table = forward_steps if operation.phase is Phase.FORWARD else undo_steps
    steps = table(operation.kind, instance)
    position = steps.index(operation.step) + 1
    return steps[position] if position < len(steps) else None


def failing(
    operation: Operation, instance: ServiceInstance, description: str, *, is_unended: bool = False
) -> Operation | None:
    """Return the operation about to be undone, or None when it cannot be undone.

    What cannot be undone is a delete, and what an executable may still be at work on (`is_unended`), unless
    it goes with its container.
    """
    steps = undo_steps(operation.kind, instance)
    if is_unended and not (operation.kind is OperationKind.PROVISION and instance.owns_container):
        return None
    if not steps:
        return None
    return evolve(operation, phase=Phase.FAILING, description=description).at(steps[0])


def remainder(kind: OperationKind) -> str:
    """Return the sentence about an executable that may still be at work after its operation has failed."""
    deletion = "deprovision" if kind in {OperationKind.PROVISION, OperationKind.DEPROVISION} else "unbind"
    return f" Something of it may still be running; {deletion} it to clean up."


def resumed(operation: Operation, instance: ServiceInstance) -> Operation:
    """Return an operation whose broker died as it goes on: what was being made is undone, deletes go on.

    Cloud Controller cleans up after a provision or bind that it got no answer to, and repeats a delete. The
    exec that was being run is kept, since it may still run.
    """
    again = operation.again(operation.step)
    if operation.phase is Phase.FORWARD:
        description = f"The broker was stopped during the {operation.kind.value}."
        again = failing(again, instance, description) or again
    return evolve(
        again,
        exec_id=operation.exec_id,
        may_create=operation.may_create or operation.step is Step.CREATE,
    )
