"""Service instances, bindings, and the operations that change them."""

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import evolve, field, frozen

from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.plans import PlacementRules, Plan
from dockerbroker.model.reservations import NOTHING, Most, Reserved, reserved_by
from dockerbroker.model.secrets import Secret


def no_members() -> Secret[dict[str, Any]]:
    """Return a secret empty object."""
    return Secret({})


class InstanceState(Enum):
    """Where an instance stands in its life."""

    PROVISIONING = "provisioning"
    READY = "ready"
    UPDATING = "updating"
    DEPROVISIONING = "deprovisioning"
    #: A deprovision failed; only another DELETE goes on from here.
    FAILED = "failed"


class BindingState(Enum):
    """Where a binding stands in its life."""

    BINDING = "binding"
    BOUND = "bound"
    UNBINDING = "unbinding"
    #: `/bind` or `/unbind` failed and what it left could not be cleaned up; only a DELETE goes on from here.
    DIRTY = "dirty"


class OperationKind(Enum):
    """The changes that a platform asks for, and one that no platform asks for: the move to another host."""

    PROVISION = "provision"
    UPDATE = "update"
    BIND = "bind"
    UNBIND = "unbind"
    DEPROVISION = "deprovision"
    MOVE = "move"


class Phase(Enum):
    """How far an operation is: going forward, being undone, or over."""

    FORWARD = "in progress"
    FAILING = "failing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Step(Enum):
    """What an operation is doing now: recorded before it is done."""

    CREATE = "create"
    #: The container that is to be replaced stops; it is kept until its successor is ready.
    HALT = "halt"
    #: What is in the instance's volumes is copied to the host to which it moves, and compared.
    COPY = "copy"
    START = "start"
    READY = "ready"
    EXECUTE = "execute"
    KEEP = "keep"
    #: The container that was replaced is removed, by a move with its volumes; from here there is no way back.
    RETIRE = "retire"
    UNBIND = "unbind"
    UNDO = "undo"
    #: The container that was to replace another is removed.
    DISCARD = "discard"
    #: The container that was to be replaced runs again.
    RESTORE = "restore"
    REMOVE = "remove"


def neighbourhood_of(service_id: str, space_guid: str) -> str:
    """Return what is the same of the instances of a service in a space."""
    return digest(service_id, space_guid)


def digest(*texts: str) -> str:
    """Return a hexadecimal text that only these texts, in this order, have."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


@frozen(kw_only=True)
class ServiceInstance:
    """A service instance.

    `definition` is the catalog entry, narrowed to the instance's plan, as it was when the instance was made
    or last moved to another plan or version, so that a changed catalog does not change what exists. `ports`
    maps container ports such as `6379/tcp` to the host's ports, which are leased when the broker owns the
    container; `volumes` maps paths in the container to Docker's volumes. `provisioned` is what `/provision`
    answered. `created_at` is in seconds since 1970, for people only.

    `successor` is what an update or a move in progress makes of the instance; until that has succeeded the
    instance is what it was. `moves` counts how often it has moved to another host, at last at `moved_at`.

    `operation_id` is the operation that holds the instance, and `last_operation_id` the one that held it
    last: whoever knows it has read the instance as it is. Both are the persister's own.
    """

    id: str
    definition: ImageDefinition
    organization_guid: str
    space_guid: str
    host: HostKey
    parameters: Secret[dict[str, Any]] = field(factory=no_members)
    context: Mapping[str, Any] = field(factory=dict)
    generation: int = 1
    moves: int = 0
    moved_at: float = 0.0
    container_id: str | None = None
    ports: Mapping[str, int] = field(factory=dict)
    volumes: Mapping[str, str] = field(factory=dict)
    provisioned: Secret[dict[str, Any]] = field(factory=no_members)
    dashboard_url: str | None = field(default=None, repr=False)
    state: InstanceState = InstanceState.PROVISIONING
    successor: "ServiceInstance | None" = None
    operation_id: str | None = None
    last_operation_id: str | None = field(default=None, eq=False)
    created_at: float = 0.0

    @property
    def owns_container(self) -> bool:
        """Whether the broker made the container, and so leases its ports and removes it."""
        return self.definition.container_name is None

    @property
    def is_adopted(self) -> bool:
        """Whether its record was made again from what Docker knows; for whom it was made nobody knows.

        No platform leaves both of them empty.
        """
        return not self.organization_guid and not self.space_guid

    @property
    def plan(self) -> Plan:
        """The plan as it was when the instance was made or last updated."""
        return self.definition.plan

    @property
    def is_moving(self) -> bool:
        """Whether it is on its way to another host."""
        return self.successor is not None and self.successor.host != self.host

    @property
    def leased_ports(self) -> frozenset[int]:
        """The ports of its present host that it holds: none when the container is not ours.

        While it is updated it holds those of its successor, too.
        """
        if not self.owns_container:
            return frozenset()
        return frozenset(port for one in self._staying() for port in one.ports.values())

    def _staying(self) -> "tuple[ServiceInstance, ...]":
        return (self,) if self.successor is None or self.is_moving else (self, self.successor)

    @property
    def neighbourhood(self) -> str | None:
        """What is the same of all instances that shall not be on one host with this one; None without any.

        While it is updated what its successor wants holds, too.
        """
        if self.distance is None:
            return None
        return neighbourhood_of(self.definition.service_id, self.space_guid)

    @property
    def distance(self) -> PlacementRules | None:
        """The strictest of its rules about others on its host, if it has any."""
        if not self.owns_container:
            return None
        rules = [one.plan.placement for one in (self, self.successor) if one is not None]
        apart = [one for one in rules if one.is_apart]
        return max(apart, key=lambda one: one.is_alone) if apart else None

    @property
    def reserved(self) -> Reserved:
        """What it reserves on its present host: nothing when the container is not ours.

        While it is updated only one of its containers runs: the larger one counts.
        """
        if not self.owns_container:
            return NOTHING
        each = [reserved_by(one.plan.options) for one in self._staying()]
        return evolve(
            each[0],
            memory=max(one.memory for one in each),
            cpus=max(one.cpus for one in each),
            ports=len(self.leased_ports),
        )


@frozen(kw_only=True)
class ServiceBinding:
    """A binding; `document` is the binding as the platform gets it: credentials, endpoints and so on.

    `predecessor_id` is the binding that this one is to replace (OSB section Binding Rotation). `moves` is how
    often the instance had moved when the binding was made: since the next move its address is another one.
    """

    instance_id: str
    id: str
    app_guid: str | None = None
    predecessor_id: str | None = None
    moves: int = 0
    bind_resource: Mapping[str, Any] = field(factory=dict)
    parameters: Secret[dict[str, Any]] = field(factory=no_members)
    context: Mapping[str, Any] = field(factory=dict)
    document: Secret[dict[str, Any]] = field(factory=no_members)
    state: BindingState = BindingState.BINDING
    created_at: float = 0.0


@frozen(kw_only=True)
class Operation:
    """One change that was asked for: written down before anything is done, kept when it is over.

    `step` is what is being done, `step_at` when it began, and `attempt` counts how often a step had to be
    begun again; it is committed before the step. `epoch` is raised by whoever takes the operation over; a
    write that carries an older one is refused. `deadline` is by the persister's clock: what has not gone
    forward to its end by then is undone. It was `within` seconds away when the operation began. `exec_id` is
    the exec that is being run. `may_create` tells that Docker may still carry out a create that nobody heard
    the outcome of. `is_cancelled` asks whoever carries the operation to undo it. `description` says why the
    operation failed; `instance_usable` and `update_repeatable` what that means for the instance (OSB section
    Polling Last Operation). `halted_id` is the creation that this deletion has ended. A move tells how many
    bytes it has `copied` from which host, and which operation on the instance was the platform's last one,
    `after_id`. `origin` tells who has asked for the operation. Other times are seconds since 1970, for
    people only.
    """

    id: str
    kind: OperationKind
    instance_id: str
    step: Step
    binding_id: str | None = None
    halted_id: str | None = None
    after_id: str | None = None
    former_host: str | None = None
    copied: int = 0
    phase: Phase = Phase.FORWARD
    attempt: int = 1
    epoch: int = 1
    owner: str | None = None
    deadline: float = 0.0
    within: float = 0.0
    exec_id: str | None = None
    may_create: bool = False
    is_cancelled: bool = False
    description: str = ""
    instance_usable: bool | None = None
    update_repeatable: bool | None = None
    created_at: float = 0.0
    step_at: float = 0.0
    finished_at: float | None = None
    origin: Origin = ITSELF

    @property
    def began_at(self) -> float:
        """When the operation was begun, by the persister's clock."""
        return self.deadline - self.within

    @property
    def is_over(self) -> bool:
        """Whether the operation has its final outcome."""
        return self.phase in {Phase.SUCCEEDED, Phase.FAILED}

    def at(self, step: Step) -> "Operation":
        """Return the operation about to do the step."""
        return evolve(self, step=step, exec_id=None)

    def again(self, step: Step) -> "Operation":
        """Return the operation about to begin the step once more."""
        return evolve(self, step=step, exec_id=None, attempt=self.attempt + 1)

    def over(self, phase: Phase, now: float) -> "Operation":
        """Return the operation with its final outcome; a success has no more to tell."""
        description = self.description if phase is Phase.FAILED else ""
        return evolve(self, phase=phase, finished_at=now, exec_id=None, description=description)


@frozen(kw_only=True)
class Change:
    """What one transaction writes: the operation, and the records that change with it.

    A given instance or binding is written as it is; the removals delete the instance with all its bindings
    and port leases, or the one binding. `supersedes` is the operation that a new one ends and replaces: the
    creation that a deletion halts. `most` is what may be reserved in all on the host on which the change
    makes the instance reserve more.
    """

    operation: Operation
    instance: ServiceInstance | None = None
    binding: ServiceBinding | None = None
    remove_instance: bool = False
    remove_binding: str | None = None
    supersedes: str | None = None
    most: Most | None = None

    @property
    def placed_on(self) -> HostKey | None:
        """The host on which a new operation places the instance, if it does."""
        if self.instance is None or self.operation.is_over:
            return None
        if self.operation.kind is OperationKind.PROVISION:
            return self.instance.host
        there = self.instance.successor if self.operation.kind is OperationKind.MOVE else None
        return None if there is None else there.host
