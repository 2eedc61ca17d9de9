"""Gives a new instance other ports, or another host, where it cannot be made with those that were chosen."""

from collections.abc import Callable
from typing import ClassVar, Final

from attrs import define, evolve, field
from twisted.logger import Logger

from dockerbroker.broker.blocking import BlockedPorts
from dockerbroker.broker.placing import Placing
from dockerbroker.broker.resting import RestingPorts
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import EngineError, HostFull, HostPortTaken, NoCapacity, PortLeased
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Change, OperationKind, Step
from dockerbroker.model.placement import Sample, choose_ports
from dockerbroker.model.steps import leaves_nothing
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister

#: How often a container is given other ports when a foreign process listens on those it got.
PORT_ATTEMPTS: Final = 5
#: Until which attempt another host is looked for: where several refuse, pauses help rather than haste.
HOST_ATTEMPTS: Final = 5
#: How long the search for another host may take, in seconds.
_SEARCH: Final = 6.0


@define(eq=False)
class Relocation:
    """Changes where a new instance is to be, before it can be used.

    `seconds` is the reactor's clock. Without `placing` no other host is found.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    sample: Sample[int]
    seconds: Callable[[], float]
    blocked: BlockedPorts = field(factory=BlockedPorts)
    resting: RestingPorts = field(factory=RestingPorts)
    placing: Placing | None = field(default=None, init=False)

    async def other_ports(self, work: Work, host: DockerHost, error: HostPortTaken) -> Work:
        """Return the work about to make the container with other ports; raises the error when it may not.

        A successor gets the ports that are known to those who use the service, or none.
        """
        kind, instance = work.operation.kind, work.instance
        if kind is not OperationKind.UPDATE:
            self.blocked.block(host.key, instance.ports.values(), error.description, self.seconds())
        if work.operation.attempt >= PORT_ATTEMPTS or kind is not OperationKind.PROVISION:
            raise error
        # The ports that turned out to be taken are still leased, so that they are not chosen again.
        await self.engines(host).remove(instance.container_id or "", grace=0)
        self._log.info("ports of {instance} were in use; trying others", instance=instance.id)
        for _ in range(PORT_ATTEMPTS):
            leased, now = await self.persister.leased_ports(host.key), self.seconds()
            self.resting.see(host.key, leased, now)
            blocked, resting = self.blocked.on(host.key, now), self.resting.on(host.key, now)
            ports = choose_ports(host, tuple(instance.ports), leased, self.sample, blocked, resting)
            self.resting.choose(host.key, ports.values(), now)
            other = evolve(instance, container_id=None, ports=ports)
            try:
                await self.persister.commit(Change(operation=work.operation, instance=other))
            except PortLeased:
                continue
            return evolve(work, back_to=Step.CREATE, instance=other)
        raise NoCapacity(f"Other instances took every free port that was found on {host.key.service_host}.")

    async def other_host(self, work: Work, error: EngineError) -> Work:
        """Return the work about to make the container on another host.

        Raises the error when a container may be where it was to be made, no other host takes it, or several
        have been tried.
        """
        is_early = work.operation.attempt <= HOST_ATTEMPTS
        if self.placing is None or not is_early or not leaves_nothing(work.operation, error):
            raise error
        instance = work.instance
        try:
            placed = await self.placing.elsewhere(instance, keeps_ports=False, within=_SEARCH)
            there = evolve(
                placed.instance,
                state=instance.state,
                generation=instance.generation,
                moves=instance.moves,
            )
            await self.persister.commit(Change(operation=work.operation, instance=there, most=placed.most))
        except (NoCapacity, HostFull, PortLeased):
            raise error from None
        self._log.warn(
            "{instance} is made on {other}, since {host} does not make it: {why}",
            instance=instance.id,
            other=there.host.service_host,
            host=instance.host.service_host,
            why=error.description,
        )
        return evolve(work, back_to=Step.CREATE, instance=there)
