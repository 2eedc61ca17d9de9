"""What a platform may see of what is stored (OSB: Fetching a Service Instance, a Service Binding)."""

from dockerbroker.errors import NotFound
from dockerbroker.model.instances import BindingState, InstanceState, ServiceBinding, ServiceInstance
from dockerbroker.model.requests import FetchRequest
from dockerbroker.model.transitions import busy


def fetched_instance(request: FetchRequest, instance: ServiceInstance | None) -> ServiceInstance:
    """Return the instance; raises `NotFound` until it was made, and `ConcurrencyError` while it changes."""
    if instance is None or instance.state is InstanceState.PROVISIONING:
        raise NotFound(f"The service instance {request.instance_id!r} does not exist, or not yet.")
    if instance.state in {InstanceState.UPDATING, InstanceState.DEPROVISIONING}:
        raise busy(instance.id)
    return instance


def fetched_binding(binding: ServiceBinding) -> ServiceBinding:
    """Return the binding; raises `NotFound` unless it is bound."""
    if binding.state is not BindingState.BOUND:
        raise NotFound(f"The binding {binding.id!r} does not exist, or not yet.")
    return binding
