"""A Docker Engine in memory: the verified fake of `IEngine`, with images, ports, execs and faults.

The suite of `tests.contracts.engine` runs on it and on real engines alike, so what a test sees here is what
Docker does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Factory, define
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import (
    BadCommand,
    ExecutableOverrun,
    HostPortTaken,
    NameTaken,
    NoImage,
    NotRunning,
    NotThere,
)
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    Container,
    ContainerSpec,
    DockerImage,
    ExecOutput,
    ExecState,
    HealthCheck,
)
from dockerbroker.model.executables import MARKER, STDERR_TAIL
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.secrets import Secret
from tests.memory_faults import Faulty, Hang, with_faults
from tests.memory_world import (
    KILLED,
    MemoryContainer,
    MemoryExec,
    MemoryImage,
    Printed,
    Script,
    deferred,
    within,
)

__all__ = ["Hang", "MemoryContainer", "MemoryEngine", "MemoryEngines", "MemoryExec", "MemoryImage", "Script"]


@implementer(IEngine)
@define(eq=False)
class MemoryEngine(Faulty):
    """The Docker Engine of a host that exists in memory only.

    `taken_ports` are those on which other processes of the host listen.
    """

    clock: IReactorTime
    images: dict[str, MemoryImage] = Factory(dict)
    world: dict[str, MemoryContainer] = Factory(dict)
    execs: dict[str, MemoryExec] = Factory(dict)
    taken_ports: set[int] = Factory(set)
    _made: int = 0

    # What tests arrange.

    def add_image(
        self,
        reference: str,
        *,
        ports: Sequence[str] = (),
        health_check: HealthCheck | None = None,
        scripts: Mapping[str, Script] | None = None,
        **behaviour: Any,
    ) -> MemoryImage:
        """Give the host an image; `behaviour` are further members of `MemoryImage`."""
        described = DockerImage(reference=reference, ports=tuple(ports), health_check=health_check)
        image = MemoryImage(image=described, scripts=dict(scripts or {}), **behaviour)
        self.images[reference] = image
        return image

    def crash(self, container: str, exit_code: int = 1) -> None:
        """Let the container's main process end, and with it every exec in it."""
        self._end(self._container(container), exit_code)

    def restart(self) -> None:
        """Let the engine restart: containers are stopped, and no exec is known any more (measured)."""
        for container in self.world.values():
            if container.running:
                self._end(container, KILLED)
        self.execs.clear()

    def running(self) -> list[str]:
        """Return the names of the containers that run."""
        return sorted(container.spec.name for container in self.world.values() if container.running)

    # What IEngine says.

    @with_faults
    async def image(self, reference: str) -> DockerImage:
        """Return the image; see `IEngine.image`."""
        return self._image(reference).image

    @with_faults
    async def create(self, spec: ContainerSpec) -> str:
        """Create a container; see `IEngine.create`."""
        image = self._image(spec.image)
        if any(container.spec.name == spec.name for container in self.world.values()):
            raise NameTaken(f"A container of the name {spec.name} exists on the Docker host memory already.")
        container = MemoryContainer(id=self._identifier(), spec=spec, image=image)
        self.world[container.id] = container
        return container.id

    @with_faults
    async def start(self, container_id: str) -> None:
        """Start the container; see `IEngine.start`."""
        container = self._container(container_id)
        if container.running:
            return
        if not container.image.startable:
            raise BadCommand(f"The command of the image {container.spec.image} cannot be run.")
        if taken := self._ports_in_use() & set(container.spec.ports.values()):
            raise HostPortTaken(f"Port {min(taken)} of the Docker host memory is in use.")
        container.running = True
        container.exit_code = 0
        container.logs += container.image.logs
        if container.image.exit_code is not None:
            self._end(container, container.image.exit_code)

    @with_faults
    async def keep_running(self, container_id: str) -> None:
        """Remember that the container is to be restarted; see `IEngine.keep_running`."""
        self._container(container_id).keeps_running = True

    @with_faults
    async def inspect(self, container_id: str) -> Container | None:
        """Return the container or None; see `IEngine.inspect`."""
        container = self._find(container_id)
        return None if container is None else container.observed()

    @with_faults
    async def containers(self, cluster_id: str) -> list[Container]:
        """Return the cluster's containers; see `IEngine.containers`."""
        return [
            container.observed()
            for container in self.world.values()
            if container.spec.labels.get(LABEL_CLUSTER) == cluster_id
        ]

    @with_faults
    async def logs(self, container_id: str, lines: int) -> str:
        """Return the last lines; see `IEngine.logs`."""
        printed = self._container(container_id).logs.splitlines(keepends=True)
        return "".join(printed[-lines:])

    @with_faults
    async def remove(self, container_id: str, *, grace: float) -> None:  # noqa: ARG002 - stops at once
        """Remove the container; see `IEngine.remove`."""
        container = self._find(container_id)
        if container is not None:
            self._end(container, KILLED)
            del self.world[container.id]

    @with_faults
    async def has_file(self, container_id: str, path: str) -> bool:
        """Whether the image has the file or command; see `IEngine.has_file`."""
        image = self._container(container_id).image
        return path in image.files or path in image.scripts or (image.shell and path == "/bin/sh")

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

    def _image(self, reference: str) -> MemoryImage:
        try:
            return self.images[reference]
        except KeyError:
            raise NoImage(f"The Docker host memory has no image {reference}.") from None

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

    def _ports_in_use(self) -> set[int]:
        published = {
            port
            for container in self.world.values()
            if container.running
            for port in container.spec.ports.values()
        }
        return published | self.taken_ports

    def _end(self, container: MemoryContainer, exit_code: int) -> None:
        if not container.running:
            return
        container.running = False
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


@define(eq=False)
class MemoryEngines:
    """The `Engines` of a fleet in memory: an engine per place where Docker is reached."""

    clock: IReactorTime
    engines: dict[tuple[str, int], MemoryEngine] = Factory(dict)

    def __call__(self, host: DockerHost) -> MemoryEngine:
        """Return the host's engine, the same one every time."""
        place = (host.key.docker_host, host.key.docker_port)
        if place not in self.engines:
            self.engines[place] = MemoryEngine(self.clock)
        return self.engines[place]
