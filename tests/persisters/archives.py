"""Whole databases of every kind for tests, two of each: one to be moved, and one to be moved to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import frozen
from sqlalchemy import Engine
from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.archive import IArchive, Kind, Row
from dockerbroker.persisters.archive_sql import SqlArchive
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.redis.archive import RedisArchive
from dockerbroker.persisters.server_opening import check_server
from dockerbroker.persisters.sql import SqlPersister
from tests.memory_archive import MemoryArchive
from tests.memory_persister import MemoryPersister, Tables
from tests.persisters.files import SqliteFixture
from tests.persisters.redis_fixture import BlockingRedisFixture
from tests.persisters.server_fixture import empty, open_here, server_engine
from tests.servers import server


@frozen(kw_only=True)
class Opened:
    """An empty database: what brokers see of it, and its whole; its leases are judged by `clock`."""

    persister: IPersister
    archive: IArchive
    clock: Clock


#: Makes an empty database for the test; with another role it is another one.
Make = Callable[[SynchronousTestCase, str], Opened]


def whole_of(persister: SqlPersister) -> SqlArchive:
    """Return the whole of the database, whose calls are made at once."""
    return SqlArchive(persister.database, execute)


def memory(_test: SynchronousTestCase, role: str) -> Opened:
    """Return tables in memory."""
    clock = Clock()
    persister = MemoryPersister(clock.seconds, Tables(cluster_id=f"{role:0<32}"))
    return Opened(persister=persister, archive=MemoryArchive.of(persister), clock=clock)


def sqlite(test: SynchronousTestCase, _role: str) -> Opened:
    """Return a new file."""
    fixture = SqliteFixture.of(test)
    persister = fixture.persister()
    return Opened(persister=persister, archive=whole_of(persister), clock=fixture.clock)


#: Making a database takes longer than a test, so each is emptied for the next one.
_servers: dict[tuple[str, str], tuple[ServerConfiguration, Engine]] = {}


def on_server(driver: str) -> Make:
    """Return what makes databases on the driver's server."""

    def make(_test: SynchronousTestCase, role: str) -> Opened:
        if (driver, role) not in _servers:
            configuration = server(driver).new_database()
            check_server(configuration)
            _servers[driver, role] = (configuration, server_engine(configuration))
        configuration, engine = _servers[driver, role]
        empty(engine)
        clock = Clock()
        persister = open_here(configuration, clock.seconds, engine)
        return Opened(persister=persister, archive=whole_of(persister), clock=clock)

    return make


def redis(test: SynchronousTestCase, _role: str) -> Opened:
    """Return a new database under a prefix of its own."""
    fixture = BlockingRedisFixture.of(test)
    persister = fixture.persister()
    archive = RedisArchive(persister.commands, persister.scripts)
    return Opened(persister=persister, archive=archive, clock=fixture.clock)


#: What each driver makes.
MAKERS: Final[Mapping[str, Make]] = {
    "memory": memory,
    "sqlite": sqlite,
    "mysql": on_server("mysql"),
    "postgresql": on_server("postgresql"),
    "redis": redis,
}


async def everything(archive: IArchive) -> dict[Kind, list[Row]]:
    """Return all rows, by their kind."""
    return {kind: await archive.page(kind, None, 10_000) for kind in Kind}
