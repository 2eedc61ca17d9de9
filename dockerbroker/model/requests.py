"""What a platform asks for, and what it is answered, without HTTP."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dockerbroker import wire
from dockerbroker.errors import InvalidRequest
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

    def describes(self, instance: ServiceInstance) -> bool:
        """Whether the instance has the attributes asked for; the context may change and does not count."""
        return (
            self.service_id == instance.definition.service_id
            and self.plan_id == instance.definition.plan.id
            and self.organization_guid == instance.organization_guid
            and self.space_guid == instance.space_guid
            and _same(self.parameters.reveal(), instance.parameters.reveal())
        )


@frozen(kw_only=True)
class BindRequest:
    """The body of a bind (OSB section Binding)."""

    instance_id: str
    binding_id: str
    service_id: str
    plan_id: str
    app_guid: str | None = None
    bind_resource: Mapping[str, Any] = field(factory=dict)
    parameters: Secret[dict[str, Any]] = field(factory=no_members)
    context: Mapping[str, Any] = field(factory=dict)

    def describes(self, binding: ServiceBinding, instance: ServiceInstance) -> bool:
        """Whether the binding has the attributes asked for; the context does not count."""
        return (
            self.service_id == instance.definition.service_id
            and self.plan_id == instance.definition.plan.id
            and self.app_guid == binding.app_guid
            and _same(self.bind_resource, binding.bind_resource)
            and _same(self.parameters.reveal(), binding.parameters.reveal())
        )


@frozen(kw_only=True)
class DeleteRequest:
    """A deprovision, or an unbind when `binding_id` is given; the two ids come from the query."""

    instance_id: str
    service_id: str
    plan_id: str
    binding_id: str | None = None

    def require_plan(self) -> None:
        """Raise `InvalidRequest` when one of the two ids is missing."""
        if not self.service_id or not self.plan_id:
            raise InvalidRequest("The query parameters service_id and plan_id are required.")


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


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    # By their texts: to Python, true and 1 are equal.
    return wire.canonical(one) == wire.canonical(other)
