"""What is known of containers and execs by the Docker Engine in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from dockerbroker.errors import BadCommand, ExecutableOverrun, NotRunning, NotThere
from dockerbroker.model.containers import ExecOutput, ExecState
from dockerbroker.model.executables import MARKER, STDERR_TAIL
from dockerbroker.model.secrets import Secret
from tests.memory_faults import Faulty, with_faults
from tests.memory_world import MemoryContainer, MemoryExec, Printed, Script, deferred, within


@define(eq=False)
class MemoryExecs(Faulty):
    """Runs execs in the containers of `world`, which are found by id or name."""

    clock: IReactorTime
    world: dict[str, MemoryContainer] = field(factory=dict)
    execs: dict[str, MemoryExec] = field(factory=dict)
    _made: int = field(default=0, init=False)

    @with_faults
    async def create_exec(
        self, container_id: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> str:
        """Prepare an exec; see `IEngine.create_exec`."""
        container = self._container(container_id)
        if not container.running or container.paused:
            raise NotRunning(f"The container {container.spec.name} does not run.")
        prepared = MemoryExec(
            id=self._identifier(),
            container=container,
            command=tuple(command),
            environment=dict(environment),
        )
        self.execs[prepared.id] = prepared
        return prepared.id

    @with_faults
    async def start_exec(
        self, exec_id: str, stdin: Secret[bytes], *, limit: int, deadline: float
    ) -> ExecOutput:
        """Run the exec's script; see `IEngine.start_exec`."""
        execution = self._exec(exec_id)
        if execution.running or execution.exit_code is not None:
            raise BadCommand("The exec was run before; an exec is run only once.")
        if not execution.container.running:
            raise NotRunning(f"The container {execution.container.spec.name} does not run.")
        script = self._script(execution)
        execution.running = True
        execution.stdin = stdin.reveal()
        execution.work = deferred(script(execution.stdin, execution.environment))
        _code, stdout, stderr = await within(self.clock, deadline, execution.finish())
        if len(stdout) > limit:
            raise ExecutableOverrun(f"The command printed more than {limit} bytes.", ended=False)
        return ExecOutput(stdout=stdout, stderr_tail=stderr[-STDERR_TAIL:])

    @with_faults
    async def inspect_exec(self, exec_id: str) -> ExecState:
        """Return the exec's state; see `IEngine.inspect_exec`."""
        execution = self._exec(exec_id)
        return ExecState(running=execution.running, exit_code=execution.exit_code)

    # Within.

    def _identifier(self) -> str:
        self._made += 1
        return hashlib.sha256(f"{id(self)} {self._made}".encode()).hexdigest()

    def _find(self, container: str) -> MemoryContainer | None:
        named = (one for one in self.world.values() if container in {one.id, one.spec.name})
        return next(named, None)

    def _container(self, container: str) -> MemoryContainer:
        found = self._find(container)
        if found is None:
            raise NotThere(f"The Docker host memory has no container {container}.")
        return found

    def _exec(self, exec_id: str) -> MemoryExec:
        try:
            return self.execs[exec_id]
        except KeyError:
            raise NotThere(f"The Docker host memory has no exec {exec_id}.") from None

    def _end(self, container: MemoryContainer, exit_code: int) -> None:
        if not container.running:
            return
        container.running = container.paused = False
        container.exit_code = exit_code
        for execution in list(self.execs.values()):
            if execution.container is container:
                execution.kill()

    def _script(self, execution: MemoryExec) -> Script:
        scripts = execution.container.image.scripts
        script = scripts.get(" ".join(execution.command)) or scripts.get(execution.command[0])
        if script is not None:
            return script
        if execution.command[0] == "/bin/sh" and execution.container.image.shell:
            return lambda _stdin, _environment: self._kill_marked(execution)
        execution.exit_code = 126
        raise BadCommand(f"The command {execution.command[0]} cannot be run: no such file.")

    def _kill_marked(self, killer: MemoryExec) -> Printed:
        # The one thing that this shell knows: to end what bears the marker that its last argument names.
        marked = [
            execution
            for execution in self.execs.values()
            if execution.running
            and execution.container is killer.container
            and f"{MARKER}={execution.environment.get(MARKER)}" == killer.command[-1]
        ]
        for execution in marked:
            execution.kill()
        return 0, f"{len(marked)}\n".encode(), b""
