"""Statements that change rows, compiled once and handed to the driver."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, create_engine, delete, event, insert, null, select, update
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import IntegrityError
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters.statements import _compiled, fetch, reader, run
from dockerbroker.persisters.tables import conditions, hosts, images, instances, metadata

INSERT = insert(images).inline()
UPDATE = update(images).where(images.c.name == bindparam("image"))
LET_GO = (
    update(instances)
    .where(instances.c.id == bindparam("instance"), instances.c.image_name != "static")
    .values(operation_id=null())
)


def image(name: str, document: str = "{}") -> dict[str, Any]:
    """Return a row."""
    return {"name": name, "document": document, "secret": "{}"}


class FetchTests(SynchronousTestCase):
    """Statements that find rows."""

    def test_converted(self) -> None:
        """A row is read by the types of its columns: what is text, number or truth value is so again."""
        connection = create_engine("sqlite://").connect()
        self.addCleanup(connection.engine.dispose)
        self.addCleanup(connection.close)
        metadata.create_all(connection)
        row = {
            "service_host": "h",
            "docker_host": "d",
            "docker_port": 1,
            "document": "{}",
            "is_cordoned": True,
            "pinged_at": 1.5,
        }
        connection.execute(insert(hosts).values(row))
        finding = select(hosts).where(hosts.c.docker_port == bindparam("port"))
        [found] = fetch(connection, finding, {"port": 1})
        read = reader(finding, connection.dialect)(found)
        self.assertEqual({key: read[key] for key in row}, row)
        self.assertIs(read["is_cordoned"], True)
        self.assertIsNone(read["vitals"])
        self.assertEqual(fetch(connection, finding, {"port": 2}), [])


class RunTests(SynchronousTestCase):
    """Statements on SQLite, whose parameters have no names."""

    def setUp(self) -> None:
        """Open a database in memory."""
        engine = create_engine("sqlite://")
        self.addCleanup(engine.dispose)
        metadata.create_all(engine)
        self.connection: Connection = engine.connect()
        self.addCleanup(self.connection.close)

    def documents(self) -> dict[str, str]:
        """Return the documents that are stored, by their names."""
        rows = self.connection.exec_driver_sql("SELECT name, document FROM images")
        return {row.name: row.document for row in rows}

    def test_one(self) -> None:
        """A statement is run with its parameters, in whatever order they are given."""
        run(self.connection, INSERT, {"secret": "{}", "name": "a", "document": "1"})
        run(self.connection, INSERT, image("b", "2"))
        changed = run(self.connection, UPDATE, {"image": "b", "document": "3"})
        self.assertEqual(changed.rowcount, 1)
        self.assertEqual(self.documents(), {"a": "1", "b": "3"})

    def test_columns(self) -> None:
        """Only those columns are written that are given."""
        run(self.connection, INSERT, image("a", "1"))
        run(self.connection, UPDATE, {"image": "a", "secret": "new"})
        run(self.connection, UPDATE, {"image": "a", "name": "b"})
        rows = self.connection.exec_driver_sql("SELECT * FROM images").all()
        self.assertEqual([tuple(row) for row in rows], [("b", "1", "new")])

    def test_several(self) -> None:
        """A statement is run once for each of several parameters."""
        run(self.connection, INSERT, [image("a"), image("b"), image("c")])
        self.assertEqual(list(self.documents()), ["a", "b", "c"])

    def test_constants(self) -> None:
        """What the statement itself compares with and writes needs not be given."""
        made = {"last_operation_id": "o", "operation_id": "o", "document": "{}", "secret": "{}"}
        made["reserved"] = "{}"
        for instance_id, name in (("i1", "redis"), ("i2", "static")):
            run(self.connection, insert(instances).inline(), {"id": instance_id, "image_name": name, **made})
        changed = [run(self.connection, LET_GO, {"instance": one}).rowcount for one in ("i1", "i2", "i3")]
        self.assertEqual(changed, [1, 0, 0])

    def test_refused(self) -> None:
        """What a unique key refuses is told as SQLAlchemy does."""
        run(self.connection, INSERT, image("a"))
        with self.assertRaises(IntegrityError):
            run(self.connection, INSERT, image("a"))

    def test_once(self) -> None:
        """A statement is compiled once for all that is written by it."""
        statement = delete(conditions).where(conditions.c.instance_id == bindparam("instance"))
        before = _compiled.cache_info().misses
        for number in range(5):
            run(self.connection, statement, {"instance": str(number)})
        self.assertEqual(_compiled.cache_info().misses, before + 1)

    def test_seen(self) -> None:
        """Whoever watches the engine's statements sees these, too."""
        seen: list[str] = []
        event.listen(self.connection.engine, "before_cursor_execute", lambda *words: seen.append(words[2]))
        run(self.connection, UPDATE, {"image": "b", "document": "3"})
        self.assertEqual(seen, ["UPDATE images SET document=? WHERE images.name = ?"])


class NamedTests(SynchronousTestCase):
    """Statements for drivers whose parameters have names."""

    def test_names(self) -> None:
        """The driver is given what was given, and the statement's own constants."""
        for dialect in (PGDialect_psycopg(), MySQLDialect_pymysql(paramstyle="pyformat")):
            compiled = _compiled(LET_GO, dialect, ("instance",))
            self.assertIsNone(compiled.names)
            self.assertEqual(
                compiled.arguments({"instance": "i1"}), {"instance": "i1", "image_name_1": "static"}
            )
