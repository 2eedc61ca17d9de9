"""The broker: one method for each call of the Open Service Broker API."""

from typing import Any

from attrs import define, evolve

from dockerbroker.broker.beginning import Beginning, Begun
from dockerbroker.broker.binding import Bindings
from dockerbroker.broker.lookups import Lookups
from dockerbroker.broker.placing import Placing
from dockerbroker.broker.updating import Updating
from dockerbroker.errors import BrokerError, HostFull, InvalidRequest, OperationFailed
from dockerbroker.model.catalog import ImageDefinition, chosen
from dockerbroker.model.instances import (
    Change,
    InstanceState,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
)
from dockerbroker.model.offerings import catalog
from dockerbroker.model.requests import (
    Accepted,
    BindRequest,
    Bound,
    DeleteRequest,
    FetchRequest,
    LastOperation,
    PollRequest,
    Provisioned,
    ProvisionRequest,
    Updated,
    UpdateRequest,
)
from dockerbroker.model.schemas import check_parameters
from dockerbroker.model.transitions import (
    Done,
    Halt,
    Join,
    deprovision_decision,
    provision_decision,
    require_asynchronous,
    require_version,
)
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class ServiceBroker:
    """Answers platforms.

    Each change is decided by the model, written as an operation in one transaction, and then carried by the
    worker; the request waits for its outcome as long as it may, and gives the same answer whoever carried it.
    """

    persister: IPersister
    placing: Placing
    beginning: Beginning
    bindings: Bindings
    updating: Updating
    lookups: Lookups

    async def catalog(self) -> dict[str, Any]:
        """Return the catalog that platforms see."""
        return catalog(await self.persister.images())

    async def provision(self, request: ProvisionRequest) -> Provisioned | Accepted:
        """Make a service instance, or return the one that is there with the same attributes."""
        deadline = self.beginning.deadline()
        tombstone = await self.persister.tombstone(request.instance_id)
        settled = await self.beginning.settle(lambda: self._provision(request, deadline, tombstone), deadline)
        if isinstance(settled, Provisioned):
            return settled
        accepted = await self.beginning.outcome(settled, deadline, asynchronous=request.accepts_incomplete)
        if accepted is not None:
            return accepted
        made = await self.persister.instance(request.instance_id)
        if made is None:
            raise OperationFailed("The service instance was made, and removed at once by another request.")
        return Provisioned(instance=made, created=True)

    async def _provision(
        self, request: ProvisionRequest, deadline: float, tombstone: str | None
    ) -> Provisioned | Begun:
        stored = await self.persister.instance(request.instance_id)
        definition = None
        if stored is None or not request.describes(stored):
            # An unknown plan is told before a conflict, but an instance may have outlived its plan.
            definition = chosen(await self.persister.images(), request.service_id, request.plan_id)
            check_parameters(definition.plan, "create", request.parameters.reveal())
        running = await self.beginning.running(stored)
        match provision_decision(request, stored, running):
            case Done():
                assert stored is not None
                return Provisioned(instance=stored, created=False)
            case Join():
                return await self.beginning.join(running, request.origin, stored)
        assert definition is not None
        work, within = await self._begin_provision(definition, request, deadline)
        await self._check_wanted(work, tombstone)
        return self.beginning.launch(work, within)

    async def _begin_provision(
        self, definition: ImageDefinition, request: ProvisionRequest, deadline: float
    ) -> tuple[Work, float]:
        """Write the intent; returns it with the time that it has, in seconds."""
        plan = definition.plan
        require_version(plan, request.maintenance_version)
        require_asynchronous(plan, accepts_incomplete=request.accepts_incomplete)
        beginning = self.beginning
        within_place = beginning.limits.place
        placed = await self.placing.place(definition, request, beginning.wall(), within=within_place)
        within = beginning.within(deadline, plan, asynchronous=request.accepts_incomplete)
        try:
            work = await beginning.begin(
                OperationKind.PROVISION,
                placed.instance,
                None,
                within=within,
                most=placed.most,
                origin=request.origin,
            )
        except HostFull:
            self.placing.view.distrust()
            raise
        return work, within

    async def _check_wanted(self, work: Work, tombstone: str | None) -> None:
        """Give the operation up when, before its record was there, the image or the instance was deleted.

        `tombstone` is what was seen when the request came. Whoever deletes what does not exist writes another
        one, and then looks for the instance again; here the instance was written, and then it is looked for
        another one: one of the two sees the other, whichever brokers they are.
        """
        offered = {definition.name for definition in await self.persister.images()}
        name = work.instance.definition.name
        error: BrokerError | None = None
        if name not in offered:
            error = InvalidRequest(f"The service {name!r} was just removed from the catalog.")
        elif await self.persister.tombstone(work.instance.id) != tombstone:
            error = OperationFailed("The service instance was deleted before it was made; nothing was made.")
        if error is None:
            return
        failed = evolve(work.operation, description=error.description)
        failed = failed.over(Phase.FAILED, self.beginning.wall())
        await self.persister.commit(Change(operation=failed, remove_instance=True))
        raise error

    async def update(self, request: UpdateRequest) -> Updated | Accepted:
        """Change a service instance; see `Updating.update`."""
        return await self.updating.update(request)

    async def deprovision(self, request: DeleteRequest) -> Accepted | None:
        """Remove a service instance with all that belongs to it; raises `Gone` when there is none."""
        deadline = self.beginning.deadline()
        settled = await self.beginning.settle(lambda: self._deprovision(request, deadline), deadline)
        return await self.beginning.outcome(settled, deadline, asynchronous=request.accepts_incomplete)

    async def _deprovision(self, request: DeleteRequest, deadline: float) -> Begun:
        stored = await self.persister.instance(request.instance_id)
        await self.beginning.require_asynchronous(request, stored)
        if stored is None:
            # Any broker may be about to make it: see `_check_wanted`.
            await self.persister.entomb(request.instance_id, self.beginning.new_id())
            stored = await self.persister.instance(request.instance_id)
        running = await self.beginning.running(stored)
        decision = deprovision_decision(request, stored, running)
        if isinstance(decision, Join):
            return await self.beginning.join(running, request.origin)
        assert stored is not None
        within = self.beginning.within(deadline, stored.plan, asynchronous=request.accepts_incomplete)
        work = await self.beginning.begin(
            OperationKind.DEPROVISION,
            evolve(stored, state=InstanceState.DEPROVISIONING),
            None,
            within=within,
            halts=running if isinstance(decision, Halt) else None,
            origin=request.origin,
        )
        return self.beginning.launch(work, within)

    async def bind(self, request: BindRequest) -> Bound | Accepted:
        """Make a binding; see `Bindings.bind`."""
        return await self.bindings.bind(request)

    async def unbind(self, request: DeleteRequest) -> Accepted | None:
        """Remove a binding; see `Bindings.unbind`."""
        return await self.bindings.unbind(request)

    async def fetch_instance(self, request: FetchRequest) -> ServiceInstance:
        """Return a service instance; see `Lookups.instance`."""
        return await self.lookups.instance(request)

    async def fetch_binding(self, request: FetchRequest) -> ServiceBinding:
        """Return a binding; see `Lookups.binding`."""
        return await self.lookups.binding(request)

    async def last_operation(self, request: PollRequest) -> LastOperation:
        """Return how an operation stands; see `Lookups.last_operation`."""
        return await self.lookups.last_operation(request)


def make_broker(persister: IPersister, placing: Placing, beginning: Beginning) -> ServiceBroker:
    """Return a broker of its parts."""
    return ServiceBroker(
        persister=persister,
        placing=placing,
        beginning=beginning,
        bindings=Bindings(persister, beginning),
        updating=Updating(persister, placing, beginning),
        lookups=Lookups(persister, beginning.wall),
    )
