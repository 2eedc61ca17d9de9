"""What an operation does, step by step, and how one that fails or loses its broker goes on."""

from attrs import evolve

from dockerbroker.errors import DiskFull, EngineError, EngineUnreachable, NoImage
from dockerbroker.model.instances import Operation, OperationKind, Phase, ServiceInstance, Step

#: How often steps of one operation are begun again before it is given up and undone: an operation at which
#: brokers die must not kill them for ever.
MOST_ATTEMPTS = 12

#: What makes something else of an instance, its successor.
_CHANGES = frozenset({OperationKind.UPDATE, OperationKind.MOVE})
#: The steps of an update or a move that work on what the instance is to become.
_ON_SUCCESSOR = frozenset(
    {Step.CREATE, Step.COPY, Step.START, Step.READY, Step.EXECUTE, Step.KEEP, Step.DISCARD}
)
#: What is done of an update or a move that is not undone any more.
_FINAL = frozenset({Step.RETIRE})
_MOVE = (Step.CREATE, Step.HALT, Step.COPY, Step.START, Step.READY, Step.KEEP, Step.RETIRE)


def is_replacing(instance: ServiceInstance) -> bool:
    """Whether the update or move in progress puts another container in the place of the instance's."""
    return instance.successor is not None and instance.successor.generation != instance.generation


def is_on_successor(operation: Operation) -> bool:
    """Whether the operation's present step works on what the instance is to become."""
    return operation.kind in _CHANGES and operation.step in _ON_SUCCESSOR


def is_final(operation: Operation) -> bool:
    """Whether the operation is past the point from which it is undone: it is done again until it succeeds."""
    return operation.kind in _CHANGES and operation.step in _FINAL


def is_deletion(kind: OperationKind) -> bool:
    """Whether the operation removes something: it is not undone, but goes on."""
    return kind in {OperationKind.UNBIND, OperationKind.DEPROVISION}


def leaves_nothing(operation: Operation, error: EngineError) -> bool:
    """Whether Docker has certainly made nothing of a new instance, and will not: it may be made elsewhere.

    Docker's first refusal may pass, unless it names what is missing. A broker that has taken the operation
    over does not know what Docker was asked by the one before.
    """
    is_refused = type(error) in {EngineError, EngineUnreachable} and operation.attempt > 1
    is_known = operation.epoch == 1 and not operation.may_create
    is_new = operation.kind is OperationKind.PROVISION and operation.phase is Phase.FORWARD
    return is_new and is_known and (is_refused or isinstance(error, NoImage | DiskFull))


def forward_steps(kind: OperationKind, instance: ServiceInstance) -> tuple[Step, ...]:
    """Return what an operation on the instance does, in order; an update may have nothing to do."""
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
        OperationKind.UPDATE: _update_steps(instance),
        OperationKind.MOVE: tuple((step, owns) for step in _MOVE),
        OperationKind.BIND: ((Step.EXECUTE, True),),
        OperationKind.UNBIND: ((Step.EXECUTE, True),),
        OperationKind.DEPROVISION: ((Step.UNBIND, True), (Step.EXECUTE, runs), (Step.REMOVE, True)),
    }
    return tuple(step for step, applies in table[kind] if applies)


def _update_steps(instance: ServiceInstance) -> tuple[tuple[Step, bool], ...]:
    replaces = is_replacing(instance)
    return (
        (Step.CREATE, replaces),
        (Step.HALT, replaces),
        (Step.START, replaces),
        (Step.READY, replaces),
        (Step.EXECUTE, not (instance.successor or instance).definition.is_static),
        (Step.KEEP, replaces),
        (Step.RETIRE, replaces),
    )


def undo_steps(kind: OperationKind, instance: ServiceInstance) -> tuple[Step, ...]:
    """Return how an operation that failed is undone, in order; a delete is not undone but repeated.

    Of an update in place only the run of its executable has to be ended: one that fails has, by its contract,
    changed nothing.
    """
    if kind is OperationKind.PROVISION:
        return (Step.UNDO, Step.REMOVE) if not instance.definition.is_static else (Step.REMOVE,)
    if kind is OperationKind.MOVE or (kind is OperationKind.UPDATE and is_replacing(instance)):
        return (Step.DISCARD, Step.RESTORE)
    if kind is OperationKind.UPDATE:
        return (Step.UNDO,) if Step.EXECUTE in forward_steps(kind, instance) else ()
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
    if is_unended and not _goes_with_container(operation.kind, instance):
        return None
    if not steps:
        return None
    undone = evolve(operation, phase=Phase.FAILING, description=description, attempt=1)
    return evolve(undone.at(steps[0]), exec_id=operation.exec_id)


def _goes_with_container(kind: OperationKind, instance: ServiceInstance) -> bool:
    if kind in _CHANGES:
        return is_replacing(instance)
    return kind is OperationKind.PROVISION and instance.owns_container


def remainder(kind: OperationKind) -> str:
    """Return the sentence about an executable that may still be at work after its operation has failed."""
    on_binding = kind in {OperationKind.BIND, OperationKind.UNBIND}
    deletion = "unbind" if on_binding else "deprovision"
    return f" Something of it may still be running; {deletion} it to clean up."


def resumed(operation: Operation, instance: ServiceInstance) -> Operation:
    """Return an operation whose broker died as it goes on: where its record says, once more.

    The exec that was being run is kept, since it may still run. One at which brokers die again and again,
    or that was cancelled, is undone.
    """
    again = operation.again(operation.step)
    if operation.phase is Phase.FORWARD and not is_final(operation):
        undone = None
        if operation.is_cancelled:
            undone = failing(again, instance, cancelled(operation.kind))
        elif operation.attempt >= MOST_ATTEMPTS:
            text = f"The {operation.kind.value} was given up after {operation.attempt} attempts."
            undone = failing(again, instance, text)
        again = undone or again
    return evolve(
        again,
        exec_id=operation.exec_id,
        may_create=operation.may_create or operation.step is Step.CREATE,
    )


def cancelled(kind: OperationKind) -> str:
    """Return the sentence about an operation that an operator has cancelled."""
    return f"The {kind.value} was cancelled by an operator."
