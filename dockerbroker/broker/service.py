"""The broker: one method for each call of the Open Service Broker API."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from attrs import define, evolve
from twisted.internet.interfaces import IReactorTime

from dockerbroker.broker.limits import LEASE, Limits
from dockerbroker.broker.placing import Placing
from dockerbroker.broker.worker import Worker
from dockerbroker.errors import (
    AlreadyExists,
    Busy,
    ConcurrencyError,
    InvalidRequest,
    MaintenanceInfoConflict,
    OperationFailed,
    PortLeased,
)
from dockerbroker.model.catalog import ImageDefinition, catalog, chosen
from dockerbroker.model.instances import (
    BindingState,
    Change,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
)
from dockerbroker.model.requests import BindRequest, Bound, DeleteRequest, Provisioned, ProvisionRequest
from dockerbroker.model.transitions import (
    Begin,
    Done,
    Join,
    bind_decision,
    deprovision_decision,
    forward_steps,
    provision_decision,
    unbind_decision,
)
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister

T = TypeVar("T")

#: How often a request looks again after losing a race against another one.
RACES = 10


@define(eq=False)
class ServiceBroker:
    """Answers platforms.

    Each change is decided by the model, written as an operation in one transaction, and then carried by the
    worker; the request waits for its outcome, and gives the same answer whoever carried it. `new_id` makes
    operation ids; `wall` returns seconds since 1970.
    """

    persister: IPersister
    placing: Placing
    worker: Worker
    limits: Limits
    clock: IReactorTime
    new_id: Callable[[], str]
    wall: Callable[[], float]

    async def catalog(self) -> dict[str, Any]:
        """Return the catalog that platforms see."""
        return catalog(await self.persister.images())

    async def provision(self, request: ProvisionRequest) -> Provisioned:
        """Make a service instance, or return the one that is there with the same attributes."""
        deadline = self._deadline()

        async def attempt() -> Provisioned | str:
            stored = await self.persister.instance(request.instance_id)
            definition = None
            if stored is None or not request.describes(stored):
                # An unknown plan is told before a conflict, but an instance may have outlived its plan.
                definition = chosen(await self.persister.images(), request.service_id, request.plan_id)
            match provision_decision(request, stored, await self._running(stored)):
                case Done():
                    assert stored is not None
                    return Provisioned(instance=stored, created=False)
                case Join(operation_id):
                    return operation_id
                case Begin():
                    assert definition is not None
                    return await self._begin_provision(definition, request, deadline)

        settled = await self._settle(attempt, deadline)
        if isinstance(settled, Provisioned):
            return settled
        await self._success(settled, deadline)
        made = await self.persister.instance(request.instance_id)
        if made is None:
            raise OperationFailed("The service instance was made, and removed at once by another request.")
        return Provisioned(instance=made, created=True)

    async def bind(self, request: BindRequest) -> Bound:
        """Make a binding, or return the one that is there with the same attributes."""
        deadline = self._deadline()

        async def attempt() -> Bound | str:
            instance = await self.persister.instance(request.instance_id)
            if instance is None:
                chosen(await self.persister.images(), request.service_id, request.plan_id)
            stored = await self.persister.binding(request.instance_id, request.binding_id)
            match bind_decision(request, instance, stored, await self._running(instance)):
                case Done():
                    assert stored is not None
                    return Bound(binding=stored, created=False)
                case Join(operation_id):
                    return operation_id
                case Begin():
                    assert instance is not None
                    return await self._begin_bind(instance, request, deadline)

        settled = await self._settle(attempt, deadline)
        if isinstance(settled, Bound):
            return settled
        await self._success(settled, deadline)
        made = await self.persister.binding(request.instance_id, request.binding_id)
        if made is None:
            raise OperationFailed("The binding was made, and removed at once by another request.")
        return Bound(binding=made, created=True)

    async def unbind(self, request: DeleteRequest) -> None:
        """Remove a binding; raises `Gone` when there is none."""
        assert request.binding_id is not None
        deadline = self._deadline()
        binding_id = request.binding_id

        async def attempt() -> str:
            instance = await self.persister.instance(request.instance_id)
            stored = await self.persister.binding(request.instance_id, binding_id)
            match unbind_decision(request, instance, stored, await self._running(instance)):
                case Join(operation_id):
                    return operation_id
                case _:
                    assert instance is not None
                    assert stored is not None
                    binding = evolve(stored, state=BindingState.UNBINDING)
                    return await self._begin(OperationKind.UNBIND, instance, binding, deadline)

        await self._success(await self._settle(attempt, deadline), deadline)

    async def deprovision(self, request: DeleteRequest) -> None:
        """Remove a service instance with all that belongs to it; raises `Gone` when there is none."""
        deadline = self._deadline()

        async def attempt() -> str:
            stored = await self.persister.instance(request.instance_id)
            match deprovision_decision(request, stored, await self._running(stored)):
                case Join(operation_id):
                    return operation_id
                case _:
                    assert stored is not None
                    instance = evolve(stored, state=InstanceState.DEPROVISIONING)
                    return await self._begin(OperationKind.DEPROVISION, instance, None, deadline)

        await self._success(await self._settle(attempt, deadline), deadline)

    def _deadline(self) -> float:
        return self.clock.seconds() + self.limits.request

    async def _begin_provision(
        self, definition: ImageDefinition, request: ProvisionRequest, deadline: float
    ) -> str:
        if request.maintenance_version is not None:
            raise MaintenanceInfoConflict(
                f"The plan {definition.plan.name!r} has no maintenance_info: no version can be asked for."
            )
        instance = await self.placing.place(definition, request, self.wall(), within=self.limits.place)
        return await self._begin(OperationKind.PROVISION, instance, None, deadline)

    async def _begin_bind(self, instance: ServiceInstance, request: BindRequest, deadline: float) -> str:
        binding = ServiceBinding(
            instance_id=request.instance_id,
            id=request.binding_id,
            app_guid=request.app_guid,
            bind_resource=request.bind_resource,
            parameters=request.parameters,
            context=request.context,
            created_at=self.wall(),
        )
        return await self._begin(OperationKind.BIND, instance, binding, deadline)

    async def _begin(
        self, kind: OperationKind, instance: ServiceInstance, binding: ServiceBinding | None, deadline: float
    ) -> str:
        """Write the intent in one transaction and hand it to the worker; returns the operation's id.

        An intent whose writing has an unknown outcome is nobody's: it is undone when its lease has lapsed.
        """
        operation = Operation(
            id=self.new_id(),
            kind=kind,
            instance_id=instance.id,
            binding_id=binding.id if binding is not None else None,
            step=forward_steps(kind, instance)[0],
            created_at=self.wall(),
        )
        instance = evolve(instance, operation_id=operation.id)
        change = Change(operation=operation, instance=instance, binding=binding)
        begun = await self.persister.begin(change, owner=self.worker.holder(), ttl=LEASE)
        if kind is OperationKind.PROVISION:
            await self._check_offered(begun, instance)
        until = min(self.clock.seconds() + self.limits.forward, deadline - self.limits.undoing)
        self.worker.launch(Work(operation=begun, instance=instance, binding=binding), until)
        return begun.id

    async def _check_offered(self, begun: Operation, instance: ServiceInstance) -> None:
        """Give the operation up when the image left the catalog before the instance was there to keep it."""
        offered = {definition.name for definition in await self.persister.images()}
        if (name := instance.definition.name) not in offered:
            failed = evolve(begun, description="The image was removed from the catalog.")
            change = Change(operation=failed.over(Phase.FAILED, self.wall()), remove_instance=True)
            await self.persister.commit(change)
            raise InvalidRequest(f"The service {name!r} was just removed from the catalog.")

    async def _running(self, instance: ServiceInstance | None) -> Operation | None:
        """Return the operation that holds the instance; raises `Busy` when it has ended meanwhile."""
        if instance is None or instance.operation_id is None:
            return None
        running = await self.persister.operation(instance.operation_id)
        if running is None or running.is_over:
            raise Busy("The operation has just ended, so that the instance is not what it was.")
        return running

    async def _settle(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Decide and begin; whoever loses a race looks again at what the winner wrote.

        Nothing is begun so late that it could not be undone before the request must be answered.
        """
        latest = deadline - self.limits.undoing - self.limits.place
        for _ in range(RACES):
            if self.clock.seconds() > latest:
                break
            try:
                return await attempt()
            except (AlreadyExists, Busy, PortLeased):
                continue
        raise ConcurrencyError("Too many requests for the same service instance at once; try again.")

    async def _success(self, operation_id: str, deadline: float) -> None:
        """Return when the operation has succeeded; raises `OperationFailed` with its description."""
        operation = await self.worker.outcome(operation_id, deadline)
        if operation is None:
            raise OperationFailed(
                f"The operation was not finished within {self.limits.request:g} s; "
                "the broker undoes it, or ends it if it is a deletion."
            )
        if operation.phase is Phase.SUCCEEDED:
            return
        suffix = "" if operation.is_over else " What it made could not be removed yet; the broker goes on."
        raise OperationFailed(operation.description + suffix)
