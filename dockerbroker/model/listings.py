"""Lists as administrators read them: in parts, filtered, and without anything secret."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from attrs import frozen

from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import (
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
)
from dockerbroker.model.standing import host_id

T = TypeVar("T")

#: So many records are looked at for one part of a list, however few of them are wanted.
MOST: Final = 1000


@frozen
class Part(Generic[T]):
    """A part of a list: what is in it, and after what the next part begins; None when this is the last."""

    items: tuple[T, ...]
    after: str | None = None


def part_of(records: Mapping[str, T], after: str | None, limit: int) -> Part[tuple[str, T]]:
    """Return those that come next of records that are all there, by their names, in the order of these."""
    names = sorted(name for name in records if after is None or name > after)
    told = tuple((name, records[name]) for name in names[:limit])
    return Part(told, told[-1][0] if len(names) > limit else None)


@frozen
class Unread:
    """An instance whose record cannot be read."""

    id: str


@frozen(kw_only=True)
class InstanceFilter:
    """Which instances are wanted: all those that have each value that is given."""

    service: str | None = None
    plan: str | None = None
    host: str | None = None
    state: InstanceState | None = None
    organization: str | None = None
    space: str | None = None

    def admits(self, instance: ServiceInstance | Unread) -> bool:
        """Whether an instance is wanted; of one that cannot be read that is known only if all are."""
        if isinstance(instance, Unread):
            return self == InstanceFilter()
        definition = instance.definition
        there = None if instance.successor is None else instance.successor.host
        has: tuple[tuple[object, tuple[object, ...]], ...] = (
            (self.service, (definition.service_id, definition.name)),
            (self.plan, (definition.plan.id,)),
            (self.host, (*_names(instance.host), *_names(there))),
            (self.state, (instance.state,)),
            (self.organization, (instance.organization_guid,)),
            (self.space, (instance.space_guid,)),
        )
        return all(wanted is None or wanted in values for wanted, values in has)


def _names(key: HostKey | None) -> tuple[str, ...]:
    return () if key is None else (host_id(key), key.service_host)


@frozen(kw_only=True)
class OperationFilter:
    """Which operations are wanted; without a binding those on an instance are those on it alone."""

    instance: str | None = None
    binding: str | None = None
    kind: OperationKind | None = None
    state: Phase | None = None
    unfinished: bool = False

    def admits(self, operation: Operation) -> bool:
        """Whether an operation is wanted, beside what instance it is on."""
        is_kind = self.kind in {None, operation.kind}
        is_state = self.state in {None, operation.phase}
        return is_kind and is_state and not (self.unfinished and operation.is_over)

    @property
    def is_partial(self) -> bool:
        """Whether there may be others among those on the same instance."""
        return (self.kind, self.state, self.unfinished) != (None, None, False)


def encode_instance(instance: ServiceInstance | Unread) -> dict[str, Any]:
    """Return what is told of an instance: neither parameters nor what it was provisioned with."""
    if isinstance(instance, Unread):
        return {"ID": instance.id, "State": "unreadable"}
    document = {
        "ID": instance.id,
        "State": instance.state.value,
        "Service": instance.definition.name,
        "ServiceID": instance.definition.service_id,
        "PlanID": instance.plan.id,
        "Image": instance.definition.image,
        "Organization": instance.organization_guid,
        "Space": instance.space_guid,
        "Host": host_id(instance.host),
        "Ports": dict(instance.ports),
        "Volumes": dict(instance.volumes),
        "Generation": instance.generation,
        "Moves": instance.moves,
        "OwnsContainer": instance.owns_container,
    }
    optional = {
        "Container": instance.container_id,
        "NextHost": host_id(instance.successor.host) if instance.successor and instance.is_moving else None,
        "Operation": instance.operation_id,
        "CreatedAt": moment(instance.created_at),
        "MovedAt": moment(instance.moved_at),
    }
    return document | _known(optional)


def encode_binding(binding: ServiceBinding) -> dict[str, Any]:
    """Return what is told of a binding: neither credentials nor parameters."""
    document = {"Instance": binding.instance_id, "ID": binding.id, "State": binding.state.value}
    optional = {
        "Application": binding.app_guid,
        "Predecessor": binding.predecessor_id,
        "CreatedAt": moment(binding.created_at),
    }
    return document | _known(optional)


def encode_operation(operation: Operation) -> dict[str, Any]:
    """Return what is told of an operation."""
    document = {
        "ID": operation.id,
        "Kind": operation.kind.value,
        "Instance": operation.instance_id,
        "State": operation.phase.value,
        "IsOver": operation.is_over,
        "IsCancelled": operation.is_cancelled,
        "Attempt": operation.attempt,
        "Epoch": operation.epoch,
        "Description": operation.description,
    }
    optional = {
        "Binding": operation.binding_id,
        "Step": None if operation.is_over else operation.step.value,
        "Owner": operation.owner,
        "FormerHost": operation.former_host,
        "BegunAt": moment(operation.created_at),
        "EndedAt": moment(operation.finished_at),
    }
    return document | _known(optional)


def moment(seconds: float | None) -> str | None:
    """Return a time in seconds since 1970 as people read it; None when it is not known."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _known(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
