"""Service instances, bindings, and the operations that change them."""

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import evolve, field, frozen

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
    """The changes that a platform asks for."""

    PROVISION = "provision"
    UPDATE = "update"
    BIND = "bind"
    UNBIND = "unbind"
    DEPROVISION = "deprovision"


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
    START = "start"
    READY = "ready"
    EXECUTE = "execute"
    KEEP = "keep"
    #: The container that was replaced is removed; from here there is no way back.
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
    return _digest(service_id, space_guid)


def _digest(*texts: str) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


@frozen(kw_only=True)
class ServiceInstance:
    """A service instance.

    `definition` is the catalog entry, narrowed to the instance's plan, as it was when the instance was made
    or last moved to another plan or version, so that a changed catalog does not change what exists. `ports`
    maps container ports such as `6379/tcp` to the host's ports, which are leased when the broker owns the
    container; `volumes` maps paths in the container to Docker's volumes. `provisioned` is what `/provision`
    answered. `created_at` is in seconds since 1970, for people only.

    `successor` is what an update in progress makes of the instance; until that has succeeded the instance is
    what it was.

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
    container_id: str | None = None
    ports: Mapping[str, int] = field(factory=dict)
    volumes: Mapping[str, str] = field(factory=dict)
    provisioned: Secret[dict[str, Any]] = field(factory=no_members)
    dashboard_url: str | None = None
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
    def leased_ports(self) -> frozenset[int]:
        """The host's ports that it holds: none when the container is not ours.

        While it is updated it holds those of its successor, too.
        """
        if not self.owns_container:
            return frozenset()
        successors = self.successor.ports if self.successor is not None else {}
        return frozenset({*self.ports.values(), *successors.values()})

    @property
    def neighbourhood(self) -> str | None:
        """What is the same of all instances that shall not be on one host with this one; None without any.

        While it is updated what its successor wants holds, too.
        """
        if self._strictest is None:
            return None
        return neighbourhood_of(self.definition.service_id, self.space_guid)

    @property
    def lonely_place(self) -> str | None:
        """What no other instance has that must not be on one host with this one, if there is such a thing."""
        if self._strictest is None or not self._strictest.is_alone:
            return None
        host = self.host
        return _digest(str(self.neighbourhood), host.service_host, host.docker_host, str(host.docker_port))

    @property
    def _strictest(self) -> PlacementRules | None:
        if not self.owns_container:
            return None
        rules = [one.plan.placement for one in (self, self.successor) if one is not None]
        apart = [one for one in rules if one.is_apart]
        return max(apart, key=lambda one: one.is_alone) if apart else None

    @property
    def reserved(self) -> Reserved:
        """What it reserves on its host: nothing when the container is not ours.

        While it is updated only one of its containers runs: the larger one counts.
        """
        if not self.owns_container:
            return NOTHING
        own = reserved_by(self.plan.options)
        to_be = own if self.successor is None else reserved_by(self.successor.plan.options)
        return evolve(
            own,
            memory=max(own.memory, to_be.memory),
            cpus=max(own.cpus, to_be.cpus),
            ports=len(self.leased_ports),
        )


@frozen(kw_only=True)
class ServiceBinding:
    """A binding; `document` is the binding as the platform gets it: credentials, endpoints and so on.

    `predecessor_id` is the binding that this one is to replace (OSB section Binding Rotation).
    """

    instance_id: str
    id: str
    app_guid: str | None = None
    predecessor_id: str | None = None
    bind_resource: Mapping[str, Any] = field(factory=dict)
    parameters: Secret[dict[str, Any]] = field(factory=no_members)
    context: Mapping[str, Any] = field(factory=dict)
    document: Secret[dict[str, Any]] = field(factory=no_members)
    state: BindingState = BindingState.BINDING
    created_at: float = 0.0


@frozen(kw_only=True)
class Operation:
    """One change that a platform asked for: written down before anything is done, kept when it is over.

    `step` is what is being done, `step_at` when it began, and `attempt` counts how often a step had to be
    begun again; it is committed before the step. `epoch` is raised by whoever takes the operation over; a
    write that carries an older one is refused. `deadline` is by the persister's clock: what has not gone
    forward to its end by then is undone. `exec_id` is the exec that is being run. `may_create` tells that
    Docker may still carry out a create that nobody heard the outcome of. `is_cancelled` asks whoever carries
    the operation to undo it. `description` says why the operation failed; `instance_usable` and
    `update_repeatable` what that means for the instance (OSB section Polling Last Operation).
    `halted_id` is the creation that this deletion has ended. Other times are seconds since 1970, for people
    only.
    """

    id: str
    kind: OperationKind
    instance_id: str
    step: Step
    binding_id: str | None = None
    halted_id: str | None = None
    phase: Phase = Phase.FORWARD
    attempt: int = 1
    epoch: int = 1
    owner: str | None = None
    deadline: float = 0.0
    exec_id: str | None = None
    may_create: bool = False
    is_cancelled: bool = False
    description: str = ""
    instance_usable: bool | None = None
    update_repeatable: bool | None = None
    created_at: float = 0.0
    step_at: float = 0.0
    finished_at: float | None = None

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
    creation that a deletion halts. `most` is what may be reserved on the instance's host in all, when a new
    operation makes the instance reserve more.
    """

    operation: Operation
    instance: ServiceInstance | None = None
    binding: ServiceBinding | None = None
    remove_instance: bool = False
    remove_binding: str | None = None
    supersedes: str | None = None
    most: Most | None = None
