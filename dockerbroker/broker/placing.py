"""Finds a host for a new instance, and what it will be given there."""

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime

from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import EngineError, NoCapacity
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.containers import fill
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import ServiceInstance
from dockerbroker.model.placement import Dispatcher, Sample, choose_ports, usable_hosts
from dockerbroker.model.requests import ProvisionRequest
from dockerbroker.persisters.interfaces import IPersister

#: How long each host may at least take to tell what it has, in seconds; more when there are few.
LEAST_LOOK = 1.0


@define(eq=False)
class Placing:
    """Asks hosts in the dispatcher's order; only looks, so that nothing has to be undone."""

    persister: IPersister
    engines: Engines
    dispatcher: Dispatcher
    sample: Sample[int]
    clock: IReactorTime

    async def place(
        self, definition: ImageDefinition, request: ProvisionRequest, now: float, *, within: float
    ) -> ServiceInstance:
        """Return the new instance, with its host and ports; raises `NoCapacity` that says why not.

        It takes `within` seconds at most, and no host may use up the time of all. A static service whose
        templates cannot be filled raises `OperationFailed` before anything is made.
        """
        refusals: list[str] = []
        deadline = self.clock.seconds() + within
        hosts = self.dispatcher.order(usable_hosts(await self.persister.hosts()))
        for position, host in enumerate(hosts):
            looking = Deferred.fromCoroutine(self._on(host, _instance(definition, request, host, now)))
            remaining = max(deadline - self.clock.seconds(), 0)
            share = max(remaining / (len(hosts) - position), LEAST_LOOK)
            try:
                placed = await looking.addTimeout(min(share, remaining), self.clock)
            except (EngineError, NoCapacity) as error:
                refusals.append(error.description)
            except DeferredTimeoutError:
                refusals.append(f"The Docker of {host.key.service_host} does not answer.")
            else:
                return _with_dashboard(placed)
        raise NoCapacity(" ".join(refusals))

    async def _on(self, host: DockerHost, instance: ServiceInstance) -> ServiceInstance:
        engine = self.engines(host)
        definition = instance.definition
        if definition.container_name is not None:
            container = await engine.inspect(definition.container_name)
            if container is None or not container.running:
                state = "is not there" if container is None else "does not run"
                raise NoCapacity(
                    f"The container {definition.container_name!r} {state} on {host.key.service_host}."
                )
            return evolve(instance, container_id=container.id, ports=container.ports)
        image = await engine.image(definition.image)
        leased = await self.persister.leased_ports(host.key)
        return evolve(instance, ports=choose_ports(host, image.ports, leased, self.sample))


def _instance(
    definition: ImageDefinition, request: ProvisionRequest, host: DockerHost, now: float
) -> ServiceInstance:
    return ServiceInstance(
        id=request.instance_id,
        definition=definition,
        organization_guid=request.organization_guid,
        space_guid=request.space_guid,
        parameters=request.parameters,
        context=request.context,
        host=host.key,
        created_at=now,
    )


def _with_dashboard(instance: ServiceInstance) -> ServiceInstance:
    definition = instance.definition
    service_host = instance.host.service_host
    if definition.credentials is not None:
        fill(definition.credentials.reveal(), service_host, instance.ports)
    if definition.dashboard_url is None:
        return instance
    return evolve(instance, dashboard_url=fill(definition.dashboard_url, service_host, instance.ports))
