"""The engine in memory keeps the contract of `IEngine`."""

from typing import Any

from attrs import define, evolve
from twisted.internet import reactor

from tests.contracts import (
    engine,
    engine_containers,
    engine_execs,
    engine_measured,
    engine_operators,
    engine_volumes,
)
from tests.contracts.images import fill_memory
from tests.memory_engine import MemoryEngine


@define(eq=False)
class _World(engine.World):
    """The engine in memory, whose host has no real sockets."""

    def occupy(self, port: int) -> None:
        """Let another process of the host listen on the port."""
        memory: Any = self.engine
        memory.taken_ports.add(port)

    def pause(self, container_id: str) -> None:
        """Let somebody pause the container."""
        memory: Any = self.engine
        memory.world[container_id].paused = True

    def rename(self, container_id: str, name: str) -> None:
        """Let somebody rename the container."""
        memory: Any = self.engine
        container = memory.world[container_id]
        container.spec = evolve(container.spec, name=name)

    def copy(self, container_id: str) -> str:
        """Let somebody make an image of the container."""
        memory: Any = self.engine
        image = f"{engine.name()}:copy"
        memory.add_image(image, labels=dict(memory.world[container_id].spec.labels))
        return image

    def drop(self, container_id: str) -> None:
        """Let somebody remove the container."""
        memory: Any = self.engine
        del memory.world[container_id]


def _world() -> engine.World:
    clock: Any = reactor
    memory = MemoryEngine(clock)
    fill_memory(memory)
    return _World(memory, clock)


class MemoryContainerTests(engine_containers.ContainerContract):
    """Images and containers in memory."""

    def make_world(self) -> engine.World:
        """Return an engine in memory."""
        return _world()


class MemoryVolumeTests(engine_volumes.VolumeContract):
    """Volumes in memory."""

    def make_world(self) -> engine.World:
        """Return an engine in memory."""
        return _world()


class MemoryMeasuredTests(engine_measured.MeasuredContract):
    """Containers in memory that are not well."""

    def make_world(self) -> engine.World:
        """Return an engine in memory."""
        return _world()


class MemoryOperatorTests(engine_operators.OperatorContract):
    """Containers in memory with which somebody else does something."""

    def make_world(self) -> engine.World:
        """Return an engine in memory."""
        return _world()


class MemoryExecTests(engine_execs.ExecContract):
    """Execs in memory."""

    def make_world(self) -> engine.World:
        """Return an engine in memory."""
        return _world()
