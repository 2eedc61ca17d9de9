"""Creates the containers of instances; one that stands there already is settled by looking."""

from attrs import define

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import EngineError, EngineUnreachable, NameTaken, OperationFailed, OutcomeUnknown
from dockerbroker.model.containers import LABEL_CLUSTER, ContainerSpec, container_spec, is_ours, matches
from dockerbroker.model.instances import Change
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Creations:
    """Creates containers by what records say."""

    persister: IPersister

    async def create(self, engine: IEngine, work: Work) -> str:
        """Return the id of the container that the operation makes, be it made now or by an earlier try."""
        spec = container_spec(await self.persister.cluster_id(), work.instance, work.operation)
        try:
            return await engine.create(spec)
        except (NameTaken, OutcomeUnknown) as error:
            return await self._settled(engine, spec, work, error)

    async def _settled(self, engine: IEngine, spec: ContainerSpec, work: Work, error: EngineError) -> str:
        """Settle what stands there; what cannot be looked at or removed now is as unknown as before."""
        try:
            return await self._adopt_or_replace(engine, spec, work, error)
        except EngineError as other:
            if type(other) in {EngineError, EngineUnreachable}:
                raise OutcomeUnknown(other.description) from other
            raise

    async def _adopt_or_replace(
        self, engine: IEngine, spec: ContainerSpec, work: Work, error: EngineError
    ) -> str:
        """Settle by looking: the container of this operation is adopted, that of an earlier one replaced."""
        found = await engine.inspect(spec.name)
        if found is None:
            raise error
        if matches(found, spec):
            return found.id
        host = work.instance.host.service_host
        if not is_ours(found, spec.labels[LABEL_CLUSTER], work.instance):
            raise OperationFailed(
                f"A container named {spec.name} that is not this broker's stands on {host}; remove it there."
            )
        if found.is_kept:
            # Only a database that does not know of it, since it was restored, lets that happen.
            raise OperationFailed(f"The container {spec.name} on {host} was finished already, and stays.")
        # Whoever has lost the lease must not remove what its successor has made.
        await self.persister.commit(Change(operation=work.operation))
        await engine.remove(found.id, grace=0)
        return await engine.create(spec)
