"""I6, I7 and I16: what a platform was told is true, in time, and never an error without a reason."""

from dockerbroker.invariants.history import Event, Resource, told
from dockerbroker.invariants.snapshot import Snapshot
from dockerbroker.model.containers import LABEL_INSTANCE
from dockerbroker.model.instances import BindingState, InstanceState

#: The longest that an answer may take, in seconds.
LONGEST_ANSWER = 45.0
_SERVER_ERRORS = 500


def i6(world: Snapshot) -> list[str]:
    """What a platform was told of instances is so in Docker: it lives, or nothing of it is left."""
    found = []
    for resource, exists in told(world.history).items():
        if resource.binding_id is None:
            found += _lives(world, resource) if exists else _leaves_nothing(world, resource)
    return found


def _lives(world: Snapshot, resource: Resource) -> list[str]:
    instance = next((one for one in world.instances if one.id == resource.instance_id), None)
    if instance is None:
        return [f"{resource.instance_id} was made, and is gone although nobody has deleted it"]
    if not instance.owns_container or instance.id in world.conditions or world.is_dark(instance.host):
        return []
    if not world.is_settled(instance):
        return []
    view = world.view(instance.host)
    assert view is not None, "a host of which something was seen"
    runs = any(one.id == instance.container_id and one.running for one in view.containers)
    return [] if runs else [f"{instance.id} was made, and its container does not run"]


def _leaves_nothing(world: Snapshot, resource: Resource) -> list[str]:
    left = [
        f"the {what} {name} on {view.host.key.service_host}"
        for view in world.hosts
        for what, name, labels in (
            *(("container", one.id, one.labels) for one in view.containers),
            *(("volume", one.name, one.labels) for one in view.volumes),
        )
        if labels.get(LABEL_INSTANCE) == resource.instance_id
    ]
    return [f"{resource.instance_id} was told to be gone, and {one} is left of it" for one in left]


def i7(world: Snapshot) -> list[str]:
    """What a platform believes to exist is on record, and what it believes to be gone is not."""
    believed = told(world.history) if world.believed is None else world.believed
    rows = {Resource(one.id): one.state is not InstanceState.PROVISIONING for one in world.instances}
    rows |= {Resource(one.instance_id, one.id): one.state is BindingState.BOUND for one in world.bindings}
    found = []
    for resource, exists in sorted(believed.items(), key=lambda item: str(item[0])):
        name = " ".join(filter(None, (resource.instance_id, resource.binding_id)))
        if exists and not rows.get(resource, False):
            found.append(f"{name} is believed to exist, and does not")
        if not exists and resource in rows and resource.instance_id not in world.busy:
            found.append(f"{name} is believed to be gone, and is on record")
    return found


def i16(world: Snapshot) -> list[str]:
    """No answer is an error of the broker's without a reason, or late, or breaks its connection."""
    begun: dict[int, Event] = {}
    found = []
    for event in world.history:
        if event.kind == "invoke":
            begun[event.number] = event
            continue
        began = begun[event.number].at if event.number in begun else event.at
        took = event.at - began
        what = f"the {event.call} {event.number} of {event.instance_id}"
        if took > LONGEST_ANSWER:
            found.append(f"{what} was answered after {took:.1f} s")
        if event.unannounced_close:
            found.append(f"the connection broke after {what}, which did not say so")
        if _is_justified(world, began, event.at):
            continue
        if event.status is None:
            found.append(f"{what} got no answer")
        elif event.status >= _SERVER_ERRORS:
            found.append(f"{what} was answered with {event.status} although nothing was wrong")
    return found


def _is_justified(world: Snapshot, began: float, ended: float) -> bool:
    return any(began <= last and first <= ended for first, last in world.faults)
