"""The suite of `ICopies`, be it in memory or between Docker Engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import TestCase

from dockerbroker.engines.interfaces import ICopies, IEngine
from dockerbroker.errors import EngineError, NotThere
from dockerbroker.model.containers import VolumePlace
from dockerbroker.model.hosts import DockerHost
from tests.contracts import engine
from tests.contracts.images import FIRST, KEEPING


@define(eq=False)
class World:
    """Copies under test, and a host on which volumes are; `engine` is its Docker Engine."""

    copies: ICopies
    engine: IEngine
    host: DockerHost

    def put(self, place: VolumePlace, files: Mapping[str, bytes]) -> None:
        """Put files into a volume."""
        raise NotImplementedError

    def found(self, place: VolumePlace) -> dict[str, bytes]:
        """Return the files of a volume."""
        raise NotImplementedError

    def pass_time(self) -> None:
        """Let what was begun go on, where it does not do so by itself."""


class CopiesContract(TestCase):
    """What copies promise."""

    timeout = 120
    world: World

    def setUp(self) -> None:
        """Take the world."""
        self.world = self.make_world()

    def make_world(self) -> World:
        """Return the copies under test."""
        raise NotImplementedError

    async def place(self, path: str = "/data/deep/in", **members: Any) -> VolumePlace:
        """Return a volume in a container that does not run, which are removed after the test."""
        paths = [path, *members.pop("within", ())]
        volumes = {one: engine.name() for one in paths}
        wanted = engine.spec(KEEPING, volumes=volumes, **{"fills_volumes": False, **members})
        for volume in volumes.values():
            self.addCleanup(lambda name: ensureDeferred(self.world.engine.remove_volume(name)), volume)
        container_id = await self.world.engine.create(wanted)
        self.addCleanup(lambda: ensureDeferred(self.world.engine.remove(container_id, grace=0)))
        return VolumePlace(host=self.world.host, container_id=container_id, path=path)

    async def copied(self, source: VolumePlace, target: VolumePlace) -> list[int]:
        """Copy, and return what was told of it."""
        told: list[int] = []
        copying = ensureDeferred(self.world.copies.copy(source, target, told.append))
        self.world.pass_time()
        await copying
        return told

    async def test_empty(self) -> None:
        """A new volume is empty if it is not to be filled from the image, and is not with a file in it."""
        bare, filled = await self.place("/data"), await self.place("/data", fills_volumes=True)
        self.assertTrue(await self.world.copies.is_empty(bare))
        self.assertFalse(await self.world.copies.is_empty(filled))
        self.assertEqual(self.world.found(filled), {"first": FIRST.encode()})
        self.world.put(bare, {"x": b""})
        self.assertFalse(await self.world.copies.is_empty(bare))

    async def test_copied(self) -> None:
        """All files are there afterwards, and here as before."""
        files = {"first": b"1", "empty": b"", "folder/in a folder/\u00fc\n": bytes(range(256)) * 5000}
        source, target = await self.place(), await self.place()
        self.world.put(source, files)
        told = await self.copied(source, target)
        self.assertEqual(self.world.found(target), files)
        self.assertEqual(self.world.found(source), files)
        self.assertEqual(told, sorted(told))
        self.assertGreaterEqual(told[-1], sum(map(len, files.values())))

    async def test_within(self) -> None:
        """A volume that is mounted within another goes with it, and does not make that one look full."""
        log = "/data/deep/in/log"
        source, target = await self.place(within=[log]), await self.place(within=[log])
        self.world.put(source, {"a": b"1"})
        self.world.put(evolve(source, path=log), {"b": b"2"})
        self.assertTrue(await self.world.copies.is_empty(target))
        await self.copied(source, target)
        self.assertEqual(self.world.found(evolve(target, path=log)), {"b": b"2"})
        self.assertEqual(self.world.found(target)["a"], b"1")

    async def test_nothing(self) -> None:
        """An empty volume is copied like any other."""
        source, target = await self.place(), await self.place()
        await self.copied(source, target)
        self.assertTrue(await self.world.copies.is_empty(target))

    async def test_unlike(self) -> None:
        """What else is in the target shows that the two differ."""
        source, target = await self.place(), await self.place()
        self.world.put(source, {"a": b"1"})
        self.world.put(target, {"b": b"1"})
        with self.assertRaises(EngineError) as raised:
            await self.copied(source, target)
        self.assertIs(type(raised.exception), EngineError)

    async def test_absent(self) -> None:
        """A container that is not there, on either side, is told as such."""
        place = await self.place()
        absent = VolumePlace(host=self.world.host, container_id="absent", path="/data")
        for pair in ((absent, place), (place, absent)):
            with self.assertRaises(NotThere):
                await self.copied(*pair)
        with self.assertRaises(NotThere):
            await self.world.copies.is_empty(absent)
