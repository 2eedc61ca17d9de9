"""Looks at all Docker hosts at once, so that one that hangs does not hold up the others."""

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dockerbroker.broker.together import together
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import BrokerError
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.world import HostSight, World, host_sight, place_of
from dockerbroker.persisters.interfaces import IPersister

#: How long a host gets to tell of its containers and volumes, in seconds.
HOST_DEADLINE = 25.0
#: How many hosts are looked at together: their answers are large.
_TOGETHER = 16


@define(eq=False)
class Observer:
    """Sees what the hosts have that bears the cluster's label."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    clock: IReactorTime

    async def look(self, cluster_id: str) -> World:
        """Return what is seen of every known host, alive or not; raises `Unavailable`.

        A host whose Docker is reached in the same way as another's is looked at once.
        """
        return await self.look_at_all([report.host for report in await self.persister.hosts()], cluster_id)

    async def look_at_all(self, hosts: Iterable[DockerHost], cluster_id: str) -> World:
        """Return what is seen of these hosts."""
        known = {place_of(host.key): host for host in hosts}
        waiting = iter(list(known.values()))
        seen: list[HostSight] = []
        await together(
            self._look_along(waiting, cluster_id, seen.append) for _ in range(min(_TOGETHER, len(known)))
        )
        return {place_of(sight.host.key): sight for sight in seen}

    async def _look_along(
        self, waiting: Iterator[DockerHost], cluster_id: str, tell: Callable[[HostSight], object]
    ) -> None:
        for host in waiting:
            tell(await self.look_at(host, cluster_id))

    async def look_at(self, host: DockerHost, cluster_id: str) -> HostSight:
        """Return what is seen of one host, or why it does not answer."""
        looking = Deferred.fromCoroutine(self._sight(host, cluster_id))
        try:
            return await looking.addTimeout(HOST_DEADLINE, self.clock)
        except BrokerError as error:
            return HostSight(host=host, complaint=error.description)
        except DeadlinePassed:
            return HostSight(host=host, complaint=f"It did not answer within {HOST_DEADLINE:g} s.")
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 (one host must not end the look at the others)
            self._log.failure("looking at {host}", host=host.key.service_host)
            return HostSight(host=host, complaint="Its answer could not be read.")

    async def _sight(self, host: DockerHost, cluster_id: str) -> HostSight:
        engine = self.engines(host)
        # Containers first: a volume that is seen afterwards may be used by one that was not there yet.
        containers = await engine.containers(cluster_id)
        return host_sight(host, containers, await engine.volumes(cluster_id))
