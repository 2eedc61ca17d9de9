"""Copies between engines in memory: the verified fake of `ICopies`."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
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
        for path in sorted(self._volume(source).contents):
            await deferLater(self.clock, FILE_SECONDS)
            contents = self._volume(source).contents[path]
            self._volume(target).contents[path] = contents
            copied += len(contents)
            told(copied)
        await deferLater(self.clock, FILE_SECONDS)
        if self._volume(source).contents != self._volume(target).contents:
            raise EngineError("What was copied is not the same.")

    def _volume(self, place: VolumePlace) -> MemoryVolume:
        engine: MemoryEngine = self.engines(place.host)
        if not engine.reachable:
            raise EngineUnreachable("The Docker host memory cannot be reached.")
        container = engine.world.get(place.container_id)
        if container is None or place.path not in container.volumes:
            raise NotThere(f"There is no {place.path} in the container {place.container_id}.")
        return engine.disk[container.volumes[place.path]]
