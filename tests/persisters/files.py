"""SQLite databases for tests."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dockerbroker.persisters.presence import Presence, folder_beside
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import SqliteDatabase, sqlite_engine
from dockerbroker.persisters.sqlite_opening import check_file
from tests.contracts.persister_case import Call

#: Memory, where each fsync costs nothing; what is tested here does not depend on it.
_FAST = Path("/dev/shm")


def temporary_folder(test: SynchronousTestCase) -> Path:
    """Return a folder that is removed when the test is over."""
    folder = Path(tempfile.mkdtemp(prefix="dockerbroker-", dir=_FAST if _FAST.is_dir() else None))
    test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder


@define(eq=False)
class Mounted:
    """A file system of one megabyte in memory."""

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def remount(self, mode: str) -> None:
        """Make it read-only (`ro`) or writable (`rw`)."""
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.path)], check=True)

    def fill(self) -> None:
        """Take all the room that is left."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink()


def mount_memory(test: SynchronousTestCase, folder: Path) -> Mounted:
    """Mount a file system of one megabyte until the test is over; skips the test without the right to."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SkipTest(f"no file system can be mounted: {done.stderr.strip()}")
    test.addCleanup(subprocess.run, ["umount", str(folder)], check=True)
    return Mounted(folder)


def open_here(
    path: Path, clock: Callable[[], float], connections: int = 2, broker: str | None = None
) -> SqlPersister:
    """Return a persister whose calls are made at once, in the caller's thread.

    With the name of a `broker` it knows which others have ended, and they know of it.
    """
    presence = None
    if broker is not None:
        presence = Presence(folder_beside(path))
        presence.begin(broker)
    engine = sqlite_engine(path, connections=connections)
    return SqlPersister(SqliteDatabase(engine, clock, presence), execute)


def at_once(calls: Sequence[Call]) -> list[Any]:
    """Make the calls at once, each in a thread of its own; return what each returned or raised."""
    outcomes: list[Any] = [None] * len(calls)
    line = threading.Barrier(len(calls))

    def run(number: int) -> None:
        line.wait()
        Deferred.fromCoroutine(calls[number]()).addErrback(lambda failure: failure.value).addCallback(
            lambda outcome: outcomes.__setitem__(number, outcome)
        )

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@define(eq=False)
class SqliteFixture:
    """Persisters on one new file, each with connections of its own."""

    path: Path
    clock: Clock = field(factory=Clock)
    _opened: list[SqlPersister] = field(factory=list, init=False)

    @classmethod
    def of(cls, test: SynchronousTestCase, clock: Clock | None = None) -> SqliteFixture:
        """Return the fixture of a test, closed at its end."""
        fixture = cls(temporary_folder(test) / "broker.db", clock or Clock())
        check_file(fixture.path)
        test.addCleanup(fixture.close)
        return fixture

    def persister(self, broker: str | None = None) -> SqlPersister:
        """Return another persister on the same file, that of a broker if it has a name."""
        opened = open_here(self.path, self.clock.seconds, broker=broker)
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        """Close all persisters."""
        while self._opened:
            self._opened.pop().database.close()

    def restart(self) -> SqlPersister:
        """Close all and open again, as a new process does."""
        self.close()
        check_file(self.path)
        return self.persister()

    def wait(self, deferred: Deferred[Any]) -> None:
        """Do nothing: the calls are made at once."""

    def race(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls at once, each in a thread of its own."""
        return at_once(calls)
