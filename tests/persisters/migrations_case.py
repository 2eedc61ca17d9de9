"""How the schema grows on a SQL server: all at once, or begun anew; and what newer versions may add."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, event, func, select
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters import schema
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.opening import check
from dockerbroker.persisters.tables import deployment, metadata
from tests.memory_persister import MemoryPersister
from tests.persisters.lives import Life
from tests.persisters.server_fixture import open_here, server_engine
from tests.persisters.values import HERE, THERE
from tests.servers import server

#: What writes, by the first word of a statement.
_CHANGES = {"CREATE", "DROP", "ALTER", "INSERT", "UPDATE", "DELETE"}


class Interrupted(Exception):
    """What ends a migration in its midst, as the end of its process does."""


@contextmanager
def interruption(at: int) -> Iterator[None]:
    """End whatever changes a database when it begins its `at`-th change; 0 is the first."""
    count = 0

    def look(*arguments: Any) -> None:
        nonlocal count
        if arguments[2].split()[0] in _CHANGES:
            if count == at:
                raise Interrupted
            count += 1

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", look)


async def contents(persister: IPersister) -> dict[str, Any]:
    """Return all that a database has."""
    instances = await persister.instances("", 999)
    return {
        "images": await persister.images(),
        "hosts": await persister.hosts(),
        "instances": instances,
        "bindings": [await persister.bindings(one.id) for one in instances],
        "operations": await persister.operations(unfinished=False, limit=999),
        "conditions": await persister.conditions(),
        "ports": [await persister.leased_ports(host) for host in (HERE, THERE)],
    }


class GrowthCase(SynchronousTestCase):
    """A database that a newer version has added something to."""

    def done(self, call: Any) -> Any:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def live(self, persister: IPersister, clock: Clock, grow: Any) -> None:
        """Lead a life on the database, half of it before it grows; all that it has is what memory has."""
        memory_clock = Clock()
        memory = MemoryPersister(memory_clock.seconds)
        for one, on in ((persister, clock), (memory, memory_clock)):
            self.done(Life(one, on).instance("old", 30000))
            self.done(Life(one, on).binding("old", "b"))
        grow()
        for one, on in ((persister, clock), (memory, memory_clock)):
            self.done(Life(one, on).lead())
            on.advance(1000)
            claimed = self.done(one.claim("heir", ttl=10))
            self.done(one.release(min(claimed, key=lambda operation: operation.id), delay=5))
            self.done(one.forget(10.0, 5))
        self.assertEqual(self.done(contents(persister)), self.done(contents(memory)))


class MigrationsCase(GrowthCase):
    """The schema of a database on a server of that driver."""

    driver: ClassVar[str]

    def setUp(self) -> None:
        """Begin with an empty database."""
        self.server = server(self.driver)
        self.configuration = self.server.new_database()

    def assert_whole(self, configuration: ServerConfiguration, *, compares: bool) -> None:
        """Check that the database is of this version, one deployment's and, if asked, as the tables say."""
        engine = server_engine(configuration, connections=1)
        try:
            with engine.connect() as connection:
                context = MigrationContext.configure(connection)
                self.assertEqual(context.get_current_heads(), tuple(schema.revisions()[-1:]))
                self.assertEqual(connection.execute(select(func.count()).select_from(deployment)).scalar(), 1)
                if compares:
                    self.assertEqual(compare_metadata(context, metadata), [])
        finally:
            engine.dispose()

    def test_interrupted(self) -> None:
        """A migration that was interrupted, wherever that was, is begun anew, as often as it must be."""
        at, was_interrupted = 0, True
        while was_interrupted:
            configuration = self.server.new_database()
            was_interrupted = self.interrupts(configuration, at)
            self.interrupts(configuration, 1)
            check(configuration)
            # It takes longer than the migration.
            self.assert_whole(configuration, compares=not was_interrupted)
            at += self.stride
        self.assertGreater(at, len(metadata.tables))

    #: Between the changes at which a migration is interrupted.
    stride: ClassVar[int] = 1

    def interrupts(self, configuration: ServerConfiguration, at: int) -> bool:
        """Check the database, interrupted at that change; whether it made so many."""
        try:
            with interruption(at):
                check(configuration)
        except Interrupted:
            return True
        return False

    def test_growth(self) -> None:
        """A broker goes on when a newer version has added columns, with the connections that it has."""
        check(self.configuration)
        clock = Clock()
        persister = open_here(self.configuration, clock.seconds)
        self.addCleanup(persister.database.close)

        def grow() -> None:
            for table in metadata.tables:
                self.server.admin(
                    f"ALTER TABLE {table} ADD COLUMN of_tomorrow INTEGER NOT NULL DEFAULT 7",
                    self.configuration.database,
                )
            self.server.admin("UPDATE alembic_version SET version_num = '9999'", self.configuration.database)

        self.live(persister, clock, grow)
