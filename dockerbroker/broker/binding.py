"""Bindings, as a platform asks for them."""

from attrs import define, evolve

from dockerbroker.broker.beginning import Beginning, Begun
from dockerbroker.broker.lookups import offered_now
from dockerbroker.errors import Busy, InvalidRequest, OperationFailed
from dockerbroker.model.catalog import chosen
from dockerbroker.model.instances import BindingState, OperationKind, ServiceBinding, ServiceInstance
from dockerbroker.model.moving import as_told
from dockerbroker.model.requests import Accepted, BindRequest, Bound, DeleteRequest
from dockerbroker.model.schemas import check_parameters
from dockerbroker.model.transitions import (
    Done,
    Halt,
    Join,
    bind_decision,
    check_predecessor,
    require_asynchronous,
    unbind_decision,
)
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Bindings:
    """Makes and removes bindings."""

    persister: IPersister
    beginning: Beginning

    async def bind(self, request: BindRequest) -> Bound | Accepted:
        """Make a binding, or return the one that is there with the same attributes."""
        deadline = self.beginning.deadline()
        instance = await self.persister.instance(request.instance_id)
        if instance is None and request.predecessor_binding_id is None:
            chosen(await self.persister.images(), request.service_id, request.plan_id)
        # Cloud Controller refuses a binding that comes later and cannot be fetched.
        asynchronous = request.accepts_incomplete and (
            instance is not None
            and (await offered_now(self.persister, instance.definition)).bindings_retrievable
        )
        settled = await self.beginning.settle(
            lambda: self._bind(request, deadline, asynchronous=asynchronous), deadline
        )
        if isinstance(settled, Bound):
            return settled
        accepted = await self.beginning.outcome(settled, deadline, asynchronous=asynchronous)
        if accepted is not None:
            return accepted
        made = await self.persister.binding(request.instance_id, request.binding_id)
        if made is None:
            raise OperationFailed("The binding was made, and removed at once by another request.")
        return Bound(binding=made, created=True)

    async def _bind(self, request: BindRequest, deadline: float, *, asynchronous: bool) -> Bound | Begun:
        instance = await self.persister.instance(request.instance_id)
        stored = await self.persister.binding(request.instance_id, request.binding_id)
        _require_steady(instance, stored)
        running = await self.beginning.running(instance)
        match bind_decision(request, instance, stored, running):
            case Done():
                assert stored is not None
                assert instance is not None
                return Bound(binding=as_told(stored, instance), created=False)
            case Join():
                return await self.beginning.join(running, request.origin)
        assert instance is not None
        binding = await self._wanted(request, instance)
        require_asynchronous(instance.plan, accepts_incomplete=asynchronous)
        within = self.beginning.within(deadline, instance.plan, asynchronous=asynchronous)
        work = await self.beginning.begin(
            OperationKind.BIND, instance, binding, within=within, origin=request.origin
        )
        return self.beginning.launch(work, within)

    async def _wanted(self, request: BindRequest, instance: ServiceInstance) -> ServiceBinding:
        """Return the binding as it is to be; a rotation takes over what its predecessor has."""
        wanted = ServiceBinding(
            instance_id=request.instance_id,
            id=request.binding_id,
            app_guid=request.app_guid,
            bind_resource=request.bind_resource,
            parameters=request.parameters,
            context=request.context,
            moves=instance.moves,
            created_at=self.beginning.wall(),
        )
        if request.predecessor_binding_id is None:
            check_parameters(instance.plan, "bind", request.parameters.reveal())
            return wanted
        if request.predecessor_binding_id == request.binding_id:
            raise InvalidRequest("A binding cannot be its own predecessor.")
        predecessor = await self.persister.binding(instance.id, request.predecessor_binding_id)
        if predecessor is not None:
            predecessor = as_told(predecessor, instance)
        check_predecessor(request, instance, predecessor, self.beginning.wall())
        assert predecessor is not None
        return evolve(
            wanted,
            predecessor_id=predecessor.id,
            app_guid=predecessor.app_guid,
            bind_resource=predecessor.bind_resource,
            parameters=predecessor.parameters,
            context={**predecessor.context, **request.context},
        )

    async def unbind(self, request: DeleteRequest) -> Accepted | None:
        """Remove a binding; raises `Gone` when there is none."""
        deadline = self.beginning.deadline()
        settled = await self.beginning.settle(lambda: self._unbind(request, deadline), deadline)
        return await self.beginning.outcome(settled, deadline, asynchronous=request.accepts_incomplete)

    async def _unbind(self, request: DeleteRequest, deadline: float) -> Begun:
        assert request.binding_id is not None
        instance = await self.persister.instance(request.instance_id)
        await self.beginning.require_asynchronous(request, instance)
        stored = await self.persister.binding(request.instance_id, request.binding_id)
        running = await self.beginning.running(instance)
        decision = unbind_decision(request, instance, stored, running)
        if isinstance(decision, Join):
            return await self.beginning.join(running, request.origin)
        assert instance is not None
        assert stored is not None
        within = self.beginning.within(deadline, instance.plan, asynchronous=request.accepts_incomplete)
        work = await self.beginning.begin(
            OperationKind.UNBIND,
            instance,
            evolve(stored, state=BindingState.UNBINDING),
            within=within,
            halts=running if isinstance(decision, Halt) else None,
            origin=request.origin,
        )
        return self.beginning.launch(work, within)


def _require_steady(instance: ServiceInstance | None, stored: ServiceBinding | None) -> None:
    """Raise `Busy` when the binding is of a later moment than the instance, which nothing held yet."""
    is_free = instance is not None and instance.operation_id is None
    if is_free and stored is not None and stored.state in {BindingState.BINDING, BindingState.UNBINDING}:
        raise Busy(f"An operation on the binding {stored.id!r} has just begun.")
