"""What a platform asks for, and what it is answered, without HTTP."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dockerbroker import wire
from dockerbroker.errors import InvalidRequest
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.instances import ServiceBinding, ServiceInstance, no_members
from dockerbroker.model.secrets import Secret


@frozen(kw_only=True)
class ProvisionRequest:
    """The body of a provision (OSB section Provisioning)."""

    instance_id: str
    service_id: str
    plan_id: str
    organization_guid: str
    space_guid: str
    parameters: Secret[dict[str, Any]] = field(factory=no_members)
    context: Mapping[str, Any] = field(factory=dict)
    maintenance_version: str | None = None
    accepts_incomplete: bool = False
    origin: Origin = field(default=ITSELF, eq=False)

    def describes(self, instance: ServiceInstance) -> bool:
        """Whether the instance has the attributes asked for; the context may change and does not count.

        Nor does what nobody knows of an instance that was adopted.
        """
        return (
            self.service_id == instance.definition.service_id
            and self.plan_id == instance.definition.plan.id
            and (instance.is_adopted or self._was_asked_for(instance))
        )

    def _was_asked_for(self, instance: ServiceInstance) -> bool:
        return (
            self.organization_guid == instance.organization_guid
            and self.space_guid == instance.space_guid
            and same(self.parameters.reveal(), instance.parameters.reveal())
        )


@frozen(kw_only=True)
class UpdateRequest:
    """The body of an update (OSB section Updating a Service Instance).

    `parameters` are those that change: the others stay as they are. `plan_id` is None when the plan is not
    to change. A `context` that is empty was not given.
    """

    instance_id: str
    service_id: str
    plan_id: str | None = None
    parameters: Secret[dict[str, Any]] = field(factory=no_members)
    context: Mapping[str, Any] = field(factory=dict)
    maintenance_version: str | None = None
    accepts_incomplete: bool = False
    origin: Origin = field(default=ITSELF, eq=False)


@frozen(kw_only=True)
class BindRequest:
    """The body of a bind, or of a rotation when `predecessor_binding_id` is given (OSB section Binding).

    A rotation may leave the two ids out; they are empty then.
    """

    instance_id: str
    binding_id: str
    service_id: str
    plan_id: str
    predecessor_binding_id: str | None = None
    accepts_incomplete: bool = False
    app_guid: str | None = None
    bind_resource: Mapping[str, Any] = field(factory=dict)
    parameters: Secret[dict[str, Any]] = field(factory=no_members)
    context: Mapping[str, Any] = field(factory=dict)
    origin: Origin = field(default=ITSELF, eq=False)

    def describes(self, binding: ServiceBinding, instance: ServiceInstance) -> bool:
        """Whether the binding has the attributes asked for; the context does not count."""
        return (
            self.is_of(instance)
            and self.predecessor_binding_id == binding.predecessor_id
            and (
                self.predecessor_binding_id is not None
                or (
                    self.app_guid == binding.app_guid
                    and same(self.bind_resource, binding.bind_resource)
                    and same(self.parameters.reveal(), binding.parameters.reveal())
                )
            )
        )

    def is_of(self, instance: ServiceInstance) -> bool:
        """Whether the ids of service and plan, where the request has them, are the instance's."""
        if self.predecessor_binding_id is not None and not (self.service_id or self.plan_id):
            return True
        return (self.service_id, self.plan_id) == (instance.definition.service_id, instance.plan.id)


@frozen(kw_only=True)
class DeleteRequest:
    """A deprovision, or an unbind when `binding_id` is given; the two ids come from the query."""

    instance_id: str
    service_id: str
    plan_id: str
    binding_id: str | None = None
    accepts_incomplete: bool = False
    origin: Origin = field(default=ITSELF, eq=False)

    def require_plan(self) -> None:
        """Raise `InvalidRequest` when one of the two ids is missing."""
        if not self.service_id or not self.plan_id:
            raise InvalidRequest("The query parameters service_id and plan_id are required.")


@frozen(kw_only=True)
class FetchRequest:
    """A look at an instance, or at a binding when `binding_id` is given; the other ids are hints."""

    instance_id: str
    binding_id: str | None = None
    service_id: str | None = None
    plan_id: str | None = None


@frozen(kw_only=True)
class PollRequest:
    """A question about the last operation on an instance, or on a binding when `binding_id` is given.

    `operation_id` is what an answer of the broker named, or None.
    """

    instance_id: str
    binding_id: str | None = None
    operation_id: str | None = None
    service_id: str | None = None
    plan_id: str | None = None


@frozen(kw_only=True)
class Accepted:
    """The answer to a request whose operation goes on; `instance` is the instance as it is being made."""

    operation_id: str
    instance: ServiceInstance | None = None


@frozen(kw_only=True)
class LastOperation:
    """The answer to a poll: `state` is one of the three of OSB; `retry_after` is in seconds."""

    state: str
    description: str
    retry_after: int | None = None
    instance_usable: bool | None = None
    update_repeatable: bool | None = None


@frozen(kw_only=True)
class Updated:
    """The answer to an update that is done, or that had nothing to do: the instance as it is now."""

    instance: ServiceInstance


@frozen(kw_only=True)
class Provisioned:
    """The answer to a provision: the instance, and whether this request's operation made it."""

    instance: ServiceInstance
    created: bool


@frozen(kw_only=True)
class Bound:
    """The answer to a bind: the binding, and whether this request's operation made it."""

    binding: ServiceBinding
    created: bool


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two JSON objects are equal."""
    # By their texts: to Python, true and 1 are equal.
    return wire.canonical(one) == wire.canonical(other)
