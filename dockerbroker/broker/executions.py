"""Runs the executables of service images and takes over what they answer."""

from typing import Any, ClassVar

from attrs import define, evolve
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.engines.interfaces import Engines, Executors
from dockerbroker.errors import (
    BadCommand,
    ExecutableFailed,
    ExecutableOverrun,
    NotRunning,
    NotThere,
    OperationFailed,
)
from dockerbroker.model import executables
from dockerbroker.model.bindings import binding_document
from dockerbroker.model.containers import Container, fill
from dockerbroker.model.executables import Action, ExecutionResult
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Change, OperationKind, Phase
from dockerbroker.model.secrets import Secret, redact
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister

#: How often an exec that goes on without its broker is looked at, in seconds.
LOOK_EVERY = 0.5
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
    clock: IReactorTime

    async def provision(self, work: Work, host: DockerHost, within: float) -> Work:
        """Run `/provision`, if the image has it, and keep what it answered."""
        if not await self._exists(Action.PROVISION, work, host):
            return work
        printed = await self._run(Action.PROVISION, work, host, within)
        instance = evolve(
            work.instance,
            provisioned=Secret(printed),
            dashboard_url=executables.dashboard_of(Action.PROVISION, printed),
        )
        return evolve(work, instance=instance)

    async def update(self, work: Work, host: DockerHost, within: float) -> Work:
        """Run `/update`, if the image has it: it gets the plan and parameters of before, too."""
        work = await self._as_it_is(work, host)
        if not await self._exists(Action.UPDATE, work, host):
            return work
        printed = await self._run(Action.UPDATE, work, host, within)
        url = executables.dashboard_of(Action.UPDATE, printed) or work.instance.dashboard_url
        provisioned = Secret({**work.instance.provisioned.reveal(), **printed})
        return evolve(work, instance=evolve(work.instance, provisioned=provisioned, dashboard_url=url))

    async def bind(self, work: Work, host: DockerHost, within: float) -> Work:
        """Fill the credentials of a static service, or run `/bind`, which then must exist."""
        definition = work.instance.definition
        work = await self._as_it_is(work, host)
        assert work.binding is not None
        if definition.is_static:
            document = self._static_document(work, host)
        elif await self._exists(Action.BIND, work, host):
            printed = await self._run(Action.BIND, work, host, within)
            document = binding_document(printed, definition.requires)
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
        goes = work.operation.kind in {OperationKind.PROVISION, OperationKind.DEPROVISION}
        if not container.running or container.paused:
            # A paused one that stays may go on with what was not cleaned up.
            if work.instance.owns_container and (goes or not container.paused):
                self._log.info("{path} is not run: the container does not run", path=action.path)
                return
            raise OperationFailed(
                f"The container {named!r} does not run, so that its {action.path} cannot be run; "
                "start it and try again."
            )
        try:
            await self._clean(action, _as_observed(work, container), host, within)
        except NotRunning:
            if not (work.instance.owns_container and goes):
                raise
            self._log.info("{path} is not run: the container has just stopped", path=action.path)

    async def _clean(self, action: Action, work: Work, host: DockerHost, within: float) -> None:
        await self._end_previous(work, host)
        if await self._exists(action, work, host):
            await self._run(action, work, host, within)

    async def leave(self, work: Work, host: DockerHost) -> None:
        """End what the operation's executable still does, if its container runs."""
        named = work.instance.definition.container_name or work.instance.container_id
        if work.operation.exec_id is None or named is None:
            return
        container = await self.engines(host).inspect(named)
        if container is not None and container.running:
            await self._end_previous(_as_observed(work, container), host)

    async def _end_previous(self, work: Work, host: DockerHost) -> None:
        """End the run whose broker died or that was halted: it would make anew what is cleaned up now."""
        operation = work.operation
        markers = [operation.id] if operation.exec_id is not None else []
        markers += [operation.halted_id] if operation.halted_id is not None else []
        for marker in markers:
            await self._end(marker, work, host)

    async def _end(self, marker: str, work: Work, host: DockerHost) -> None:
        assert work.instance.container_id is not None
        ended = await self.executors(host).end(work.instance.container_id, marker)
        if not ended and (work.operation.phase is Phase.FAILING or work.operation.halted_id is not None):
            raise ExecutableOverrun(
                "An executable of the service image that was being run may still run.", ended=False
            )

    async def _await_previous(self, work: Work, host: DockerHost, within: float) -> None:
        """Wait for the run whose broker died, and end it if it takes too long: two must not run at once.

        What it printed is lost, so that it is run once more.
        """
        exec_id = work.operation.exec_id
        if exec_id is None:
            return
        until = self.clock.seconds() + within
        while self.clock.seconds() < until:
            try:
                state = await self.engines(host).inspect_exec(exec_id)
            except NotThere:
                # The engine was started anew, or the run is not an exec of the engine.
                break
            if not state.running:
                return
            await deferLater(self.clock, LOOK_EVERY)
        assert work.instance.container_id is not None
        if not await self.executors(host).end(work.instance.container_id, work.operation.id):
            raise ExecutableOverrun(
                "An executable of the service image that was being run when its broker was stopped may still "
                "run.",
                ended=False,
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
        if work.operation.phase is Phase.FORWARD and work.operation.exec_id is not None:
            began = self.clock.seconds()
            await self._await_previous(work, host, within / 2)
            within -= self.clock.seconds() - began
        executor = self.executors(host)
        execution = executables.execution(
            action,
            work.instance,
            work.binding,
            former=work.former,
            marker=work.operation.id,
            deadline=within,
        )
        exec_id = await executor.prepare(execution)
        operation = evolve(work.operation, exec_id=exec_id)
        await self.persister.commit(Change(operation=operation))
        hidden = _hidden(work)
        try:
            result = await executor.run(exec_id, execution)
        except BadCommand as error:
            # What Docker says of it is what the executable has said, if that pretends to be Docker.
            raise BadCommand(redact(error.description, hidden)) from None
        return self._answer(action, work, result, hidden)

    def _answer(
        self, action: Action, work: Work, result: ExecutionResult, hidden: frozenset[str]
    ) -> dict[str, Any]:
        """Return what the executable answered; the log tells the end of what it says when it fails."""
        try:
            return executables.answer(action, result, hidden)
        except ExecutableFailed:
            self._log.warn(
                "{path} failed in {container}: {tail}",
                path=action.path,
                container=work.instance.container_id,
                tail=executables.last_line(result.stderr_tail, hidden),
            )
            raise


def _hidden(work: Work) -> frozenset[str]:
    """Return what must not appear in a message about the work."""
    hidden = executables.hidden_texts(work.instance, work.binding)
    return hidden if work.former is None else hidden | executables.hidden_texts(work.former, None)


def _as_observed(work: Work, container: Container) -> Work:
    """Return the work with the container that the definition names as it is now: its id and its ports."""
    if work.instance.owns_container:
        return work
    return evolve(work, instance=evolve(work.instance, container_id=container.id, ports=container.ports))
