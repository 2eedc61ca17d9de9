"""Finds a host for a new instance, and what it will be given there."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime

from dockerbroker.broker.blocking import BlockedPorts
from dockerbroker.broker.fleet import FleetView
from dockerbroker.broker.hosts import known_host
from dockerbroker.broker.resting import RestingPorts
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import EngineError, NoCapacity, NoPort
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.containers import fill, instance_volumes
from dockerbroker.model.dispatchers import Candidate, Dispatcher
from dockerbroker.model.fleet import HostFacts
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import ServiceInstance, neighbourhood_of
from dockerbroker.model.moving import moved_dashboard, on_host
from dockerbroker.model.placement import (
    NO_ANSWER,
    NO_PORT,
    REFUSED,
    SAME,
    Demand,
    Hindrances,
    Sample,
    candidates,
    choose_ports,
    demand,
    in_turn,
    misfit,
)
from dockerbroker.model.requests import ProvisionRequest
from dockerbroker.model.reservations import NOTHING, Most
from dockerbroker.model.vitals import Vitals
from dockerbroker.model.world import place_of
from dockerbroker.persisters.interfaces import IPersister

#: How long each host may at least take to tell what it has, in seconds; more when there are few.
LEAST_LOOK = 1.0


@frozen(kw_only=True)
class Placed:
    """An instance with its host and ports, and what may be reserved on that host in all."""

    instance: ServiceInstance
    most: Most


@define(eq=False)
class Placing:
    """Asks hosts in the dispatcher's order; only looks, so that nothing has to be undone."""

    persister: IPersister
    view: FleetView
    engines: Engines
    dispatcher: Dispatcher
    sample: Sample[int]
    clock: IReactorTime
    blocked: BlockedPorts = field(factory=BlockedPorts)
    resting: RestingPorts = field(factory=RestingPorts)

    async def place(
        self, definition: ImageDefinition, request: ProvisionRequest, now: float, *, within: float
    ) -> Placed:
        """Return the new instance, with its host and ports; raises `NoCapacity` that says why not.

        It takes `within` seconds at most, and no host may use up the time of all. A static service whose
        templates cannot be filled raises `OperationFailed` before anything is made.
        """
        deadline = self.clock.seconds() + within
        hindrances, hosts = await self.hosts(definition, request.space_guid)

        async def on(host: DockerHost) -> ServiceInstance:
            return await self._on(host, _instance(definition, request, host, now))

        return await self._first(hindrances, hosts, on, deadline)

    async def elsewhere(self, instance: ServiceInstance, *, keeps_ports: bool, within: float) -> Placed:
        """Return what an instance becomes on another host, by which it keeps its ports if it may.

        It takes `within` seconds at most. Raises `NoCapacity` that says why not.
        """
        deadline = self.clock.seconds() + within
        hindrances, hosts = await self.hosts(instance.definition, instance.space_guid)

        async def on(host: DockerHost) -> ServiceInstance:
            # Ids of engines are those of their machines, which may be copies of each other.
            own = instance.container_id
            if own is not None and await self.engines(host).inspect(own) is not None:
                raise NoCapacity(f"The Docker Engine of {host.key.service_host} is the one that it is on.")
            leased = await self.persister.leased_ports(host.key)
            leased |= self.blocked.on(host.key, self.clock.seconds())
            there = on_host(instance, host, leased, keeps_ports=keeps_ports)
            fitted = await self._fitted(there, host)
            # What it has at any path is copied, whatever the image is there.
            fitted = evolve(fitted, volumes={**fitted.volumes, **instance.volumes})
            return evolve(fitted, dashboard_url=moved_dashboard(instance, fitted))

        others = apart(instance, hosts)
        for _ in range(len(hosts) - len(others)):
            hindrances.add(SAME)
        return await self._first(hindrances, others, on, deadline)

    async def _first(
        self,
        hindrances: Hindrances,
        hosts: Sequence[Candidate],
        on: Callable[[DockerHost], Coroutine[Any, Any, ServiceInstance]],
        deadline: float,
    ) -> Placed:
        """Return what the first host says that takes the instance; no host may use up the time of all."""
        for position, candidate in enumerate(hosts):
            looking = Deferred.fromCoroutine(on(candidate.host))
            remaining = max(deadline - self.clock.seconds(), 0)
            share = max(remaining / (len(hosts) - position), LEAST_LOOK)
            try:
                placed = await looking.addTimeout(min(share, remaining), self.clock)
            except NoPort as error:
                hindrances.add(NO_PORT, error.description)
            except (EngineError, NoCapacity) as error:
                hindrances.add(REFUSED, error.description)
            except DeferredTimeoutError:
                hindrances.add(NO_ANSWER, _unanswered(candidate.host).description)
            else:
                self.view.add(candidate.host.key, placed.reserved)
                most = self.view.overcommit.most(candidate.vitals)
                return Placed(instance=with_dashboard(placed), most=most)
        raise hindrances.refusal()

    async def hosts(
        self, definition: ImageDefinition, space_guid: str
    ) -> tuple[Hindrances, Sequence[Candidate]]:
        """Return which hosts are to be asked, in their order, and what hinders the others."""
        neighbours, wanted = await self._neighbours(definition, space_guid), demand(definition)
        if self.view.is_young:
            hindrances, hosts = self._in_turn(wanted, neighbours)
            # What is to be refused is refused by what is so now.
            if hosts:
                return hindrances, hosts
        await self.view.look()
        return self._in_turn(wanted, neighbours)

    def _in_turn(
        self, wanted: Demand, neighbours: Mapping[HostKey, int]
    ) -> tuple[Hindrances, Sequence[Candidate]]:
        places = self.view.places()
        hindrances = Hindrances(hosts=len(places))
        able = candidates(places, wanted, neighbours, hindrances)
        # Chance decides between equals.
        shuffled = [able[position].candidate for position in self.sample(range(len(able)), len(able))]
        doubtful = {place.candidate.host.key for place in able if place.is_doubtful}
        ordered = self.dispatcher.order(shuffled, wanted.reserved)
        return hindrances, in_turn(ordered, doubtful, neighbours)

    async def _neighbours(self, definition: ImageDefinition, space_guid: str) -> Mapping[HostKey, int]:
        """Return on which hosts are how many instances from which one of that plan shall be apart."""
        if not definition.plan.placement.is_apart:
            return {}
        return await self.persister.neighbours(neighbourhood_of(definition.service_id, space_guid))

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

    async def refit(self, instance: ServiceInstance, *, within: float) -> Placed:
        """Return what an instance is to become with the ports and volumes that its new container needs.

        Ports that it has are kept. It takes `within` seconds at most. Raises `NoCapacity`, or an
        `EngineError` such as `NoImage`.
        """
        host = await known_host(self.persister, instance.host)
        fitting = Deferred.fromCoroutine(self._fitted(instance, host))
        try:
            fitted = with_dashboard(await fitting.addTimeout(within, self.clock))
        except DeferredTimeoutError:
            raise _unanswered(host) from None
        return Placed(instance=fitted, most=await self._most(instance, host))

    async def _most(self, instance: ServiceInstance, host: DockerHost) -> Most:
        """Return what may be reserved on the host; raises `NoCapacity` when the instance does not fit."""
        stored = await self.persister.instance(instance.id)
        neighbours = dict(await self._neighbours(instance.definition, instance.space_guid))
        if stored is not None and stored.neighbourhood is not None:
            neighbours[host.key] = neighbours.get(host.key, 0) - 1
        if (sentence := misfit(host, demand(instance.definition), neighbours.get(host.key, 0))) is not None:
            raise NoCapacity(sentence)
        found = [one for one in (await self.persister.fleet()).hosts if one.host.key == host.key]
        facts = found[0] if found else HostFacts(host=host)
        most = self.view.overcommit.most(facts.vitals or Vitals())
        more = instance.reserved - (NOTHING if stored is None else stored.reserved)
        if not most.has_room(facts.reserved, more):
            sentence = f"The Docker host {host.key.service_host} has not enough memory or processors left."
            raise NoCapacity(sentence)
        return most

    async def _fitted(self, instance: ServiceInstance, host: DockerHost) -> ServiceInstance:
        definition = instance.definition
        image = await self.engines(host).image(definition.image)
        new = [port for port in image.ports if port not in instance.ports]
        leased, now = await self.persister.leased_ports(host.key), self.clock.seconds()
        self.resting.see(host.key, leased, now)
        kept = {port: instance.ports[port] for port in image.ports if port in instance.ports}
        taken, blocked = leased | set(kept.values()), self.blocked.on(host.key, now)
        chosen = choose_ports(host, new, taken, self.sample, blocked, self.resting.on(host.key, now))
        self.resting.choose(host.key, chosen.values(), now)
        ports = {**kept, **chosen}
        volumes = instance_volumes(
            await self.persister.cluster_id(), instance.id, definition.plan.options, image
        )
        return evolve(instance, ports=ports, volumes=volumes)


def apart(instance: ServiceInstance, hosts: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates whose Docker is reached elsewhere than that of the instance."""
    place = place_of(instance.host)
    return [one for one in hosts if place_of(one.host.key) != place]


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


def _unanswered(host: DockerHost) -> NoCapacity:
    return NoCapacity(f"The Docker of {host.key.service_host} does not answer.")


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
