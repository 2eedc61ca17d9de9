"""A Docker Engine in memory: the verified fake of `IEngine`, with images, ports, volumes, execs and faults.

The suite of `tests.contracts.engine` runs on it and on real engines alike, so what a test sees here is what
Docker does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Factory, define, evolve
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import (
    BadCommand,
    EngineError,
    HostPortTaken,
    NameTaken,
    NoImage,
)
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    Container,
    ContainerSpec,
    DockerImage,
    HealthCheck,
    Volume,
    reserved_labels,
    volume_labels,
)
from dockerbroker.model.hosts import DockerHost
from tests.memory_execs import MemoryExecs
from tests.memory_faults import Hang, with_faults
from tests.memory_world import (
    KILLED,
    MemoryContainer,
    MemoryExec,
    MemoryImage,
    MemoryVolume,
    Script,
)

__all__ = [
    "Hang",
    "MemoryContainer",
    "MemoryEngine",
    "MemoryEngines",
    "MemoryExec",
    "MemoryImage",
    "MemoryVolume",
    "Script",
]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")


@implementer(IEngine)
@define(eq=False)
class MemoryEngine(MemoryExecs):
    """The Docker Engine of a host that exists in memory only.

    `taken_ports` are those on which other processes of the host listen; `disk` are its volumes by name.
    """

    images: dict[str, MemoryImage] = Factory(dict)
    taken_ports: set[int] = Factory(set)
    disk: dict[str, MemoryVolume] = Factory(dict)

    # What tests arrange.

    def add_image(
        self,
        reference: str,
        *,
        ports: Sequence[str] = (),
        volumes: Sequence[str] = (),
        health_check: HealthCheck | None = None,
        scripts: Mapping[str, Script] | None = None,
        **behaviour: Any,
    ) -> MemoryImage:
        """Give the host an image; `behaviour` are further members of `MemoryImage`."""
        described = DockerImage(
            reference=reference,
            ports=tuple(ports),
            health_check=health_check,
            volumes=tuple(sorted(volumes)),
        )
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
        image = self._image(reference)
        if reserved := reserved_labels(image.labels):
            raise EngineError(f"The image {reference} bears the broker's own label {reserved[0]}.")
        return image.image

    @with_faults
    async def create(self, spec: ContainerSpec) -> str:
        """Create a container; see `IEngine.create`."""
        image = self._image(spec.image)
        if not _NAME.match(spec.name):
            raise EngineError(f"The Docker host memory refused with status 400: invalid name {spec.name}")
        if any(container.spec.name == spec.name for container in self.world.values()):
            raise NameTaken(f"A container of the name {spec.name} exists on the Docker host memory already.")
        own = [path for path in image.image.volumes if path not in spec.volumes]
        container = MemoryContainer(
            id=self._identifier(),
            # A container inherits its image's labels.
            spec=evolve(spec, labels={**image.labels, **spec.labels}),
            image=image,
            created_at=float(int(self.clock.seconds())),
            anonymous={path: self._identifier() for path in own},
        )
        self.world[container.id] = container
        for path, name in spec.volumes.items():
            volume = MemoryVolume(name=name, labels=volume_labels(spec))
            if spec.fills_volumes:
                volume.contents.update(image.contents.get(path, {}))
            self.disk.setdefault(name, volume)
        for name in container.anonymous.values():
            self.disk[name] = MemoryVolume(name=name)
        return container.id

    @with_faults
    async def start(self, container_id: str) -> None:
        """Start the container; see `IEngine.start`."""
        container = self._container(container_id)
        if container.paused:
            raise EngineError("The Docker host memory refused with status 409: cannot start what is paused")
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
    async def stop(self, container_id: str, *, grace: float) -> None:  # noqa: ARG002 - stops at once
        """Stop the container; see `IEngine.stop`."""
        container = self._container(container_id)
        container.policy = "no"
        self._end(container, KILLED)

    @with_faults
    async def keep_running(self, container_id: str, policy: str = "unless-stopped") -> None:
        """Remember how the container is to be restarted; see `IEngine.keep_running`."""
        self._container(container_id).policy = policy

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
            for name in container.anonymous.values():
                self.disk.pop(name, None)

    @with_faults
    async def volumes(self, cluster_id: str) -> list[Volume]:
        """Return the cluster's volumes; see `IEngine.volumes`."""
        return [one.observed() for one in self.disk.values() if one.labels.get(LABEL_CLUSTER) == cluster_id]

    @with_faults
    async def remove_volume(self, name: str) -> None:
        """Remove the volume; see `IEngine.remove_volume`."""
        users = [one for one in self.world.values() if name in one.volumes.values()]
        if users:
            raise EngineError(f"The volume {name} is in use by the container {users[0].spec.name}.")
        self.disk.pop(name, None)

    @with_faults
    async def has_file(self, container_id: str, path: str) -> bool:
        """Whether the image has the file or command; see `IEngine.has_file`."""
        image = self._container(container_id).image
        return path in image.files or path in image.scripts or (image.shell and path == "/bin/sh")

    # Within.

    def _image(self, reference: str) -> MemoryImage:
        try:
            return self.images[reference]
        except KeyError:
            raise NoImage(f"The Docker host memory has no image {reference}.") from None

    def _ports_in_use(self) -> set[int]:
        published = {
            port
            for container in self.world.values()
            if container.running
            for port in container.spec.ports.values()
        }
        return published | self.taken_ports


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
