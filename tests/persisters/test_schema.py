"""The schema grows from nothing to what the tables say, once, silently, and never back."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.instances import Phase
from dockerbroker.persisters import migrations, schema
from dockerbroker.persisters.sqlite import SqliteDatabase, sqlite_engine
from dockerbroker.persisters.sqlite_opening import check_file
from dockerbroker.persisters.tables import deployment, metadata, operations
from tests.persisters.files import temporary_folder


class SchemaTests(SynchronousTestCase):
    """The upgrade of a database."""

    def setUp(self) -> None:
        """Make an empty file."""
        self.path = temporary_folder(self) / "broker.db"
        self.path.touch()
        self.database = SqliteDatabase(sqlite_engine(self.path, connections=1))
        self.addCleanup(self.database.close)

    def upgrade(self) -> None:
        """Upgrade as a start does."""
        with self.database.transaction("BEGIN IMMEDIATE", patience=1) as connection:
            schema.upgrade(connection)

    def test_as_the_tables_say(self) -> None:
        """The migrations make what `tables` describes."""
        self.upgrade()
        with self.database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            self.assertEqual(compare_metadata(context, metadata), [])
            made = connection.exec_driver_sql(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
            )
            found = {" ".join(str(row[0]).split()) for row in made}
        self.assertEqual(found, self.described())

    def described(self) -> set[str]:
        """Return the statements that make the tables as they are described."""
        folder = temporary_folder(self)
        (folder / "described.db").touch()
        other = SqliteDatabase(sqlite_engine(folder / "described.db", connections=1))
        self.addCleanup(other.close)
        with other.transaction("BEGIN IMMEDIATE", patience=1) as connection:
            metadata.create_all(connection)
            made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {" ".join(str(row[0]).split()) for row in made}

    def test_revisions(self) -> None:
        """The migrations follow one another in the order of their modules' names."""
        scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
        self.assertEqual([script.revision for script in scripts.walk_revisions()][::-1], schema.revisions())
        self.assertEqual(scripts.get_heads(), schema.revisions()[-1:])

    def test_again(self) -> None:
        """A second upgrade changes nothing."""
        self.upgrade()
        with self.database.engine.connect() as connection:
            before = connection.execute(select(deployment)).all()
        self.upgrade()
        with self.database.engine.connect() as connection:
            self.assertEqual(connection.execute(select(deployment)).all(), before)

    def test_all_or_nothing(self) -> None:
        """An upgrade that is interrupted leaves nothing."""

        def interrupted() -> None:
            with self.database.transaction("BEGIN IMMEDIATE", patience=1) as connection:
                schema.upgrade(connection)
                raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, interrupted)
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT name FROM sqlite_master").fetchall(), [])
        self.upgrade()

    def test_newer(self) -> None:
        """A database of a newer version is refused, and not touched."""
        self.upgrade()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
        error = self.assertRaises(InvalidConfiguration, self.upgrade)
        self.assertIn("newer version", error.description)
        self.assertIn("9999", error.description)

    def test_other_program(self) -> None:
        """A database with tables of another program is refused, and not touched."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE images (id)")
        error = self.assertRaises(InvalidConfiguration, self.upgrade)
        self.assertIn("another program", error.description)
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT name FROM sqlite_master").fetchall(), [("images",)])

    def test_logging(self) -> None:
        """An upgrade leaves the configuration of logging alone."""
        root = logging.getLogger()
        before = (root.level, list(root.handlers), logging.getLogger("alembic").level)
        self.upgrade()
        self.assertEqual((root.level, list(root.handlers), logging.getLogger("alembic").level), before)

    def test_one_deployment(self) -> None:
        """The database describes one deployment, never two."""
        self.upgrade()
        with self.database.engine.connect() as connection:
            second = insert(deployment).values(id=2, cluster_id="x", created_at=0)
            self.assertRaises(IntegrityError, connection.execute, second)


class OperationsTableTests(SynchronousTestCase):
    """What the table of operations refuses, whoever writes it."""

    def setUp(self) -> None:
        """Store an operation under way."""
        path = temporary_folder(self) / "broker.db"
        check_file(path)
        engine = sqlite_engine(path, connections=1)
        self.addCleanup(engine.dispose)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        row = {"id": "o1", "instance_id": "i1", "phase": Phase.FORWARD.value, "epoch": 1, "document": "{}"}
        held = {"owner": "one", "lease_until": 5.0, "is_over": False, "deadline": 9.0}
        self.connection.execute(insert(operations).values(**row, **held))

    def write(self, **columns: object) -> None:
        """Write columns of the operation."""
        self.connection.execute(update(operations).values(**columns))

    def test_over_is_unleased(self) -> None:
        """An operation that is over has no lease and no owner."""
        for phase in (Phase.SUCCEEDED, Phase.FAILED):
            over = {"phase": phase.value, "is_over": True}
            self.assertRaises(IntegrityError, self.write, **over)
            self.assertRaises(IntegrityError, self.write, **over, lease_until=None)
            self.assertRaises(IntegrityError, self.write, **over, owner=None)
        self.write(phase=Phase.FAILED.value, is_over=True, owner=None, lease_until=None)

    def test_is_over(self) -> None:
        """The column `is_over` says what the phase says."""
        ended = {"owner": None, "lease_until": None}
        self.assertRaises(IntegrityError, self.write, is_over=True, **ended)
        self.assertRaises(IntegrityError, self.write, phase=Phase.SUCCEEDED.value, **ended)

    def test_unfinished_is_leased(self) -> None:
        """An operation that is not over has a lease, so that it is found."""
        self.assertRaises(IntegrityError, self.write, lease_until=None)
        self.assertRaises(IntegrityError, self.write, lease_until=None, owner=None)
