"""What an operation is doing, in a sentence that a person reads in `cf service`."""

from dockerbroker.model.instances import Operation, OperationKind, Phase, ServiceInstance, Step
from dockerbroker.model.steps import is_on_successor

_DOING = {
    Step.CREATE: "creating the container of {service} on {host}",
    Step.HALT: "stopping the present container of {service} on {host}",
    Step.COPY: "copying the volumes of {service} to {host}, {copied} bytes so far",
    Step.START: "starting {service} on {host}",
    Step.READY: "waiting for {service} to become healthy on {host}",
    Step.EXECUTE: "running /{action} of {service} on {host}",
    Step.KEEP: "finishing {service} on {host}",
    Step.RETIRE: "removing the former container of {service} on {host}",
    Step.UNBIND: "removing the bindings of {service} on {host}",
    Step.UNDO: "cleaning up {service} on {host}",
    Step.DISCARD: "removing the new container of {service} on {host}",
    Step.RESTORE: "starting the former container of {service} on {host} again",
    Step.REMOVE: "removing the container of {service} on {host}",
}
_DONE = {
    OperationKind.PROVISION: "the service instance is ready",
    OperationKind.UPDATE: "the service instance is updated",
    OperationKind.MOVE: "the service instance is on another Docker host",
    OperationKind.BIND: "the binding is made",
    OperationKind.UNBIND: "the binding is removed",
    OperationKind.DEPROVISION: "the service instance is removed",
}


def sentence(operation: Operation, instance: ServiceInstance | None, now: float) -> str:
    """Return what the operation does, did, or why it failed; `now` is in seconds since 1970.

    For instance: `waiting for redis to become healthy on host-b (12 s)`.
    """
    if operation.phase is Phase.SUCCEEDED:
        return _DONE[operation.kind]
    if operation.phase is Phase.FAILED:
        return operation.description or f"the {operation.kind.value} failed"
    if instance is not None and is_on_successor(operation):
        instance = instance.successor or instance
    doing = _DOING[operation.step].format(
        service=instance.definition.name if instance is not None else "the service",
        host=instance.host.service_host if instance is not None else "its host",
        action=operation.kind.value,
        copied=operation.copied,
    )
    since = f"{max(int(now - (operation.step_at or operation.created_at)), 0)} s"
    tries = f", attempt {operation.attempt}" if operation.attempt > 1 else ""
    text = f"{doing} ({since}{tries})"
    if operation.phase is Phase.FAILING:
        return f"{operation.description} Undoing it: {text}"
    return f"{text}: {operation.description}" if operation.description else text
