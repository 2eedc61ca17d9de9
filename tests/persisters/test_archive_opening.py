"""Databases that no broker may use any more are refused when they are opened, whatever their kind."""

from __future__ import annotations

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import PersisterConfiguration, ServerConfiguration, SqliteConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters.archive import Closed, IArchive, obstacle
from dockerbroker.persisters.archive_sql import SqlArchive
from dockerbroker.persisters.opening import archive_of, check
from dockerbroker.persisters.redis.archive import RedisArchive
from dockerbroker.persisters.redis.opening import at_once, open_blocking
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import boot_time
from tests.persisters.files import open_here, temporary_folder
from tests.persisters.server_fixture import open_here as open_on_server
from tests.servers import server


class OpeningTests(SynchronousTestCase):
    """Closed databases."""

    def refusals(self, configuration: PersisterConfiguration, archive: IArchive) -> None:
        """Close the database for every reason, and check that it is refused for it."""
        check(configuration)
        for closed, fragment in (
            (Closed.MOVED, "was moved to there \u00fc; name that one."),
            (Closed.MOVING, "is being moved to there \u00fc; run dockerbroker migrate-state again"),
            (Closed.FILLING, "was not filled to the end by dockerbroker migrate-state; run that again."),
        ):
            self.close(archive, closed)
            error = self.assertRaises(InvalidConfiguration, check, configuration)
            self.assertIn(fragment, error.description)
            self.assertTrue(error.description.startswith("persister."), error.description)
            check(configuration, closed=True)
        self.close(archive, Closed.NO)
        check(configuration)

    def close(self, archive: IArchive, closed: Closed) -> None:
        """Close the database."""
        self.successResultOf(Deferred.fromCoroutine(archive.close(closed, "there \u00fc")))

    def whole(self, persister: SqlPersister) -> SqlArchive:
        """Return the whole of the persister's database."""
        self.addCleanup(persister.database.close)
        self.assertIsInstance(archive_of(persister), SqlArchive)
        return SqlArchive(persister.database, execute)

    def test_sqlite(self) -> None:
        """A file of SQLite."""
        path = temporary_folder(self) / "broker.db"
        configuration = SqliteConfiguration(database=path)
        check(configuration)
        self.refusals(configuration, self.whole(open_here(path, boot_time)))

    def test_mysql(self) -> None:
        """A database of MySQL or MariaDB."""
        self.on_server(server("mysql").new_database())

    def test_postgresql(self) -> None:
        """A database of PostgreSQL."""
        self.on_server(server("postgresql").new_database())

    def on_server(self, configuration: ServerConfiguration) -> None:
        """Check a new database."""
        check(configuration)
        self.refusals(configuration, self.whole(open_on_server(configuration)))

    def test_redis(self) -> None:
        """A database of Redis."""
        configuration = server("redis").new_database()
        persister = at_once(open_blocking(configuration))
        self.addCleanup(lambda: at_once(persister.close()))
        archive = archive_of(persister)
        self.assertIsInstance(archive, RedisArchive)
        self.refusals(configuration, archive)

    def test_reasons(self) -> None:
        """An open database has none; where the records are may be unknown."""
        self.assertIsNone(obstacle("", "there"))
        self.assertEqual(obstacle("moved", ""), "was moved to another one; name that one")
