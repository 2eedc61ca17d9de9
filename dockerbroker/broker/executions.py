"""Runs the executables of service images and takes over what they answer."""

from typing import Any, ClassVar

from attrs import define, evolve
from twisted.logger import Logger

from dockerbroker.engines.interfaces import Engines, Executors
from dockerbroker.errors import ExecutableFailed, ExecutableOverrun, NotThere, OperationFailed
from dockerbroker.model import executables
from dockerbroker.model.containers import Container, fill
from dockerbroker.model.executables import Action
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Change, Phase
from dockerbroker.model.secrets import Secret
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister

GONE = (
    "The container of the service instance was removed by somebody else; "
    "delete the service instance and create it again."
)


@define(eq=False)
class Executions:
    """Runs executables; their processes are found by a marker, which is the operation's id."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    executors: Executors

    async def provision(self, work: Work, host: DockerHost, within: float) -> Work:
        """Run `/provision`, if the image has it, and keep what it answered."""
        if not await self._exists(Action.PROVISION, work, host):
            return work
        printed = await self._run(Action.PROVISION, work, host, within)
        instance = evolve(
            work.instance,
            provisioned=Secret(printed),
            dashboard_url=executables.dashboard_of(printed),
        )
        return evolve(work, instance=instance)

    async def bind(self, work: Work, host: DockerHost, within: float) -> Work:
        """Fill the credentials of a static service, or run `/bind`, which then must exist."""
        definition = work.instance.definition
        work = await self._as_it_is(work, host)
        assert work.binding is not None
        if definition.is_static:
            document = self._static_document(work, host)
        elif await self._exists(Action.BIND, work, host):
            document = executables.binding_document(await self._run(Action.BIND, work, host, within))
        else:
            raise OperationFailed(
                f"The service {definition.name} cannot be bound: its image {definition.image} has no "
                "executable /bind, and no credentials are configured for it."
            )
        return evolve(work, binding=evolve(work.binding, document=Secret(document)))

    async def clean(self, action: Action, work: Work, host: DockerHost, within: float) -> None:
        """Run `/unbind` or `/deprovision`, if the image has it and its container runs."""
        if work.instance.definition.is_static or work.instance.container_id is None:
            return
        named = work.instance.definition.container_name or work.instance.container_id
        container = await self.engines(host).inspect(named)
        if container is None:
            return
        if not container.running:
            if work.instance.owns_container:
                self._log.info("{path} is not run: the container does not run", path=action.path)
                return
            raise OperationFailed(
                f"The container {named!r} does not run, so that its {action.path} cannot be run; "
                "start it and try again."
            )
        work = _as_observed(work, container)
        await self._end_previous(work, host)
        if await self._exists(action, work, host):
            await self._run(action, work, host, within)

    async def _end_previous(self, work: Work, host: DockerHost) -> None:
        """End the run whose broker died, since it would make anew what is cleaned up now."""
        if work.operation.exec_id is None:
            return
        assert work.instance.container_id is not None
        ended = await self.executors(host).end(work.instance.container_id, work.operation.id)
        if not ended and work.operation.phase is Phase.FAILING:
            raise ExecutableOverrun(
                "An executable of the service image that was being run may still run.", ended=False
            )

    async def _as_it_is(self, work: Work, host: DockerHost) -> Work:
        """Look at a container that is not the broker's: somebody may have made it anew meanwhile."""
        name = work.instance.definition.container_name
        if name is None:
            return work
        container = await self.engines(host).inspect(name)
        if container is None:
            raise OperationFailed(f"The container {name!r} does not exist any more.")
        return _as_observed(work, container)

    def _static_document(self, work: Work, host: DockerHost) -> dict[str, Any]:
        definition = work.instance.definition
        template = definition.credentials.reveal() if definition.credentials is not None else {}
        return {"credentials": fill(template, host.key.service_host, work.instance.ports)}

    async def _exists(self, action: Action, work: Work, host: DockerHost) -> bool:
        assert work.instance.container_id is not None
        try:
            return await self.engines(host).has_file(work.instance.container_id, action.path)
        except NotThere:
            raise OperationFailed(GONE) from None

    async def _run(self, action: Action, work: Work, host: DockerHost, within: float) -> dict[str, Any]:
        """Run the executable; its exec's id is stored before anything is started."""
        executor = self.executors(host)
        execution = executables.execution(
            action, work.instance, work.binding, marker=work.operation.id, deadline=within
        )
        exec_id = await executor.prepare(execution)
        operation = evolve(work.operation, exec_id=exec_id)
        await self.persister.commit(Change(operation=operation))
        result = await executor.run(exec_id, execution)
        hidden = executables.hidden_texts(work.instance, work.binding)
        try:
            return executables.answer(action, result, hidden)
        except ExecutableFailed:
            self._log.warn(
                "{path} failed in {container}: {tail}",
                path=action.path,
                container=execution.container_id,
                tail=executables.last_line(result.stderr_tail, hidden),
            )
            raise


def _as_observed(work: Work, container: Container) -> Work:
    """Return the work with the container that the definition names as it is now: its id and its ports."""
    if work.instance.owns_container:
        return work
    return evolve(work, instance=evolve(work.instance, container_id=container.id, ports=container.ports))
