"""What has come to its end although its record says that it is to be undone.

A container gets its restart policy in the last step of its operation, so that one that has it is never
removed by undoing. The reasons stand in docs/decisions/0021-what-was-finished-stays.md.
"""

from collections.abc import Iterable

from attrs import evolve

from dockerbroker.model.containers import LABEL_OPERATION, Container
from dockerbroker.model.instances import Operation, OperationKind, Phase, ServiceInstance, Step
from dockerbroker.model.plans import UNKEPT
from dockerbroker.model.steps import is_final, is_replacing, undo_steps
from dockerbroker.model.work import Work

#: The steps that take a container away, or what is in it.
_TAKING = {
    OperationKind.PROVISION: frozenset({Step.UNDO, Step.REMOVE}),
    OperationKind.UPDATE: frozenset({Step.DISCARD}),
    OperationKind.MOVE: frozenset({Step.DISCARD}),
}


def takes_container(operation: Operation, instance: ServiceInstance) -> bool:
    """Whether the present step undoes a container of the broker's, or what is in it."""
    is_taking = operation.step in _TAKING.get(operation.kind, ())
    return operation.phase is Phase.FAILING and is_taking and instance.owns_container


def finished_by(operation: Operation, found: Iterable[Container]) -> Container | None:
    """Return the container that the operation has finished; one that was asked to be undone has none."""
    if operation.is_cancelled:
        return None
    kept = [one for one in found if one.is_kept and one.labels.get(LABEL_OPERATION) == operation.id]
    return kept[0] if kept else None


def finished_by_another(operation: Operation, found: Iterable[Container]) -> Container | None:
    """Return the container that another operation has finished, of which the database knows nothing."""
    kept = [one for one in found if one.is_kept and one.labels.get(LABEL_OPERATION) != operation.id]
    return kept[0] if kept else None


def succeeded(work: Work, container: Container) -> Work:
    """Return the work as it goes on when the container turns out to be finished."""
    operation = evolve(work.operation.at(Step.KEEP), phase=Phase.FORWARD, description="")
    instance = evolve(work.instance, container_id=container.id, ports=container.configured)
    return evolve(work, operation=operation, instance=instance)


def left_alone(work: Work, container: Container) -> Work:
    """Return the work with nothing more to undo: the container is somebody else's."""
    last = undo_steps(work.operation.kind, work.former or work.instance)[-1]
    text = (
        f"{work.operation.description} The container {container.name} was made later, by an operation "
        "of which the database knows nothing, and is left as it is; the operator may adopt it."
    )
    return evolve(work, operation=evolve(work.operation.at(last), description=text))


def is_untold(operation: Operation, instance: ServiceInstance) -> bool:
    """Whether nothing at Docker tells if the operation has succeeded: what undoing takes away may be in use.

    That is a bind; and what works on a container that is not the broker's, or that never gets a policy.
    """
    if operation.phase is not Phase.FORWARD or is_final(operation) or operation.is_cancelled:
        return False
    match operation.kind:
        case OperationKind.BIND:
            return True
        case OperationKind.PROVISION:
            return not instance.owns_container or instance.plan.options.restart == UNKEPT
        case OperationKind.UPDATE | OperationKind.MOVE:
            wanted = instance.successor or instance
            return is_replacing(instance) and wanted.plan.options.restart == UNKEPT
        case _:
            return False


def untold(operation: Operation) -> Operation:
    """Return such an operation as it fails: whoever asked for it deletes what it may have made."""
    deletion = "unbind" if operation.kind is OperationKind.BIND else "deprovision"
    text = (
        f"The {operation.kind.value} was not finished in time, and how far it came is not known; "
        f"{deletion} it to clean up."
    )
    return evolve(operation, phase=Phase.FAILING, description=text)
