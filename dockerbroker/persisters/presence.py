"""Which of the brokers that share a SQLite file have ended: each holds a lock on a small file of its own.

The kernel lets go of a lock (flock) when the process that holds it ends, however it ends. A broker that is
alive but stopped keeps it, so its leases lapse in the ordinary way. The file is only a hint that makes taking
over sooner: without it, too, leases lapse.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote, unquote

from attrs import define, field
from twisted.logger import Logger

_SUFFIX: Final = ".lock"


def folder_beside(database: Path) -> Path:
    """Return the folder of the brokers' files."""
    return database.with_name(f"{database.name}.brokers")


@define(eq=False)
class Presence:
    """The files of the brokers, and the lock on this broker's own."""

    _log: ClassVar[Logger] = Logger()

    folder: Path
    _own: int | None = field(default=None, init=False)

    def begin(self, broker: str) -> None:
        """Let the others see that this broker runs, as long as its process does; no two have one name.

        Where the file cannot be made the others wait for leases to lapse, should this broker die.
        """
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._own = _locked_for_good(self._file(broker))
        except OSError as error:
            self._log.warn("no lock in {folder}: {why}", folder=str(self.folder), why=error.strerror)

    def end(self) -> None:
        """Let the others see that this broker has ended."""
        if self._own is not None:
            os.close(self._own)
            self._own = None

    @contextmanager
    def ended(self) -> Iterator[list[str]]:
        """Yield the names of the brokers that have ended; at the end of the block their files are removed.

        Until then nobody else finds them. When the block raises, the files stay.
        """
        with ExitStack() as locks:
            files = [path for path in self._files() if self._lock(path, locks)]
            yield [unquote(path.name.removesuffix(_SUFFIX)) for path in files]
            for path in files:
                with suppress(OSError):
                    path.unlink()

    def _lock(self, path: Path, locks: ExitStack) -> bool:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:
            return False
        locks.callback(os.close, descriptor)
        return _try_lock(descriptor) and _is_at(path, descriptor)

    def _files(self) -> list[Path]:
        try:
            return sorted(self.folder.glob(f"*{_SUFFIX}"))
        except OSError as error:
            self._log.warn("{folder} cannot be read: {why}", folder=str(self.folder), why=error.strerror)
            return []

    def _file(self, broker: str) -> Path:
        return self.folder / (quote(broker, safe="") + _SUFFIX)


def _locked_for_good(path: Path) -> int:
    """Make the file and lock it; returns the descriptor that holds the lock, which no program inherits."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Between the two, another broker may have taken the file for one of a broker that has ended.
            if _is_at(path, descriptor):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    found = os.fstat(descriptor)
    try:
        return os.path.samestat(path.stat(), found)
    except OSError:
        return False
