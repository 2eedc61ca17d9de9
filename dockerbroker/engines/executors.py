"""The two ways of running an executable: over Docker's API, and by a command such as `docker-enter`."""

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from dockerbroker.engines.address import address_of
from dockerbroker.engines.commands import Command
from dockerbroker.engines.interfaces import Engines, IEngine, IExecutor
from dockerbroker.engines.killing import kill_marked
from dockerbroker.errors import (
    BadCommand,
    BrokerError,
    EngineError,
    ExecutableOverrun,
    NotRunning,
    NotThere,
    OutcomeUnknown,
)
from dockerbroker.model.agent_commands import AllowedCommands
from dockerbroker.model.containers import ExecOutput
from dockerbroker.model.executables import OUTPUT_LIMIT, Execution, ExecutionResult, last_line
from dockerbroker.model.hosts import DOCKER_COMMAND_EXEC, DockerHost, HostKey

#: How often, and how long apart in seconds, an exec whose output has ended is asked for its exit status.
_INSPECTIONS = 20
_INTERVAL = 0.1
#: What a command sees of the broker's own environment, besides the execution's.
PASSED_ON = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
_DOCKER_ENTER = "docker-enter"
_CANNOT_RUN = (126, 127)
_REFUSED = b"OCI runtime exec failed"


@implementer(IExecutor)
@define(eq=False)
class DockerApiExecutor:
    """Runs executables as execs of the engine."""

    reactor: IReactorTime
    engine: IEngine

    async def prepare(self, execution: Execution) -> str:
        """Create the exec; see `IExecutor.prepare`."""
        command = (execution.path, *execution.arguments)
        return await self.engine.create_exec(execution.container_id, command, execution.environment)

    async def run(self, exec_id: str, execution: Execution) -> ExecutionResult:
        """Start the exec and read its outcome; see `IExecutor.run`."""
        try:
            output = await self.engine.start_exec(
                exec_id, execution.stdin, limit=OUTPUT_LIMIT, deadline=execution.deadline
            )
        except ExecutableOverrun as overrun:
            ended = await self._end(exec_id, execution)
            raise ExecutableOverrun(overrun.description, ended=ended) from None
        except OutcomeUnknown as unknown:
            raise await self._looked(exec_id, execution, unknown) from None
        return await self._result(exec_id, execution, output)

    async def end(self, container_id: str, marker: str) -> bool:
        """Kill what bears the marker; see `IExecutor.end`."""
        return await kill_marked(self.engine, container_id, marker) is not None

    async def _result(self, exec_id: str, execution: Execution, output: ExecOutput) -> ExecutionResult:
        try:
            exit_code = await self._exit_code(exec_id)
        except EngineError as error:
            raise OutcomeUnknown(
                f"{execution.path} ended, but its exit status is unknown: {error.description}"
            ) from None
        if exit_code is None:
            raise OutcomeUnknown(f"The output of {execution.path} ended, but it still runs.")
        return ExecutionResult(exit_code=exit_code, stdout=output.stdout, stderr_tail=output.stderr_tail)

    async def _end(self, exec_id: str, execution: Execution) -> bool:
        if await kill_marked(self.engine, execution.container_id, execution.marker) is None:
            return False
        try:
            return await self._exit_code(exec_id) is not None
        except EngineError:
            return False

    async def _looked(self, exec_id: str, execution: Execution, unknown: OutcomeUnknown) -> BrokerError:
        """Return what a look at the exec makes of a connection that was lost."""
        # What goes on without a listener would still be at work when it is run again or undone.
        lost = unknown.description
        try:
            state = await self.engine.inspect_exec(exec_id)
        except EngineError:
            text = f"{lost} Whether {execution.path} ran is unknown."
            return ExecutableOverrun(text, ended=False)
        if state.exit_code is not None:
            return OutcomeUnknown(
                f"{lost} {execution.path} has ended with exit status {state.exit_code}, "
                "but its output is lost."
            )
        if not state.running:
            return OutcomeUnknown(f"{lost} {execution.path} has not been started.")
        text = f"{lost} The output of {execution.path} is lost."
        return ExecutableOverrun(text, ended=await self._end(exec_id, execution))

    async def _exit_code(self, exec_id: str) -> int | None:
        for _ in range(_INSPECTIONS):
            state = await self.engine.inspect_exec(exec_id)
            if not state.running and state.exit_code is not None:
                return state.exit_code
            await deferLater(self.reactor, _INTERVAL)
        return None


@implementer(IExecutor)
@define(eq=False)
class DockerCommandExecutor:
    """Runs executables by a command: `arguments`, `docker-enter`, the container's id and the executable.

    What is prepared is known to this object alone: after a restart of the broker nothing can be run twice.
    `environment` is the broker's own, of which a few variables are passed on. The command is found by its
    PATH.
    """

    reactor: Any
    engine: IEngine
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict)
    _prepared: set[str] = field(factory=set, init=False)
    _numbers: Iterator[int] = field(factory=itertools.count, init=False)

    async def prepare(self, execution: Execution) -> str:
        """Look whether the command exists and the container runs; see `IExecutor.prepare`."""
        self._program((*self.arguments, _DOCKER_ENTER)[0])
        container = await self.engine.inspect(execution.container_id)
        if container is None:
            raise NotThere(f"The container {execution.container_id} does not exist.")
        if not container.running:
            raise NotRunning(f"The container {container.name} does not run.")
        prepared = f"{execution.marker}-{next(self._numbers)}"
        self._prepared.add(prepared)
        return prepared

    async def run(self, exec_id: str, execution: Execution) -> ExecutionResult:
        """Run the command; see `IExecutor.run`."""
        if exec_id not in self._prepared:
            raise BadCommand("The run was not prepared here, or was run before; it is run only once.")
        self._prepared.remove(exec_id)
        command = Command(self.reactor, execution.stdin)
        self._spawn(command, execution)
        try:
            exit_code = await command.end(execution.deadline)
        except ExecutableOverrun as overrun:
            # None found is no comfort: a command such as ssh need not hand the marker on.
            killed = await kill_marked(self.engine, execution.container_id, execution.marker)
            await command.kill()
            raise ExecutableOverrun(overrun.description, ended=bool(killed)) from None
        stdout, stderr_tail = bytes(command.stdout), bytes(command.stderr_tail)
        if exit_code in _CANNOT_RUN and _REFUSED in (stdout[: len(_REFUSED)], stderr_tail[: len(_REFUSED)]):
            raise BadCommand(f"{execution.path} cannot be run: {last_line(stdout or stderr_tail)}")
        return ExecutionResult(exit_code=exit_code, stdout=stdout, stderr_tail=stderr_tail)

    async def end(self, container_id: str, marker: str) -> bool:
        """Kill what bears the marker; that none is found is no comfort: see `IExecutor.end`."""
        return bool(await kill_marked(self.engine, container_id, marker))

    def _spawn(self, command: Command, execution: Execution) -> None:
        words = [*self.arguments, _DOCKER_ENTER, execution.container_id, execution.path, *execution.arguments]
        program = self._program(words[0])
        words[0] = program
        # A process group of its own, so that all of it can be killed.
        if (own_group := shutil.which("setsid", path=self._path)) is not None:
            program, words = own_group, [own_group, *words]
        passed_on = {name: self.environment[name] for name in PASSED_ON if name in self.environment}
        self.reactor.spawnProcess(command, program, words, env={**passed_on, **execution.environment})

    @property
    def _path(self) -> str:
        return self.environment.get("PATH", os.defpath)

    def _program(self, name: str) -> str:
        found = shutil.which(name, path=self._path)
        if found is None:
            raise BadCommand(
                f"The program {name}, by which the Docker host's executables are to be run, is not "
                "installed on the broker's machine; see ExecCommand and ExecArgs of the agent."
            )
        return found


@define(eq=False)
class HostExecutors:
    """The `Executors` of a fleet: each host's agent says which way it wants, of those that are allowed."""

    reactor: Any
    engines: Engines
    environment: Mapping[str, str] = field(factory=dict)
    allowed: AllowedCommands = field(factory=AllowedCommands)
    _commands: dict[tuple[HostKey, tuple[str, ...]], DockerCommandExecutor] = field(factory=dict, init=False)

    def __call__(self, host: DockerHost) -> IExecutor:
        """Return the executor that the host asks for."""
        engine = self.engines(host)
        # What is no more allowed may still be on record.
        if host.exec_command != DOCKER_COMMAND_EXEC or not self.allowed.allows(host):
            return DockerApiExecutor(self.reactor, engine)
        key = (host.key, host.exec_arguments)
        if key not in self._commands:
            environment = {**self.environment, "DOCKER_HOST": address_of(host).url}
            self._commands[key] = DockerCommandExecutor(
                self.reactor, engine, host.exec_arguments, environment
            )
        return self._commands[key]
