"""Looks, before a container is taken away by undoing, whether it has been finished after all."""

from typing import ClassVar

from attrs import define
from twisted.logger import Logger

from dockerbroker.engines.interfaces import Engines, IEngine
from dockerbroker.model.containers import Container, container_name, is_ours
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Change, OperationKind
from dockerbroker.model.survivors import finished_by, finished_by_another, left_alone, succeeded
from dockerbroker.model.work import Work
from dockerbroker.model.world import sight_of
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Survivors:
    """Looks at what an operation would take away; it may know less than Docker after a restore."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines

    async def settled(self, work: Work, host: DockerHost) -> Work | None:
        """Return how the operation goes on when there is a finished container, None when it is undone."""
        engine = self.engines(host)
        cluster_id = await self.persister.cluster_id()
        found = await self._own_containers(engine, work, cluster_id)
        later = finished_by_another(work.operation, found)
        if later is None and not found:
            later = await self._later(engine, work, cluster_id)
        if later is not None:
            self._log.warn(
                "{name} is left: operation {id} did not make it", name=later.name, id=work.operation.id
            )
            return left_alone(work, later)
        finished = finished_by(work.operation, found)
        if finished is None:
            return None
        self._log.info(
            "operation {id} has succeeded: {name} is there", name=finished.name, id=work.operation.id
        )
        done = succeeded(work, finished)
        if done.instance.ports != work.instance.ports and work.operation.kind is OperationKind.PROVISION:
            # Its ports may have changed after its record was copied, and may be another one's by now.
            await self.persister.commit(Change(operation=work.operation, instance=done.instance))
        return done

    async def _own_containers(self, engine: IEngine, work: Work, cluster_id: str) -> list[Container]:
        """Return the containers that would be taken away."""
        generation = work.instance.generation
        generations = [generation]
        if work.operation.kind is OperationKind.PROVISION:
            # What is undone may have been updated since.
            generations.append(generation + 1)
        seen = [
            await engine.inspect(container_name(cluster_id, work.instance.id, one)) for one in generations
        ]
        return [one for one in seen if one is not None and is_ours(one, cluster_id, work.instance)]

    async def _later(self, engine: IEngine, work: Work, cluster_id: str) -> Container | None:
        """Return a container of a later generation, which shows that all earlier ones were finished."""
        for one in await engine.containers(cluster_id):
            if is_ours(one, cluster_id, work.instance):
                generation = sight_of(one).generation
                if generation is not None and generation > work.instance.generation:
                    return one
        return None
