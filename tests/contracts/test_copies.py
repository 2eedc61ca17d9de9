"""Copies in memory and by Docker keep the contract of `ICopies`."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, evolve, field
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.task import Clock

from dockerbroker.engines.copies import DockerCopies
from dockerbroker.model.containers import VolumePlace
from dockerbroker.threads import DaemonThreadPool
from tests.contracts import copies, real
from tests.contracts.images import fill_memory
from tests.memory_copies import MemoryCopies
from tests.memory_engine import MemoryEngines, MemoryVolume
from tests.stack import HOST


@define(eq=False)
class _Memory(copies.World):
    """Copies in memory."""

    clock: Clock = field(kw_only=True)

    def put(self, place: VolumePlace, files: Mapping[str, bytes]) -> None:
        """Put files into a volume."""
        self._volume(place).contents.update(files)

    def found(self, place: VolumePlace) -> dict[str, bytes]:
        """Return the files of a volume."""
        return dict(self._volume(place).contents)

    def pass_time(self) -> None:
        """Let what was begun go on."""
        self.clock.pump([3.0] * 10)

    def _volume(self, place: VolumePlace) -> MemoryVolume:
        memory: Any = self.engine
        volume: MemoryVolume = memory.disk[memory.world[place.container_id].volumes[place.path]]
        return volume


class MemoryCopiesTests(copies.CopiesContract):
    """Copies in memory."""

    def make_world(self) -> copies.World:
        """Return copies in memory."""
        clock = Clock()
        engines = MemoryEngines(clock)
        fill_memory(engines(HOST))
        return _Memory(MemoryCopies(engines, clock), engines(HOST), HOST, clock=clock)


@define(eq=False)
class _Real(copies.World):
    """Copies by Docker, from one container of an engine to another."""

    def put(self, place: VolumePlace, files: Mapping[str, bytes]) -> None:
        """Put files into a volume."""
        self.unpack(place, [(tarfile.TarInfo(name), contents) for name, contents in files.items()])

    def unpack(self, place: VolumePlace, entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        """Put files, folders and other things into a volume."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for entry, contents in entries:
                entry.size = len(contents)
                archive.addfile(entry, io.BytesIO(contents))
        with self.client() as client:
            client.put_archive(place.container_id, place.path, buffer.getvalue())

    def found(self, place: VolumePlace) -> dict[str, bytes]:
        """Return the files of a volume."""
        return {entry.name[2:]: contents for entry, contents in self.packed(place) if entry.isreg()}

    def packed(self, place: VolumePlace) -> list[tuple[tarfile.TarInfo, bytes]]:
        """Return all that is in a volume."""
        with self.client() as client:
            chunks, _ = client.get_archive(place.container_id, f"{place.path}/.")
            buffer = io.BytesIO(b"".join(chunks))
        with tarfile.open(fileobj=buffer) as archive:
            return [(entry, _contents(archive, entry)) for entry in archive]

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        """Talk to Docker as anybody does."""
        with contextlib.closing(real.filled_engine().client()) as client:
            yield client


def _contents(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry) if entry.isreg() else None
    return b"" if file is None else file.read()


class RealCopiesTests(copies.CopiesContract):
    """Copies by a real engine, over its UNIX socket."""

    def make_world(self) -> copies.World:
        """Return copies by Docker."""
        return self.real_world("unix")

    def real_world(self, transport: str) -> _Real:
        """Return copies by Docker, which is reached over `unix`, `tcp` or `tls`."""
        engine = real.filled_engine()
        certificate = real.certificate_of(engine.tls) if transport == "tls" else None
        engines = real.engines_for(self, certificate)
        url = {"unix": engine.unix_url, "tcp": engine.tcp_url, "tls": engine.tls_url}[transport]
        host, clock = real.host_at(url), _reactor
        return _Real(DockerCopies(clock, engines, engines.threads), engines(host), host)

    async def test_everything(self) -> None:
        """Kinds, modes, owners, links, times and contents are as they were; so is the volume's own folder."""
        world = self.world
        assert isinstance(world, _Real)
        source, target = await self.place(), await self.place()
        world.unpack(source, list(_strange()))
        own_folder = _entry("in", tarfile.DIRTYPE, mode=0o1750, uid=7, gid=8), b""
        world.unpack(evolve(source, path="/data/deep"), [own_folder])
        await self.copied(source, target)
        here, there = world.packed(source), world.packed(target)
        self.assertEqual([_told(*one) for one in here], [_told(*one) for one in there])
        told = {entry.name: entry for entry, _ in there}
        own = told["."]
        self.assertEqual((own.mode & 0o7777, own.uid, own.gid, own.mtime), (0o1750, 7, 8, 1_000_000_000))
        self.assertEqual((told["./hard"].mode & 0o7777, told["./hard"].gid), (0o751, 1234))
        self.assertEqual((told["./setuid"].mode & 0o7777, told["./setuid"].uid), (0o4751, 1000))
        self.assertEqual((told["./run"].islnk(), told["./soft"].linkname), (True, "run/../nowhere"))
        self.assertTrue(told["./pipe"].isfifo())

    async def test_transports(self) -> None:
        """Over TCP, and TLS, it is the same."""
        for transport in ("tcp", "tls"):
            other = self.real_world(transport)
            source, target = await self.place(), await self.place()
            self.world.put(source, {"a": bytes(3_000_000)})
            here, there = (evolve(one, host=other.host) for one in (source, target))
            await other.copies.copy(here, there, lambda _count: None)
            self.assertEqual(self.world.found(target), {"a": bytes(3_000_000)})

    async def test_cancelled(self) -> None:
        """A copy that nobody wants any more ends, and leaves both containers to be worked with."""
        source, target = await self.place(), await self.place()
        self.world.put(source, {str(number): bytes(1_000_000) for number in range(60)})
        copying = ensureDeferred(self.world.copies.copy(source, target, lambda _count: None))
        _reactor.callLater(0.05, copying.cancel)
        with self.assertRaises(CancelledError):
            await copying
        await self.world.engine.remove(target.container_id, grace=0)
        self.assertIsNotNone(await self.world.engine.inspect(source.container_id))

    async def test_lost_source(self) -> None:
        """What the source says is not taken for what the target does."""
        world = self.world
        assert isinstance(world, _Real)
        threads = DaemonThreadPool("lost", 2, leaves_busy=True)
        threads.start()
        self.addCleanup(threads.stop)
        source, target = await self.place(), await self.place()
        wrong = VolumePlace(host=source.host, container_id=source.container_id, path="/nowhere")
        with self.assertRaises(Exception) as raised:
            await world.copies.copy(wrong, target, lambda _count: None)
        self.assertIn("nowhere", str(raised.exception))


_reactor: Any = reactor


def _strange() -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield what a volume may hold besides plain files."""
    entry = _entry
    yield entry("setuid", mode=0o4751, uid=1000), b""
    yield entry("run", mode=0o751, uid=1000, gid=1234), b"#!/bin/sh\n"
    yield entry("hard", tarfile.LNKTYPE, linkname="run", mode=0o751, uid=1000, gid=1234), b""
    yield entry("soft", tarfile.SYMTYPE, linkname="run/../nowhere", mode=0o777), b""
    yield entry("pipe", tarfile.FIFOTYPE, mode=0o600, uid=5), b""
    yield entry("empty", tarfile.DIRTYPE, mode=0o700, uid=99, gid=99), b""
    yield entry("a/" + "long" * 60 + "/name", mode=0o640), b"x" * 700_000
    yield entry(".wh.not-a-whiteout", mode=0o644), b"y"


def _entry(name: str, kind: bytes = tarfile.REGTYPE, **members: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mtime = kind, 1_000_000_000
    for member, value in members.items():
        setattr(made, member, value)
    return made


def _told(entry: tarfile.TarInfo, contents: bytes) -> tuple[Any, ...]:
    return (
        entry.name,
        entry.type,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size,
        entry.mtime,
        entry.linkname,
        contents,
    )
