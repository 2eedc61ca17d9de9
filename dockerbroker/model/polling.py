"""What a platform that polls is told (OSB section Polling Last Operation)."""

from dockerbroker.errors import NotFound
from dockerbroker.model.instances import Operation, Phase, ServiceInstance
from dockerbroker.model.progress import sentence
from dockerbroker.model.requests import LastOperation, PollRequest

#: When to poll again, in seconds. Cloud Controller never polls more often than once a minute.
RETRY_AFTER = 5
_STATES = {
    Phase.FORWARD: "in progress",
    Phase.FAILING: "in progress",
    Phase.SUCCEEDED: "succeeded",
    Phase.FAILED: "failed",
}


def is_parked(operation: Operation) -> bool:
    """Whether nobody carries the operation now, since something has failed that may pass."""
    return not operation.is_over and operation.owner is None


def last_operation(
    request: PollRequest, operation: Operation | None, instance: ServiceInstance | None, now: float
) -> LastOperation:
    """Return the answer to a poll about that operation; `now` is in seconds since 1970.

    An operation that failed is in progress until it is undone, since a final answer never changes. Raises
    `NotFound` when the instance or binding has no such operation; never anything that Cloud Controller takes
    for a final answer.
    """
    asked = (request.instance_id, request.binding_id)
    if operation is None or (operation.instance_id, operation.binding_id) != asked:
        what = "binding" if request.binding_id is not None else "service instance"
        raise NotFound(f"The {what} {request.binding_id or request.instance_id!r} has no such operation.")
    state = _STATES[operation.phase]
    return LastOperation(
        state=state,
        description=sentence(operation, instance, now),
        retry_after=RETRY_AFTER if state == "in progress" else None,
        instance_usable=operation.instance_usable if state == "failed" else None,
        update_repeatable=operation.update_repeatable if state == "failed" else None,
    )
