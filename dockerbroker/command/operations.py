"""Shows operations, and helps those that wait."""

from dockerbroker.broker.operations import KnownOperation, Operations
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import show_members, show_table, tell
from dockerbroker.model.audit import command
from dockerbroker.model.listings import MOST, OperationFilter, moment

_COLUMNS = ("operation", "kind", "instance", "binding", "phase", "step", "attempt", "what")


async def list_operations(deployment: Deployment, *, unfinished: bool) -> int:
    """List operations, those begun last first."""
    operations = Operations(deployment.persister)
    wanted = OperationFilter(unfinished=unfinished)
    part = await operations.some(wanted, after=None, limit=MOST)
    show_table(_COLUMNS, [_row(await operations.known(operation)) for operation in part.items])
    if part.after is not None and (await operations.some(wanted, after=part.after, limit=1)).items:
        tell(f"There are more; these are the last {MOST}.")
    return 0


def _row(known: KnownOperation) -> tuple[str, ...]:
    operation = known.operation
    return (
        operation.id,
        operation.kind.value,
        operation.instance_id,
        operation.binding_id or "",
        operation.phase.value,
        "" if operation.is_over else operation.step.value,
        str(operation.attempt),
        known.what,
    )


async def show_operation(deployment: Deployment, operation_id: str) -> int:
    """Show all of an operation; raises `NotFound`."""
    known = await Operations(deployment.persister).one(operation_id)
    operation, instance = known.operation, known.instance
    members = dict(zip(_COLUMNS, _row(known), strict=True))
    members["owner"] = operation.owner or ""
    members["epoch"] = str(operation.epoch)
    members["begun"] = moment(operation.created_at) or ""
    members["ended"] = moment(operation.finished_at) or ""
    members["cancelled"] = "yes" if operation.is_cancelled else "no"
    if instance is not None:
        members["host"] = instance.host.service_host
        members["container"] = instance.container_id or ""
    members["condition"] = known.condition or ""
    show_members(members)
    return 0


async def retry_operation(deployment: Deployment, operation_id: str) -> int:
    """Let an operation that waits be tried at once; raises `NotFound` or `Conflict`."""
    await Operations(deployment.persister).retry(operation_id, command("operations retry"))
    tell("The next broker that looks takes it up; that is within seconds.")
    return 0


async def cancel_operation(deployment: Deployment, operation_id: str) -> int:
    """Let an operation be undone; raises `NotFound` or `Conflict`."""
    await Operations(deployment.persister).cancel(operation_id, command("operations cancel"))
    tell("Whoever carries it undoes it.")
    return 0
