"""Finds a host for a new instance, and what it will be given there."""

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime

from dockerbroker.broker.hosts import known_host
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import EngineError, NoCapacity
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.containers import fill, instance_volumes
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
                return with_dashboard(placed)
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
        return await self._fitted(instance, host)

    async def refit(self, instance: ServiceInstance, *, within: float) -> ServiceInstance:
        """Return what an instance is to become with the ports and volumes that its new container needs.

        Ports that it has are kept. It takes `within` seconds at most. Raises `NoCapacity`, or an
        `EngineError` such as `NoImage`.
        """
        host = await known_host(self.persister, instance.host)
        fitting = Deferred.fromCoroutine(self._fitted(instance, host))
        try:
            return with_dashboard(await fitting.addTimeout(within, self.clock))
        except DeferredTimeoutError:
            raise NoCapacity(f"The Docker of {host.key.service_host} does not answer.") from None

    async def _fitted(self, instance: ServiceInstance, host: DockerHost) -> ServiceInstance:
        definition = instance.definition
        image = await self.engines(host).image(definition.image)
        new = [port for port in image.ports if port not in instance.ports]
        leased = await self.persister.leased_ports(host.key)
        kept = {port: instance.ports[port] for port in image.ports if port in instance.ports}
        ports = {**kept, **choose_ports(host, new, leased, self.sample)}
        volumes = instance_volumes(
            await self.persister.cluster_id(), instance.id, definition.plan.options, image
        )
        return evolve(instance, ports=ports, volumes=volumes)


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


def with_dashboard(instance: ServiceInstance) -> ServiceInstance:
    """Return the instance with the dashboard of a static service filled in.

    Raises `OperationFailed` when that, or its credentials, have a placeholder that cannot be filled.
    """
    definition = instance.definition
    service_host = instance.host.service_host
    if definition.credentials is not None:
        fill(definition.credentials.reveal(), service_host, instance.ports)
    if definition.dashboard_url is None:
        return instance
    return evolve(instance, dashboard_url=fill(definition.dashboard_url, service_host, instance.ports))
