"""Updates of service instances, as a platform asks for them."""

from attrs import define, evolve

from dockerbroker.broker.beginning import Beginning, Begun
from dockerbroker.broker.placing import Placed, Placing, with_dashboard
from dockerbroker.errors import EngineError, NoCapacity, OperationFailed
from dockerbroker.model.catalog import chosen
from dockerbroker.model.instances import InstanceState, OperationKind, ServiceInstance
from dockerbroker.model.requests import Accepted, Updated, UpdateRequest
from dockerbroker.model.schemas import check_parameters
from dockerbroker.model.steps import forward_steps
from dockerbroker.model.transitions import Done, Join, require_asynchronous
from dockerbroker.model.updates import Record, check_request, successor, update_decision
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Updating:
    """Moves instances to other plans, parameters and versions."""

    persister: IPersister
    placing: Placing
    beginning: Beginning

    async def update(self, request: UpdateRequest) -> Updated | Accepted:
        """Change an instance, or return it when it is as asked for.

        Raises `NotFound`, `InvalidRequest`, `UpdateRefused`, `MaintenanceInfoConflict`, `AsyncRequired` or
        `ConcurrencyError` before anything is changed.
        """
        deadline = self.beginning.deadline()
        settled = await self.beginning.settle(lambda: self._update(request, deadline), deadline)
        if isinstance(settled, Updated):
            return settled
        accepted = await self.beginning.outcome(settled, deadline, asynchronous=request.accepts_incomplete)
        if accepted is not None:
            return accepted
        return await self._updated(request)

    async def _updated(self, request: UpdateRequest) -> Updated:
        changed = await self.persister.instance(request.instance_id)
        if changed is None:
            raise OperationFailed("The service instance was updated, and removed at once by another request.")
        return Updated(instance=changed)

    async def _update(self, request: UpdateRequest, deadline: float) -> Updated | Begun:
        instance = check_request(request, await self.persister.instance(request.instance_id))
        running = await self.beginning.running(instance)
        wanted = await self._wanted(request, instance)
        if parameters := request.parameters.reveal():
            check_parameters(wanted.plan, "update", parameters)
        match update_decision(request, instance, wanted, running):
            case Done():
                return Updated(instance=instance)
            case Record():
                await self.beginning.record(evolve(instance, successor=wanted), request.origin)
                return await self._updated(request)
            case Join():
                return await self.beginning.join(running, request.origin, instance.successor)
        require_asynchronous(wanted.plan, accepts_incomplete=request.accepts_incomplete)
        return await self._begin(request, instance, wanted, deadline)

    async def _wanted(self, request: UpdateRequest, instance: ServiceInstance) -> ServiceInstance:
        """Return what the instance is to become, by what the catalog offers now.

        Raises `InvalidRequest` for another plan that is not offered; the present one may have been removed.
        """
        images = await self.persister.images()
        of_service = [image for image in images if image.service_id == request.service_id]
        own = next((found for image in of_service if (found := image.narrowed(instance.plan.id))), None)
        moves = request.plan_id is not None and request.plan_id != instance.plan.id
        offered = chosen(images, request.service_id, str(request.plan_id)) if moves else own
        return successor(request, instance, offered, own.plan if own is not None else None)

    async def _begin(
        self, request: UpdateRequest, instance: ServiceInstance, wanted: ServiceInstance, deadline: float
    ) -> Updated | Begun:
        replaces = wanted.generation != instance.generation
        most = None
        if replaces:
            placed = await self._refitted(wanted)
            wanted, most = placed.instance, placed.most
        else:
            wanted = with_dashboard(wanted)
        changing = evolve(
            instance,
            state=InstanceState.UPDATING,
            successor=wanted,
            # Volumes that only the successor has are the instance's from now on, to be removed with it.
            volumes={**instance.volumes, **wanted.volumes},
        )
        if not forward_steps(OperationKind.UPDATE, changing):
            await self.beginning.record(changing, request.origin)
            return Updated(instance=wanted)
        within = self.beginning.within(deadline, wanted.plan, asynchronous=request.accepts_incomplete)
        work = await self.beginning.begin(
            OperationKind.UPDATE, changing, None, within=within, most=most, origin=request.origin
        )
        begun = self.beginning.launch(work, within)
        return evolve(begun, instance=wanted)

    async def _refitted(self, wanted: ServiceInstance) -> Placed:
        try:
            return await self.placing.refit(wanted, within=self.beginning.limits.place)
        except (EngineError, NoCapacity) as error:
            raise NoCapacity(f"The service instance cannot be updated now: {error.description}") from error
