"""All that stands in a database, as whoever has stolen it sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from dockerbroker.persisters.redis.persister import RedisPersister
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.tables import metadata
from tests.memory_persister import MemoryPersister
from tests.servers import server


def raw(persister: Any) -> str:
    """Return all tables, keys and files of the persister's database as one text."""
    if isinstance(persister, MemoryPersister):
        return repr(persister.tables)
    if isinstance(persister, SqlPersister):
        deadline = persister.database.seconds() + 30
        return persister.database.read(_tables, deadline=deadline) + _files(persister)
    return _keys(persister)


def _tables(connection: Connection) -> str:
    rows = (connection.execute(select(table)).all() for table in metadata.sorted_tables)
    return "\n".join(map(repr, rows))


def _files(persister: SqlPersister) -> str:
    """Return the bytes of a file, and of the log beside it that has not been taken over."""
    url = persister.database.engine.url  # type: ignore[attr-defined]
    if url.get_backend_name() != "sqlite":
        return ""
    paths = (Path(url.database + suffix) for suffix in ("", "-wal", "-shm"))
    return "".join(path.read_bytes().decode("latin-1") for path in paths if path.exists())


def _keys(persister: RedisPersister) -> str:
    commands: Any = persister.commands
    client = server("redis").connect()
    try:
        dumps = [_value(client, name) for name in client.scan_iter(f"{commands.base}*")]
    finally:
        client.close()
    return "\n".join(dumps)


def _value(client: Any, name: str) -> str:
    kind = client.type(name)
    reading = {
        "string": client.get,
        "hash": client.hgetall,
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1),
    }
    return repr((name, reading[kind](name)))
