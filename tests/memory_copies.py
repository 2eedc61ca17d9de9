"""Copies between engines in memory: the verified fake of `ICopies`."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, evolve
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from dockerbroker.engines.interfaces import ICopies
from dockerbroker.errors import EngineError, EngineUnreachable, NotThere
from dockerbroker.model.containers import VolumePlace
from tests.memory_engine import MemoryEngine, MemoryEngines
from tests.memory_faults import Faulty, with_faults
from tests.memory_world import MemoryVolume

#: How long a file takes, in seconds.
FILE_SECONDS = 3.0


@implementer(ICopies)
@define(eq=False)
class MemoryCopies(Faulty):
    """Copies file after file; of what is ended half-way, also by the death of its broker, a part is there.

    `clock` is the broker's own.
    """

    engines: MemoryEngines
    clock: IReactorTime

    @with_faults
    async def is_empty(self, place: VolumePlace) -> bool:
        """Return whether nothing is in the volume; see `ICopies.is_empty`."""
        return not self._volume(place).contents

    @with_faults
    async def copy(self, source: VolumePlace, target: VolumePlace, told: Callable[[int], object]) -> None:
        """Copy a volume; see `ICopies.copy`."""
        copied = 0
        for here, there in self._pairs(source, target):
            for path in sorted(self._volume(here).contents):
                await deferLater(self.clock, FILE_SECONDS)
                contents = self._volume(here).contents[path]
                self._volume(there).contents[path] = contents
                copied += len(contents)
                told(copied)
        await deferLater(self.clock, FILE_SECONDS)
        for here, there in self._pairs(source, target):
            if self._volume(here).contents != self._volume(there).contents:
                raise EngineError("What was copied is not the same.")

    def _pairs(self, source: VolumePlace, target: VolumePlace) -> list[tuple[VolumePlace, VolumePlace]]:
        """Return the volume with those that are mounted within it, on both sides."""
        self._volume(source)
        paths = self.engines(source.host).world[source.container_id].volumes
        within = [one for one in sorted(paths) if f"{one}/".startswith(f"{source.path}/")]
        return [(evolve(source, path=one), evolve(target, path=one)) for one in within]

    def _volume(self, place: VolumePlace) -> MemoryVolume:
        engine: MemoryEngine = self.engines(place.host)
        if not engine.reachable:
            raise EngineUnreachable("The Docker host memory cannot be reached.")
        container = engine.world.get(place.container_id)
        if container is None or place.path not in container.volumes:
            raise NotThere(f"There is no {place.path} in the container {place.container_id}.")
        return engine.disk[container.volumes[place.path]]
