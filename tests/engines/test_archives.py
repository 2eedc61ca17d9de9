"""Tar streams are passed on as they are, and remembered by what they hold."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.archives import CHUNK, Reading, is_empty


def packed(files: Mapping[str, bytes], **members: Any) -> bytes:
    """Return a tar stream of a folder and these files, which have these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        folder = tarfile.TarInfo("data")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, contents in files.items():
            entry = tarfile.TarInfo(f"data/{name}")
            entry.size = len(contents)
            for member, value in members.items():
                setattr(entry, member, value)
            archive.addfile(entry, io.BytesIO(contents))
    return buffer.getvalue()


def digest(stream: bytes) -> str:
    """Return what is remembered of a stream."""
    reading = Reading(io.BytesIO(stream), lambda _total: None)
    reading.read_all()
    return reading.digest


@define(eq=False)
class Endless:
    """A stream that begins so and has zeros without end."""

    beginning: bytes

    def read(self, size: int) -> bytes:
        """Return so many bytes."""
        taken, self.beginning = self.beginning[:size], self.beginning[size:]
        return taken.ljust(size, b"\0")


class ReadingTests(SynchronousTestCase):
    """A stream that is read once."""

    def test_passed_on(self) -> None:
        """What comes out is what went in, and it is told how much that was; little is kept meanwhile."""
        stream = packed({"a": b"", "b": b"x" * 3_000_000, **{f"n{number}": b"" for number in range(3000)}})
        told: list[int] = []
        reading = Reading(io.BytesIO(stream), told.append)
        chunks = []
        for chunk in reading.chunks():
            chunks.append(chunk)
            self.assertLessEqual(sum(map(len, reading._pending)), 3 * CHUNK)
        self.assertEqual(b"".join(chunks), stream)
        self.assertEqual((told[-1], reading.total, reading.entries), (len(stream), len(stream), 3003))

    def test_differences(self) -> None:
        """Another name, content, mode, owner, time, link or attribute is another digest; order counts."""
        same = {"a": b"1", "b": b"2"}
        self.assertEqual(digest(packed(same)), digest(packed(same, uname="somebody")))
        others = [
            packed({"a": b"1", "c": b"2"}),
            packed({"a": b"1", "b": b"3"}),
            packed({"a": b"1"}),
            packed({"b": b"2", "a": b"1"}),
            packed(same, mode=0o600),
            packed(same, uid=1),
            packed(same, gid=1),
            packed(same, mtime=1),
            packed({"a": b"", "b": b""}, type=tarfile.SYMTYPE, linkname="x"),
            packed({"a": b"", "b": b""}, type=tarfile.SYMTYPE, linkname="y"),
            packed(same, pax_headers={"SCHILY.xattr.security.capability": "x"}),
        ]
        self.assertEqual(len({digest(one) for one in (packed(same), *others)}), 12)

    def test_cut_off(self) -> None:
        """A stream that ends in the midst of a file, or between two, or is none, is told."""
        whole = packed({"a": b"x" * 100_000})
        for stream in (whole[:50_000], whole[:700], whole[:512], b"no archive" * 100):
            self.assertRaises(tarfile.TarError, digest, stream)

    def test_hostile(self) -> None:
        """What would be written elsewhere is not unpacked; what never ends is not kept (S71)."""
        outside = Path(self.mktemp()).absolute()
        names = ("../../../../../../etc/passwd", f"../{outside}", "link/x")
        stream = packed(dict.fromkeys(names, b"x"), type=tarfile.SYMTYPE, linkname=str(outside), size=0)
        reading = Reading(io.BytesIO(stream), lambda _total: None)
        self.assertEqual(b"".join(reading.chunks()), stream)
        self.assertFalse(outside.exists())
        bomb = tarfile.TarInfo("data/bomb")
        bomb.size = 10**14
        endless = Reading(Endless(bomb.tobuf(tarfile.GNU_FORMAT)), lambda _total: None)
        for _, chunk in zip(range(200), endless.chunks(), strict=False):
            self.assertLessEqual(len(chunk) + sum(map(len, endless._pending)), 4 * CHUNK)

    def test_stopped(self) -> None:
        """What its hearer raises ends the reading."""

        def stop(_total: int) -> None:
            raise RuntimeError

        self.assertRaises(RuntimeError, Reading(io.BytesIO(packed({})), stop).read_all)

    def test_empty(self) -> None:
        """A volume is empty when there is nothing but its own folder."""
        self.assertTrue(is_empty(io.BytesIO(packed({}))))
        self.assertFalse(is_empty(io.BytesIO(packed({"a": b""}))))
