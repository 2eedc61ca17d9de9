"""Databases on which brokers of the campaign live and die: in memory, and a file of SQLite."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import define, field

from dockerbroker.persisters.opening import check
from dockerbroker.persisters.sqlite import sqlite_url
from tests.memory_persister import MemoryPersister, Tables
from tests.persisters.files import open_here

_FAST: Final = Path("/dev/shm")


class Database(Protocol):
    """A database that outlives the brokers on it."""

    def persister(self) -> Any:
        """Return a persister of its own for one more broker."""

    def close(self) -> None:
        """Forget everything."""


@define(eq=False)
class MemoryDatabase:
    """Tables that memory persisters share."""

    seconds: Callable[[], float]
    tables: Tables = field(factory=Tables)

    def persister(self) -> MemoryPersister:
        """Return a persister on the same tables."""
        return MemoryPersister(self.seconds, self.tables)

    def close(self) -> None:
        """Nothing is left of it anyway."""


@define(eq=False)
class SqliteDatabase:
    """A new file, with connections of its own for every broker; the calls are made at once."""

    seconds: Callable[[], float]
    _folder: Path = field(init=False)
    _opened: list[Any] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Copy an empty database: migrating takes longer than a whole trial."""
        self._folder = _new_folder()
        shutil.copyfile(_template(), self._folder / "broker.db")

    def persister(self) -> Any:
        """Return a persister on the same file."""
        opened = open_here(self._folder / "broker.db", self.seconds)
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        """Close all connections and remove the file."""
        while self._opened:
            self._opened.pop().database.close()
        shutil.rmtree(self._folder)


#: What the campaign runs on, by name.
DATABASES: Final[Mapping[str, Callable[[Callable[[], float]], Database]]] = {
    "memory": MemoryDatabase,
    "sqlite": SqliteDatabase,
}

_templates: Final[list[Path]] = []


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="dockerbroker-crash-", dir=_FAST if _FAST.is_dir() else None))


def _template() -> Path:
    if not _templates:
        folder = _new_folder()
        check(sqlite_url(folder / "empty.db"))
        _templates.append(folder / "empty.db")
    return _templates[0]


def forget_templates() -> None:
    """Remove what was kept for the next trial."""
    while _templates:
        shutil.rmtree(_templates.pop().parent)
