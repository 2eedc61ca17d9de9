"""What a platform looks at: instances, bindings, and how operations stand."""

from collections.abc import Callable

from attrs import define

from dockerbroker.errors import NotFound
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.fetching import fetched_binding, fetched_instance
from dockerbroker.model.instances import OperationKind, ServiceBinding, ServiceInstance
from dockerbroker.model.moving import as_told
from dockerbroker.model.polling import last_operation
from dockerbroker.model.requests import FetchRequest, LastOperation, PollRequest
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Lookups:
    """Answers questions and changes nothing; `wall` returns seconds since 1970."""

    persister: IPersister
    wall: Callable[[], float]

    async def instance(self, request: FetchRequest) -> ServiceInstance:
        """Return an instance that was made; raises `NotFound`, or `ConcurrencyError` while it changes."""
        instance = fetched_instance(request, await self.persister.instance(request.instance_id))
        definition = await offered_now(self.persister, instance.definition)
        if not definition.instances_retrievable:
            raise NotFound(f"Service instances of {definition.name!r} cannot be fetched.")
        return instance

    async def binding(self, request: FetchRequest) -> ServiceBinding:
        """Return a binding that was made; raises `NotFound`."""
        assert request.binding_id is not None
        instance = await self.persister.instance(request.instance_id)
        binding = await self.persister.binding(request.instance_id, request.binding_id)
        if instance is None or binding is None:
            raise NotFound(f"The binding {request.binding_id!r} does not exist.")
        definition = await offered_now(self.persister, instance.definition)
        if not definition.bindings_retrievable:
            raise NotFound(f"Bindings of {definition.name!r} cannot be fetched.")
        return as_told(fetched_binding(binding), instance)

    async def last_operation(self, request: PollRequest) -> LastOperation:
        """Return how an operation stands, also of what is gone; raises `NotFound`."""
        if request.operation_id is not None:
            operation = await self.persister.operation(request.operation_id)
        else:
            operation = await self.persister.last_operation(request.instance_id, request.binding_id)
            if operation is not None and operation.kind is OperationKind.MOVE:
                # No platform has asked for it.
                before = operation.after_id
                operation = None if before is None else await self.persister.operation(before)
        instance = await self.persister.instance(request.instance_id)
        return last_operation(request, operation, instance, self.wall())


async def offered_now(persister: IPersister, definition: ImageDefinition) -> ImageDefinition:
    """Return the service's definition as the catalog has it now, by which platforms go, or the one given."""
    for offered in await persister.images():
        if offered.service_id == definition.service_id:
            return offered
    return definition
