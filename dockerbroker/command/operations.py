"""Shows operations, and helps those that wait."""

from datetime import UTC, datetime

from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import show_members, show_table, tell
from dockerbroker.errors import NotFound
from dockerbroker.model.instances import Operation, ServiceInstance
from dockerbroker.model.progress import sentence

#: How many are listed.
_MOST = 1000
_COLUMNS = ("operation", "kind", "instance", "binding", "phase", "step", "attempt", "what")


async def list_operations(deployment: Deployment, *, unfinished: bool) -> int:
    """List operations, those begun last first."""
    found = await deployment.persister.operations(unfinished=unfinished, limit=_MOST + 1)
    rows = []
    for operation in found[:_MOST]:
        instance = await deployment.persister.instance(operation.instance_id)
        rows.append(_row(operation, instance))
    show_table(_COLUMNS, rows)
    if len(found) > _MOST:
        tell(f"There are more; these are the last {_MOST}.")
    return 0


def _row(operation: Operation, instance: ServiceInstance | None) -> tuple[str, ...]:
    return (
        operation.id,
        operation.kind.value,
        operation.instance_id,
        operation.binding_id or "",
        operation.phase.value,
        "" if operation.is_over else operation.step.value,
        str(operation.attempt),
        _what(operation, instance),
    )


def _what(operation: Operation, instance: ServiceInstance | None) -> str:
    # How long a step has taken is a matter of the broker's clock, and told by `cf service`.
    text = sentence(operation, instance, operation.step_at)
    return f"{text}: {operation.description}" if operation.description not in text else text


async def show_operation(deployment: Deployment, operation_id: str) -> int:
    """Show all of an operation; raises `NotFound`."""
    operation = await deployment.persister.operation(operation_id)
    if operation is None:
        raise NotFound(f"There is no operation {operation_id!r}, or none any more.")
    instance = await deployment.persister.instance(operation.instance_id)
    members = dict(zip(_COLUMNS, _row(operation, instance), strict=True))
    members["owner"] = operation.owner or ""
    members["epoch"] = str(operation.epoch)
    members["begun"] = _moment(operation.created_at)
    members["ended"] = _moment(operation.finished_at)
    members["cancelled"] = "yes" if operation.is_cancelled else "no"
    if instance is not None:
        members["host"] = instance.host.service_host
        members["container"] = instance.container_id or ""
    conditions = await deployment.persister.conditions()
    members["condition"] = conditions.get(operation.instance_id, "")
    show_members(members)
    return 0


def _moment(seconds: float | None) -> str:
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


async def retry_operation(deployment: Deployment, operation_id: str) -> int:
    """Let an operation that waits be tried at once; raises `NotFound` or `Conflict`."""
    await deployment.persister.hasten(operation_id)
    tell("The next broker that looks takes it up; that is within seconds.")
    return 0


async def cancel_operation(deployment: Deployment, operation_id: str) -> int:
    """Let an operation be undone; raises `NotFound` or `Conflict`."""
    await deployment.persister.cancel(operation_id)
    tell("Whoever carries it undoes it.")
    return 0
