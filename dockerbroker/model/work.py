"""What a worker has in hand: an operation with its records, and how the operation ends."""

from attrs import evolve, frozen

from dockerbroker.model.instances import (
    BindingState,
    Change,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
    Step,
)
from dockerbroker.model.steps import is_on_successor


@frozen(kw_only=True)
class Work:
    """An operation and the records that it changes; `back_to` is a step that must be begun again.

    `former` is what the instance was before an update or a move, while a step works on what it is to become.
    """

    operation: Operation
    instance: ServiceInstance
    binding: ServiceBinding | None = None
    back_to: Step | None = None
    former: ServiceInstance | None = None


def focused(work: Work) -> Work:
    """Return the work with the instance on which its present step works: its successor, if it has one."""
    if not is_on_successor(work.operation):
        return work
    assert work.instance.successor is not None, "what changes has a successor"
    return evolve(work, instance=work.instance.successor, former=work.instance)


def widened(work: Work, done: Work) -> Work:
    """Return the work after its step was done on what `focused` returned."""
    if not is_on_successor(work.operation):
        return done
    return evolve(done, instance=evolve(work.instance, successor=done.instance), former=None)


def progress(work: Work, operation: Operation) -> Change:
    """Return the change that records the operation's progress, with its records as they are now."""
    return Change(operation=operation, instance=work.instance, binding=work.binding)


def ending(work: Work, now: float, *, clean: bool = True) -> Change:
    """Return the change that ends the operation: it has gone forward to its end, or was undone.

    `clean` is false when undoing failed, so that something of it may be left.
    """
    if work.operation.phase is Phase.FORWARD:
        return _success(work, work.operation.over(Phase.SUCCEEDED, now))
    return _failure(work, work.operation.over(Phase.FAILED, now), clean=clean)


def _success(work: Work, operation: Operation) -> Change:
    binding = work.binding
    match operation.kind:
        case OperationKind.PROVISION:
            return Change(operation=operation, instance=evolve(work.instance, state=InstanceState.READY))
        case OperationKind.UPDATE:
            return Change(operation=operation, instance=_updated(work.instance))
        case OperationKind.MOVE:
            moved = evolve(_updated(work.instance), moved_at=operation.finished_at or 0.0)
            return Change(operation=operation, instance=moved)
        case OperationKind.DEPROVISION:
            return Change(operation=operation, remove_instance=True)
        case OperationKind.BIND:
            assert binding is not None
            return Change(operation=operation, binding=evolve(binding, state=BindingState.BOUND))
        case OperationKind.UNBIND:
            assert binding is not None
            return Change(operation=operation, remove_binding=binding.id)


def _updated(instance: ServiceInstance) -> ServiceInstance:
    assert instance.successor is not None, "what changes has a successor"
    return evolve(instance.successor, state=InstanceState.READY)


def _failure(work: Work, operation: Operation, *, clean: bool) -> Change:
    binding = work.binding
    match operation.kind:
        case OperationKind.PROVISION if clean:
            return Change(operation=operation, remove_instance=True)
        case OperationKind.BIND if clean:
            assert binding is not None
            return Change(operation=operation, remove_binding=binding.id)
        case OperationKind.UPDATE | OperationKind.MOVE:
            return _unchanged(work, operation, clean=clean)
        case OperationKind.DEPROVISION:
            told = evolve(operation, instance_usable=False)
            return Change(operation=told, instance=evolve(work.instance, state=InstanceState.FAILED))
        case OperationKind.PROVISION:
            return Change(operation=operation, instance=evolve(work.instance, state=InstanceState.FAILED))
        case OperationKind.BIND | OperationKind.UNBIND:
            assert binding is not None
            return Change(operation=operation, binding=evolve(binding, state=BindingState.DIRTY))


def _unchanged(work: Work, operation: Operation, *, clean: bool) -> Change:
    stays = evolve(work.instance, state=InstanceState.READY, successor=None)
    if operation.kind is OperationKind.MOVE:
        # No platform has asked for it; what may be wrong with the instance is found by comparing.
        return Change(operation=operation, instance=stays)
    told = evolve(operation, instance_usable=clean, update_repeatable=clean)
    return Change(operation=told, instance=stays if clean else evolve(stays, state=InstanceState.FAILED))
