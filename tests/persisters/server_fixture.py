"""SQL databases on real servers, for tests."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from sqlalchemy import Engine, delete, update
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.server_opening import check_server, dialect_of
from dockerbroker.persisters.servers import ServerDatabase
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.tables import deployment, metadata
from tests.contracts.persister_case import Call
from tests.persisters.files import at_once
from tests.servers import server

#: The one database of each driver that is emptied for each test, since making one takes longer.
_databases: dict[str, ServerConfiguration] = {}


def shared_database(driver: str) -> ServerConfiguration:
    """Return the driver's database for tests that empty it; it has its tables."""
    if driver not in _databases:
        configuration = server(driver).new_database()
        check_server(configuration)
        _databases[driver] = configuration
    return _databases[driver]


def server_engine(configuration: ServerConfiguration, connections: int = 2) -> Engine:
    """Return an engine of the database."""
    return dialect_of(configuration).engine(configuration, connections=connections)


def empty(engine: Engine) -> None:
    """Make the database as it is when it was just made, with another identifier."""
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            if table is not deployment:
                connection.execute(delete(table))
        anew = {
            "cluster_id": secrets.token_hex(16),
            "seeded": False,
            "credentials": 0,
            "closed": "",
            "moved_to": "",
            "mover": "",
            "sealing": None,
        }
        connection.execute(update(deployment).values(anew))


def open_here(
    configuration: ServerConfiguration, clock: Callable[[], float] | None = None, engine: Engine | None = None
) -> SqlPersister:
    """Return a persister whose calls are made at once, in the caller's thread."""
    dialect = dialect_of(configuration)
    database = ServerDatabase(engine or server_engine(configuration), dialect)
    if clock is not None:
        database.clock = lambda _: clock()
    return SqlPersister(database, execute)


@define(eq=False)
class ServerFixture:
    """Persisters on one database, each with connections of its own."""

    configuration: ServerConfiguration
    clock: Clock = field(factory=Clock)
    _opened: list[SqlPersister] = field(factory=list, init=False)

    @classmethod
    def of(cls, test: SynchronousTestCase, driver: str) -> ServerFixture:
        """Return the fixture of a test, closed at its end."""
        fixture = cls(shared_database(driver))
        empty(fixture.engine)
        test.addCleanup(fixture.close)
        return fixture

    @property
    def engine(self) -> Engine:
        """An engine that all tests of the process share."""
        key = self.configuration.driver
        if key not in _engines:
            _engines[key] = server_engine(self.configuration, connections=16)
        return _engines[key]

    def persister(self) -> SqlPersister:
        """Return another persister on the same database."""
        opened = open_here(self.configuration, self.clock.seconds, self.engine)
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        """Forget all persisters."""
        self._opened.clear()

    def restart(self) -> SqlPersister:
        """Begin anew, as a new process does."""
        self.close()
        check_server(self.configuration)
        self.engine.dispose()
        return self.persister()

    def wait(self, deferred: Deferred[Any]) -> None:
        """Do nothing: the calls are made at once."""

    def race(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls at once, each in a thread of its own."""
        return at_once(calls)


#: One engine for each driver, since a connection takes longer than many a test.
_engines: dict[str, Engine] = {}
