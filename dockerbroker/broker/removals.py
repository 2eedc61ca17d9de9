"""Removes what an instance has of Docker."""

from collections.abc import Sequence

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from dockerbroker.engines.interfaces import Engines, IEngine
from dockerbroker.errors import OutcomeUnknown
from dockerbroker.model.containers import Container, container_name, is_ours, is_volume_ours
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Change
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister

#: How long after its first answer an engine that hung may still carry out what it was asked, in seconds.
LATE_CREATE = 3.0
#: How often a removal with an unknown outcome is tried.
REMOVE_ATTEMPTS = 3


@define(eq=False)
class Removals:
    """Removes containers and volumes: by their ids, after a look at their labels."""

    persister: IPersister
    engines: Engines
    clock: IReactorTime

    async def volumes(self, work: Work, host: DockerHost) -> None:
        """Remove the instance's volumes, those of its earlier plans included, which nothing uses any more."""
        engine = self.engines(host)
        cluster_id = await self.persister.cluster_id()
        for volume in await engine.volumes(cluster_id):
            if is_volume_ours(volume, cluster_id, work.instance):
                await self._fence(work)
                await engine.remove_volume(volume.name)

    async def containers(
        self, work: Work, host: DockerHost, generations: Sequence[int], *, grace: float
    ) -> None:
        """Remove the instance's containers of these generations, killing them after `grace` seconds.

        Those that are gone are no error.
        """
        engine = self.engines(host)
        cluster_id = await self.persister.cluster_id()
        names = [container_name(cluster_id, work.instance.id, number) for number in generations]
        if work.instance.container_id is not None:
            # Somebody may have renamed it.
            names.insert(0, work.instance.container_id)
        for attempt in range(1, REMOVE_ATTEMPTS + 1):
            found = await self._own_containers(engine, work, cluster_id, names)
            if found:
                await self._fence(work)
            try:
                for container in found.values():
                    await engine.remove(container.id, grace=grace)
            except OutcomeUnknown:
                if attempt == REMOVE_ATTEMPTS:
                    raise
            if not found:
                return

    async def _fence(self, work: Work) -> None:
        """Raise `LostLease` if somebody else has the operation, and may have made anew what is found."""
        await self.persister.commit(Change(operation=work.operation))

    async def _own_containers(
        self, engine: IEngine, work: Work, cluster_id: str, names: Sequence[str]
    ) -> dict[str, Container]:
        """Return the instance's containers of these names or ids.

        One look is not enough while Docker may still carry out a create that it was asked for: an engine
        that hung does so when it wakes up.
        """
        looks = (0.0, LATE_CREATE) if work.operation.may_create else (0.0,)
        found: dict[str, Container] = {}
        for pause in looks:
            if pause:
                await deferLater(self.clock, pause)
            for named in names:
                container = await engine.inspect(named)
                if container is not None and is_ours(container, cluster_id, work.instance):
                    found[container.id] = container
            if found:
                break
        return found
