"""I1 to I4: every container, volume and port has one owner, and every owner what it owns."""

from collections import Counter
from collections.abc import Iterator

from dockerbroker.invariants.snapshot import HostView, Snapshot
from dockerbroker.model.containers import (
    LABEL_GENERATION,
    LABEL_INSTANCE,
    LABEL_SPEC,
    Container,
    Volume,
    container_name,
    container_spec,
    spec_hash,
)
from dockerbroker.model.holdings import holdings
from dockerbroker.model.instances import Operation, OperationKind, ServiceInstance, Step
from dockerbroker.model.reservations import NOTHING
from dockerbroker.model.world import place_of


def i1(world: Snapshot) -> list[str]:
    """Every container and volume that bears the cluster's label belongs to exactly one row."""
    instances = {instance.id: instance for instance in world.instances}
    named: Counter[str] = Counter()
    for instance in world.instances:
        # An update in place does not change the container.
        named.update(_containers(instance))
    found = [
        f"the container {one.id} on {_name(view)} belongs to no service instance"
        for view in world.hosts
        for one in view.containers
        if one.id not in named
        and not _may_have_more(world, instances.get(one.labels.get(LABEL_INSTANCE, "")))
    ]
    found += [
        f"the volume {one.name} on {_name(view)} belongs to no service instance"
        for view in world.hosts
        for one in view.volumes
        if not _is_wanted(world, view, instances.get(one.labels.get(LABEL_INSTANCE, "")), one)
    ]
    return found + [
        f"the container {container_id} belongs to {count} service instances"
        for container_id, count in named.items()
        if count > 1
    ]


def _is_wanted(world: Snapshot, view: HostView, instance: ServiceInstance | None, volume: Volume) -> bool:
    """Whether the volume is where its instance is, or somebody is at work on that."""
    if instance is None:
        return volume.labels.get(LABEL_INSTANCE) in world.busy
    return not world.is_settled(instance) or place_of(instance.host) == place_of(view.host.key)


def _containers(instance: ServiceInstance) -> set[str]:
    if not instance.owns_container:
        return set()
    both = (instance, instance.successor)
    return {one.container_id for one in both if one is not None and one.container_id is not None}


def _may_have_more(world: Snapshot, instance: ServiceInstance | None) -> bool:
    """Whether the instance may have containers that its row does not name: somebody is at work on it."""
    return instance is not None and not world.is_settled(instance)


def i2(world: Snapshot) -> list[str]:
    """Every instance that is ready has its container, or is told of."""
    found = []
    for instance in world.instances:
        if not world.is_settled(instance) or instance.id in world.conditions:
            continue
        view = world.view(instance.host)
        if view is not None and not view.is_alive:
            continue
        complaint = _complaint(world, instance, view)
        if complaint is not None:
            found.append(f"{instance.id}: {complaint}, and nothing is on record about that")
    return found


def _complaint(world: Snapshot, instance: ServiceInstance, view: HostView | None) -> str | None:
    host = instance.host.service_host
    if view is None:
        return f"its host {host} is not known"
    if view.complaint is not None:
        return f"its host {host} does not answer"
    if not instance.owns_container:
        return None
    found = [one for one in view.containers if one.id == instance.container_id]
    return _difference(world, instance, found[0]) if found else f"its container is missing on {host}"


def _difference(world: Snapshot, instance: ServiceInstance, container: Container) -> str | None:
    labels = container.labels
    if labels.get(LABEL_INSTANCE) != instance.id or labels.get(LABEL_GENERATION) != str(instance.generation):
        return f"its container {container.id} is labelled as another's"
    if labels.get(LABEL_SPEC) != _expected_spec(world.cluster_id, instance):
        return f"its container {container.id} is not the one that its row describes"
    return None


def _expected_spec(cluster_id: str, instance: ServiceInstance) -> str:
    # Neither labels nor name count, and nothing else depends on the operation.
    any_operation = Operation(id="", kind=OperationKind.PROVISION, instance_id=instance.id, step=Step.CREATE)
    return spec_hash(container_spec(cluster_id, instance, any_operation))


def i3(world: Snapshot) -> list[str]:
    """At most one container of an instance runs at any moment, over all hosts."""
    running: dict[str, set[str]] = {}
    for view in world.hosts:
        for one in view.containers:
            if one.running and _bears_its_name(one, world.cluster_id):
                running.setdefault(one.labels[LABEL_INSTANCE], set()).add(one.id)
    seen = [("now", {key: tuple(ids) for key, ids in running.items()})]
    seen += [(f"at {sample.at:g}", dict(sample.running)) for sample in world.samples]
    return [
        f"{instance_id} had {len(set(ids))} running containers {when}: {', '.join(sorted(set(ids)))}"
        for when, by_instance in seen
        for instance_id, ids in by_instance.items()
        if len(set(ids)) > 1
    ]


def _bears_its_name(container: Container, cluster_id: str) -> bool:
    instance_id, generation = (container.labels.get(key, "") for key in (LABEL_INSTANCE, LABEL_GENERATION))
    if not (generation.isascii() and generation.isdigit()):
        return False
    return container.name == container_name(cluster_id, instance_id, int(generation))


def i4(world: Snapshot) -> list[str]:
    """Every port of a host has one owner, and is published as it is reserved."""
    holders: dict[tuple[object, int], set[str]] = {}
    for instance in world.instances:
        for held in holdings(instance):
            for port in held.ports:
                holders.setdefault((place_of(held.host), port), set()).add(instance.id)
    found = [
        f"port {port} is reserved for {', '.join(sorted(owners))}"
        for (_, port), owners in sorted(holders.items(), key=str)
        if len(owners) > 1
    ]
    for view in world.hosts:
        owned = {port for place, port in holders if place == place_of(view.host.key)}
        found += [
            f"port {port} of {_name(view)} is reserved for nobody" for port in view.leased_ports - owned
        ]
        found += [
            f"port {port} of {_name(view)} is used by an instance, and not reserved"
            for port in owned - view.leased_ports
        ]
        found += _wrongly_summed(world, view)
    return found + list(_wrongly_published(world))


def _wrongly_summed(world: Snapshot, view: HostView) -> Iterator[str]:
    every = [held for one in world.instances for held in holdings(one)]
    there = [held.reserved for held in every if held.host == view.host.key]
    summed = sum(there, NOTHING)
    if view.reserved is not None and view.reserved != summed:
        yield f"the instances of {_name(view)} reserve {summed}, and {view.reserved} is written down"


def _wrongly_published(world: Snapshot) -> Iterator[str]:
    published = {one.id: dict(one.ports) for view in world.hosts for one in view.containers if one.running}
    for instance in world.instances:
        ports = published.get(instance.container_id or "")
        settled = world.is_settled(instance) and instance.owns_container
        if settled and ports is not None and ports != dict(instance.ports):
            yield f"{instance.id} publishes {ports}, and {dict(instance.ports)} is reserved"


def _name(view: HostView) -> str:
    return view.host.key.service_host
