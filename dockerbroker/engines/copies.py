"""Copies volumes between Docker Engines: what one sends goes to the other, and nothing is kept here."""

import tarfile
import time
from collections.abc import Callable, Iterator
from posixpath import dirname
from threading import Event
from typing import Final, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError
from zope.interface import implementer

from dockerbroker.engines import archives, translation
from dockerbroker.engines.client import Client
from dockerbroker.engines.connections import Connections
from dockerbroker.engines.docker import MOST_COPIES, DockerEngines
from dockerbroker.engines.interfaces import ICopies
from dockerbroker.engines.pool import Lane, Reactor, Threads
from dockerbroker.errors import EngineError, EngineUnreachable
from dockerbroker.model.containers import VolumePlace
from dockerbroker.model.hosts import DockerHost

#: How long an engine may be silent in the midst of a copy, and how long it may take to connect, in seconds.
SILENCE: Final = 30.0
_CONNECT: Final = 10.0
#: How often it is told how much was copied, in seconds.
_TELL_EVERY: Final = 0.5
#: Nobody waits so long: a copy has no deadline but that of its operation.
_NEVER: Final = 30 * 86400.0

T = TypeVar("T")


class _Stopped(Exception):
    """Nobody wants the copy any more."""


class _SourceLost(Exception):
    """What was to be copied could not be read to its end."""


@implementer(ICopies)
@define(eq=False)
class DockerCopies:
    """Copies over the connections of the engines, in threads of their pool."""

    reactor: Reactor
    engines: DockerEngines
    threads: Threads
    silence: float = SILENCE
    _lane: Lane = field(init=False)

    @_lane.default
    def _own_lane(self) -> Lane:
        return Lane(self.reactor, self.threads, MOST_COPIES, "volumes")

    async def is_empty(self, place: VolumePlace) -> bool:
        """Return whether nothing is in the volume; see `ICopies.is_empty`."""
        connections = await self._connections(place.host)
        return await self._run(
            lambda _stop: _Side(connections, place, self.silence).reading(archives.is_empty)
        )

    async def copy(self, source: VolumePlace, target: VolumePlace, told: Callable[[int], object]) -> None:
        """Copy a volume; see `ICopies.copy`."""
        here, there = await self._connections(source.host), await self._connections(target.host)

        def copy(stop: Event) -> None:
            _Copy(
                _Side(here, source, self.silence),
                _Side(there, target, self.silence),
                _Teller(stop, lambda count: self.reactor.callFromThread(told, count)),
            ).make()

        await self._run(copy)

    async def _connections(self, host: DockerHost) -> Connections:
        connections = self.engines(host).connections
        await connections.renew()
        return connections

    async def _run(self, call: Callable[[Event], T]) -> T:
        stop = Event()
        try:
            return await self._lane.run(_NEVER, lambda _remaining: call(stop), patience=_NEVER)
        except CancelledError:
            stop.set()
            raise


@define(eq=False)
class _Teller:
    """Tells how much was copied, and ends what nobody wants any more."""

    stop: Event
    tell: Callable[[int], object]
    _told_at: float = field(factory=time.monotonic)

    def go_on(self, _total: int) -> None:
        """Raise `_Stopped` when nobody wants the copy any more."""
        if self.stop.is_set():
            raise _Stopped

    def __call__(self, total: int) -> None:
        self.go_on(total)
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            self.tell(total)


@define(eq=False)
class _Side:
    """A volume, and the way to its engine."""

    connections: Connections
    place: VolumePlace
    silence: float

    @property
    def address(self) -> str:
        """The engine, for people."""
        return str(self.connections.clients.address)

    def reading(self, read: Callable[[archives.Readable], T]) -> T:
        """Return what is read of the volume's tar stream; raises an `EngineError`, or what `read` does."""

        def ask(client: Client) -> T:
            with client.read_archive(self.place.container_id, self.place.path, self.silence) as response:
                return read(response.raw)

        return self.asking(ask)

    def asking(self, question: Callable[[Client], T]) -> T:
        """Return what is asked over a connection of its own, which ends with it."""
        # The certificate may be another one by now.
        client = self.connections.clients.own(_CONNECT)
        try:
            return question(client)
        except (EngineError, _Stopped, _SourceLost):
            raise
        except tarfile.TarError as error:
            raise translation.malformed(self.address, f"no archive, {error}") from error
        except Exception as error:
            raise translation.translated(self.address, error) from error
        finally:
            client.close()


@define(eq=False)
class _Copy:
    """One copy: read from one side and written to the other at once, then read back and compared."""

    source: _Side
    target: _Side
    teller: _Teller
    _failure: EngineError | None = field(default=None, init=False)

    def make(self) -> None:
        """Copy; raises an `EngineError`."""
        try:
            copied = self.source.reading(self._written)
            found = self.target.reading(self._read)
        except _Stopped:
            raise EngineUnreachable("The copy was ended, since nobody wants it any more.") from None
        self.teller.tell(copied.total)
        if (found.digest, found.entries) != (copied.digest, copied.entries):
            raise EngineError(
                f"What was copied to {self.target.address} is not the same as on {self.source.address}: "
                f"{found.entries} of {copied.entries} files and folders, or their contents, differ."
            )

    def _read(self, stream: archives.Readable) -> archives.Reading:
        reading = archives.Reading(stream, self.teller.go_on)
        reading.read_all()
        return reading

    def _written(self, stream: archives.Readable) -> archives.Reading:
        reading = archives.Reading(stream, self.teller)
        place = self.target.place
        try:
            self.target.asking(
                # Docker sets mode and owner of what the archive names, but not of where it is unpacked.
                lambda client: client.write_archive(
                    place.container_id, dirname(place.path), self._guarded(reading), self.target.silence
                )
            )
        except _SourceLost:
            assert self._failure is not None
            raise self._failure from None
        return reading

    def _guarded(self, reading: archives.Reading) -> Iterator[bytes]:
        """Yield the stream; what the source says must not be taken for what the target does."""
        try:
            yield from reading.chunks()
        except (_Stopped, GeneratorExit):
            raise
        except tarfile.TarError as error:
            self._failure = translation.malformed(self.source.address, f"no archive, {error}")
            raise _SourceLost from error
        except Exception as error:
            self._failure = translation.translated(self.source.address, error)
            raise _SourceLost from error
