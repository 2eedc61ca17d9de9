"""What must be true of database, Docker and service when everything has settled, and of what was answered.

Nothing is lost: what the platform believes to be there is. Nothing is leaked: what nobody's row owns is not.
Nothing is double: an instance has one container, a binding one password. Every complaint is a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from attrs import define, field

from dockerbroker.model.audit import AuditHead, breaks
from dockerbroker.model.containers import LABEL_CLUSTER, LABEL_INSTANCE, container_name
from dockerbroker.model.instances import (
    BindingState,
    InstanceState,
    OperationKind,
    ServiceBinding,
    ServiceInstance,
)
from tests.crash.platform import Platform
from tests.crash.world import World, result
from tests.memory_engine import MemoryContainer
from tests.stack import HOST


@define(eq=False)
class Rows:
    """What a database holds, read through its persister like everything that a broker knows."""

    cluster_id: str
    instances: dict[str, ServiceInstance]
    bindings: dict[tuple[str, str], ServiceBinding] = field(factory=dict)
    unfinished: list[Any] = field(factory=list)
    ports: frozenset[int] = frozenset()


def rows_of(persister: Any) -> Rows:
    """Read everything."""
    instances = {one.id: one for one in result(persister.instances("", 1000))}
    bindings = [one for name in instances for one in result(persister.bindings(name))]
    return Rows(
        cluster_id=result(persister.cluster_id()),
        instances=instances,
        bindings={(one.instance_id, one.id): one for one in bindings},
        unfinished=result(persister.operations(unfinished=True, limit=1000)),
        ports=result(persister.leased_ports(HOST.key)),
    )


def settled_complaints(world: World, platform: Platform) -> list[str]:
    """Return every breach once nothing is under way any more."""
    rows = rows_of(world.reader)
    return [
        *world.complaints,
        *world.service.complaints,
        *_unfinished(rows),
        *_instances(rows, world),
        *_parameters(rows, world, platform),
        *_strays(rows, world),
        *_ports(rows, world),
        *_bindings(rows, world),
        *_beliefs(rows, platform),
        *_credentials(rows, platform),
        *audit_complaints(world.reader),
    ]


def empty_complaints(world: World) -> list[str]:
    """Return what is left of anything after everything was deleted."""
    rows = rows_of(world.reader)
    left = {
        "instances": sorted(rows.instances),
        "bindings": sorted(rows.bindings),
        "ports": sorted(rows.ports),
        "unfinished operations": [one.id for one in rows.unfinished],
        "containers": [one.spec.name for one in world.engine.world.values()],
        "volumes": sorted(world.engine.disk),
    }
    return [f"left of {name}: {what}" for name, what in left.items() if what]


def _unfinished(rows: Rows) -> Iterator[str]:
    for one in rows.unfinished:
        yield f"the {one.kind.value} {one.id} is not over: {one.phase.value}, {one.step.value}"


def _instances(rows: Rows, world: World) -> Iterator[str]:
    for one in rows.instances.values():
        if one.state not in {InstanceState.READY, InstanceState.FAILED}:
            yield f"{one.id} is {one.state.value}"
        if one.successor is not None:
            yield f"{one.id} keeps a successor"
        if one.state is not InstanceState.READY:
            continue
        found = [made for made in _containers(rows, world) if made.spec.labels[LABEL_INSTANCE] == one.id]
        names = [made.spec.name for made in found]
        if names != [container_name(rows.cluster_id, one.id, one.generation)]:
            yield f"lost or double: {one.id} has the containers {names}"
        else:
            yield from _container(one, found[0])


def _container(instance: ServiceInstance, made: MemoryContainer) -> Iterator[str]:
    if not (made.running and made.keeps_running):
        yield f"lost: the container of {instance.id} does not run, or is not kept running"
    for what, recorded, is_now in (
        ("id", instance.container_id, made.id),
        ("ports", dict(instance.ports), dict(made.spec.ports)),
        ("memory", instance.plan.options.memory, made.spec.memory),
    ):
        if recorded != is_now:
            yield f"the container of {instance.id} has another {what}: {is_now}, recorded is {recorded}"


def _parameters(rows: Rows, world: World, platform: Platform) -> Iterator[str]:
    for one in rows.instances.values():
        known, recorded = world.service.databases.get(one.id), one.parameters.reveal() or None
        if one.state is InstanceState.READY and not _was_disturbed(platform) and known != recorded:
            yield f"{one.id} was told {known} by its executables, recorded is {recorded}"


def _containers(rows: Rows, world: World) -> list[Any]:
    return [
        one for one in world.engine.world.values() if one.spec.labels.get(LABEL_CLUSTER) == rows.cluster_id
    ]


def _strays(rows: Rows, world: World) -> Iterator[str]:
    for made in _containers(rows, world):
        if made.spec.labels[LABEL_INSTANCE] not in rows.instances:
            yield f"leaked: the container {made.spec.name} of {made.spec.labels[LABEL_INSTANCE]}"
    used = {name for made in world.engine.world.values() for name in made.volumes.values()}
    for name, volume in world.engine.disk.items():
        owner = volume.labels.get(LABEL_INSTANCE)
        if owner not in rows.instances and name not in used:
            yield f"leaked: the volume {name} of {owner}"


def _ports(rows: Rows, world: World) -> Iterator[str]:
    owned = sorted(port for one in rows.instances.values() for port in one.ports.values())
    if owned != sorted(rows.ports):
        yield f"leased are the ports {sorted(rows.ports)}, instances have {owned}"
    published = [
        port for one in world.engine.world.values() for port in one.spec.ports.values() if one.running
    ]
    if len(published) != len(set(published)):
        yield f"double: ports are published twice: {published}"


def _bindings(rows: Rows, world: World) -> Iterator[str]:
    for key, one in rows.bindings.items():
        if one.state not in {BindingState.BOUND, BindingState.DIRTY}:
            yield f"the binding {key} is {one.state.value}"
        if one.state is BindingState.BOUND:
            password = one.document.reveal()["credentials"]["password"]
            if world.service.users.get(key) != password:
                yield f"lost: the binding {key} has {password}, good is {world.service.users.get(key)}"
    for key in world.service.users:
        if key[0] in rows.instances and key not in rows.bindings and not _is_doomed(rows.instances[key[0]]):
            yield f"leaked: the user {key}"


def _is_doomed(instance: ServiceInstance) -> bool:
    return instance.state is InstanceState.FAILED


def _beliefs(rows: Rows, platform: Platform) -> Iterator[str]:
    resources = {deed.resource for deed in platform.deeds}
    for resource in sorted(resources, key=str):
        belief = platform.belief(resource)
        instance_id, binding_id = resource
        stored: Any = rows.instances.get(instance_id)
        good: Any = InstanceState.READY
        if binding_id is not None:
            stored, good = rows.bindings.get((instance_id, binding_id)), BindingState.BOUND
        if belief == "present" and (
            stored is None or (stored.state is not good and not _was_disturbed(platform))
        ):
            yield f"lost: the platform believes that {resource} is there; it is {stored and stored.state}"
        if belief == "absent" and stored is not None:
            yield f"leaked: the platform believes that {resource} is gone; it is {stored.state}"


def _was_disturbed(platform: Platform) -> bool:
    return any(deed.act.kind == "update" and deed.outcome != "done" for deed in platform.deeds)


def _credentials(rows: Rows, platform: Platform) -> Iterator[str]:
    for key, one in rows.bindings.items():
        told = [deed.credentials for deed in _since_deletion(platform, key) if deed.credentials is not None]
        if one.state is BindingState.BOUND and told and told[-1] != one.document.reveal()["credentials"]:
            yield f"lost: the platform was told {told[-1]} for {key}, stored is another"


def _since_deletion(platform: Platform, key: tuple[str, str | None]) -> Iterable[Any]:
    since: list[Any] = []
    for deed in platform.deeds:
        if deed.resource == key:
            since = [] if deed.act.kind == "unbind" else [*since, deed]
    return since


def audit_complaints(persister: Any) -> Iterator[str]:
    """Yield what is wrong with the audit log when nothing is under way any more.

    It is one chain, and each operation has begun once and has ended once.
    """
    records = result(persister.audit(0, 1_000_000))
    yield from breaks(records, AuditHead())
    results: dict[str, list[str]] = {}
    for members in (record.members for record in records):
        if members["action"] in _KINDS:
            results.setdefault(members["operation_id"], []).append(members["result"])
    known = result(persister.operations(unfinished=False, limit=1_000_000))
    for one in known:
        results.setdefault(one.id, [])
    for operation_id, found in results.items():
        if found not in (["begun", "succeeded"], ["begun", "failed"]):
            yield f"the audit log tells of the operation {operation_id}: {found}"


_KINDS: Final = frozenset(kind.value for kind in OperationKind)
