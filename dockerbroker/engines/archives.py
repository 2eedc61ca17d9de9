"""Tar streams of volumes, as Docker sends them: passed on, and remembered by what they hold.

Nothing of a stream is kept but a digest, however large it is.
"""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from attrs import define, field

#: How much is read at once, in bytes.
CHUNK: Final = 256 * 1024
#: What of an entry must be the same after it was copied; names of users and groups are the host's own.
_MEMBERS: Final = (
    "name",
    "type",
    "mode",
    "uid",
    "gid",
    "size",
    "linkname",
    "devmajor",
    "devminor",
)
_ATTRIBUTES: Final = "SCHILY.xattr."
#: How many bytes, all of them zero, end an archive.
_END: Final = 1024


class Readable(Protocol):
    """What a stream is read from."""

    def read(self, size: int) -> bytes:
        """Return at most so many bytes, none at the end."""


@define(eq=False)
class Reading:
    """A tar stream that is read once, entry by entry; `heard` is told how many bytes that were so far.

    What `heard` raises ends the reading.
    """

    _stream: Readable
    _heard: Callable[[int], object]
    total: int = field(default=0, init=False)
    entries: int = field(default=0, init=False)
    _pending: list[bytes] = field(factory=list, init=False)
    _end: bytes = field(default=b"", init=False)
    _digest: Any = field(factory=hashlib.sha256, init=False)

    @property
    def digest(self) -> str:
        """What the stream held, as far as it was read."""
        return str(self._digest.hexdigest())

    def read(self, size: int) -> bytes:
        """Return the next bytes, for the one who understands them."""
        chunk = self._stream.read(size)
        self.total += len(chunk)
        self._heard(self.total)
        self._pending.append(chunk)
        self._end = (self._end + chunk[-_END:])[-_END:]
        return chunk

    def chunks(self) -> Iterator[bytes]:
        """Yield the stream as it is; raises `tarfile.TarError` when it is none, or is cut off."""
        fileobj: Any = self
        with tarfile.open(fileobj=fileobj, mode="r|", bufsize=CHUNK) as archive:
            for entry in archive:
                # It would remember all of them.
                archive.members = []  # type: ignore[attr-defined]
                self.entries += 1
                self._digest.update(repr(_described(entry)).encode())
                yield from self._contents(archive, entry)
                yield from self._taken()
        while self.read(CHUNK):
            yield from self._taken()
        if self._end != bytes(_END):
            # tarfile takes a stream that ends between two entries for a whole one.
            raise tarfile.ReadError("it is cut off")
        yield from self._taken()

    def _contents(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[bytes]:
        contents = archive.extractfile(entry) if entry.isreg() else None
        while contents is not None and (chunk := contents.read(CHUNK)):
            self._digest.update(chunk)
            yield from self._taken()

    def _taken(self) -> Iterator[bytes]:
        taken, self._pending = self._pending, []
        yield from filter(None, taken)

    def read_all(self) -> None:
        """Read the stream to its end."""
        for _ in self.chunks():
            pass


def _described(entry: tarfile.TarInfo) -> tuple[Any, ...]:
    attributes = sorted(one for one in entry.pax_headers.items() if one[0].startswith(_ATTRIBUTES))
    return (*(getattr(entry, name) for name in _MEMBERS), int(entry.mtime), attributes)


def is_empty(stream: Readable) -> bool:
    """Return whether the stream holds nothing but folders."""
    fileobj: Any = stream
    with tarfile.open(fileobj=fileobj, mode="r|", bufsize=CHUNK) as archive:
        return all(entry.isdir() for entry in archive)
