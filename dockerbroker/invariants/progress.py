"""I5, I8 and I10: operations end once, executables run one at a time, and nobody writes without a lease."""

from itertools import combinations

from dockerbroker.invariants.history import POLLS, Event, Resource
from dockerbroker.invariants.snapshot import Run, Snapshot
from dockerbroker.model.instances import Operation, OperationKind, Phase

#: How long after its deadline an operation may still be under way: it is undone, and a lease may lapse.
SETTLING = 180.0


def i5(world: Snapshot) -> list[str]:
    """Every operation that was acknowledged, or holds an instance, ends, and its end never changes."""
    known = {operation.id: operation for operation in world.operations}
    found = [
        f"the {one.kind.value} {one.id} of {one.instance_id} is not over {world.now - one.deadline:.0f} s "
        "after its deadline"
        for one in world.operations
        if _is_stuck(world, one)
    ]
    for sample in world.samples:
        for operation_id, phase in sample.phases.items():
            now = known[operation_id].phase if operation_id in known else phase
            if phase in {Phase.SUCCEEDED, Phase.FAILED} and now is not phase:
                found.append(f"the operation {operation_id} was {phase.value} and is {now.value}")
    return found + _held_by_nobody(world, known) + _told_operations(world, known)


def _is_stuck(world: Snapshot, operation: Operation) -> bool:
    if operation.is_over or world.now <= operation.deadline + SETTLING:
        return False
    instance = next((one for one in world.instances if one.id == operation.instance_id), None)
    # What waits for its host to come back ends when it does.
    return instance is None or not world.is_dark(instance.host)


def _held_by_nobody(world: Snapshot, known: dict[str, Operation]) -> list[str]:
    return [
        f"{one.id} is held by the operation {one.operation_id}, which is not on record"
        for one in world.instances
        if known and one.operation_id is not None and one.operation_id not in known
    ]


def _told_operations(world: Snapshot, known: dict[str, Operation]) -> list[str]:
    found = []
    owners: dict[str, Resource] = {}
    finals: dict[str, str] = {}
    for event in world.history:
        if event.operation is None or event.kind != "ok":
            continue
        owner = owners.setdefault(event.operation, event.resource)
        if owner != event.resource:
            found.append(f"the operation {event.operation} was told of {owner} and of {event.resource}")
        if event.call not in POLLS and known and event.operation not in known:
            found.append(f"the operation {event.operation} was acknowledged and is not on record")
        found += _told_twice(event, finals)
    return found


def _told_twice(event: Event, finals: dict[str, str]) -> list[str]:
    assert event.operation is not None, "only events with operations are looked at"
    before = finals.get(event.operation)
    if event.call in POLLS and event.state in {"succeeded", "failed"}:
        finals[event.operation] = event.state
    if event.call in POLLS and before not in {None, event.state}:
        return [f"the operation {event.operation} was told as {before}, and then as {event.state}"]
    return []


def i8(world: Snapshot) -> list[str]:
    """Executables ran for each success, one at a time; a binding is never told two sets of credentials."""
    return _overlapping(world) + _never_run(world) + _two_credentials(world)


def _overlapping(world: Snapshot) -> list[str]:
    by_instance: dict[str, list[Run]] = {}
    for run in world.runs:
        by_instance.setdefault(run.instance_id, []).append(run)
    return [
        f"/{one.action} of {instance_id} ran while its /{other.action} did"
        for instance_id, runs in by_instance.items()
        for one, other in combinations(runs, 2)
        if one.began < _end(other) and other.began < _end(one)
    ]


def _end(run: Run) -> float:
    return float("inf") if run.ended is None else run.ended


def _never_run(world: Snapshot) -> list[str]:
    done = {(run.action, run.instance_id, run.binding_id) for run in world.runs if run.exit_code == 0}
    static = {instance.id for instance in world.instances if instance.definition.is_static}
    looked_at = {OperationKind.PROVISION, OperationKind.BIND}
    return [
        f"the {one.kind.value} {one.id} of {one.instance_id} succeeded, and /{one.kind.value} never did"
        for one in world.operations
        if world.runs
        and one.phase is Phase.SUCCEEDED
        and one.kind in looked_at
        and one.instance_id not in static
        and (one.kind.value, one.instance_id, one.binding_id) not in done
    ]


def _two_credentials(world: Snapshot) -> list[str]:
    told: dict[Resource, str] = {}
    found = []
    for event in world.history:
        if event.call in {"unbind", "deprovision"} and event.kind != "fail":
            for resource in [one for one in told if _is_within(one, event.resource)]:
                del told[resource]
        if event.credentials is None or event.kind != "ok":
            continue
        if told.setdefault(event.resource, event.credentials) != event.credentials:
            found.append(f"{event.resource} was told two different sets of credentials")
    return found


def _is_within(one: Resource, other: Resource) -> bool:
    return one == other or (other.binding_id is None and one.instance_id == other.instance_id)


def i10(world: Snapshot) -> list[str]:
    """Nobody whose lease was lost has written anything."""
    count = world.counters.get("stale writes", 0)
    return [f"{count:.0f} writes were made by somebody whose lease was lost"] if count else []
