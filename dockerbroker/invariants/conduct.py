"""I12 to I14: the reaper is careful, nothing leaks, and the log is readable."""

import json

from dockerbroker.invariants.snapshot import Snapshot
from dockerbroker.model.containers import container_name
from dockerbroker.model.orphans import GRACE, Kind, Removal, cap
from dockerbroker.model.world import PASSES

#: What must not have grown by more than this share; everything else must not have grown at all.
_GROWTH = {"memory": 1.05}
#: One of these members tells what a line of the log is about.
_ABOUT = ("operation", "operation_id", "request", "request_id")


def i12(world: Snapshot) -> list[str]:
    """Whatever the reaper removed was old enough, bore all marks, and was not too much at once."""
    return [complaint for removal in world.removals for complaint in _complaints(world, removal)]


def _complaints(world: Snapshot, removal: Removal) -> list[str]:
    what = f"the {removal.orphan.kind.value} {removal.orphan.id}"
    found = []
    age = removal.at - removal.sighting.first
    if age <= GRACE:
        found.append(f"{what} was removed {age:.0f} s after it was first seen without an owner")
    if removal.sighting.passes < PASSES:
        found.append(f"{what} was removed at first sight")
    if removal.orphan.kind is Kind.CONTAINER and removal.name != container_name(
        world.cluster_id, removal.orphan.instance_id, removal.generation or 0
    ):
        found.append(f"{what} was removed although its name {removal.name} is not the one that it would have")
    if removal.count > cap(removal.total) and not removal.forced:
        found.append(f"{what} was one of {removal.count} of {removal.total} that were removed at once")
    owners = {instance.container_id for instance in world.instances}
    if removal.orphan.id in owners:
        found.append(f"{what} was removed although it has an owner")
    return found


def i13(world: Snapshot) -> list[str]:
    """A program that has done much holds no more than before."""
    return [
        f"the program held {before:g} {what} before, and {after:g} afterwards"
        for what, (before, after) in world.resources.items()
        if after > before * _GROWTH.get(what, 1.0)
    ]


def i14(world: Snapshot) -> list[str]:
    """Every line of the log is a JSON object that says what it is about, and no error was left unhandled."""
    found = []
    for number, line in enumerate(world.log, 1):
        if "Unhandled error in Deferred" in line:
            found.append(f"line {number} of the log tells of an error that nobody handled")
        try:
            document = json.loads(line)
        except ValueError:
            found.append(f"line {number} of the log is no JSON")
            continue
        if not isinstance(document, dict) or not any(document.get(key) for key in _ABOUT):
            found.append(f"line {number} of the log names neither a request nor an operation")
    return found
