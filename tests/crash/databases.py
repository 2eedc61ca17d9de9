"""Databases on which brokers of the campaign live and die: in memory, a file of SQLite, and real servers."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import define, field
from sqlalchemy import Engine
from twisted.internet.defer import execute

from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import SqliteDatabase, sqlite_engine
from dockerbroker.persisters.sqlite_opening import check_file
from tests.memory_persister import MemoryPersister, Tables
from tests.persisters.emptied import emptied
from tests.servers import DRIVERS

#: What the campaign runs on.
DATABASES: Final = ("memory", "sqlite", *DRIVERS)
_FAST: Final = Path("/dev/shm")


class Database(Protocol):
    """A database that outlives the brokers on it."""

    def persister(self) -> Any:
        """Return a persister of its own for one more broker."""


@define(eq=False)
class MemoryDatabase:
    """Tables that memory persisters share."""

    seconds: Callable[[], float]
    tables: Tables = field(factory=Tables)

    def persister(self) -> MemoryPersister:
        """Return a persister on the same tables."""
        return MemoryPersister(self.seconds, self.tables)


@define(eq=False)
class FileDatabase:
    """A file of SQLite; the calls are made at once."""

    seconds: Callable[[], float]
    engine: Engine

    def persister(self) -> SqlPersister:
        """Return a persister on the same file."""
        return SqlPersister(SqliteDatabase(self.engine, self.seconds), execute)


@define(eq=False)
class Databases:
    """Makes new databases.

    The one file, or the one database of a server, is emptied for each, since a new one takes longer than a
    trial.
    """

    _folder: Path | None = None
    _engine: Engine | None = None

    def new(self, name: str, seconds: Callable[[], float]) -> Database:
        """Return an empty database of that kind, on that clock; the one before is not used any more."""
        if name == "memory":
            return MemoryDatabase(seconds)
        if name == "sqlite":
            return FileDatabase(seconds, self._empty_file())
        return emptied(name, seconds)

    def _empty_file(self) -> Engine:
        if self._folder is None:
            folder = _FAST if _FAST.is_dir() else None
            self._folder = Path(tempfile.mkdtemp(prefix="dockerbroker-crash-", dir=folder))
            check_file(self._folder / "empty.db")
            self._engine = sqlite_engine(self._folder / "broker.db", connections=2)
        assert self._engine is not None
        with (
            contextlib.closing(sqlite3.connect(self._folder / "empty.db")) as empty,
            contextlib.closing(sqlite3.connect(self._folder / "broker.db")) as file,
        ):
            empty.backup(file)
        return self._engine

    def close(self) -> None:
        """Remove the file."""
        if self._engine is not None:
            self._engine.dispose()
        if self._folder is not None:
            shutil.rmtree(self._folder)
        self._engine = self._folder = None
