"""What `docs/databases.md` tells operators to write and to run works, and less would not do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config import load_broker
from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters import mysql, postgresql, servers, sqlite, troubles
from dockerbroker.persisters.databases import Trouble
from dockerbroker.persisters.opening import check, open_persister
from dockerbroker.persisters.redis import troubles as redis_troubles
from tests.configurations import broker_document, written
from tests.faults.case import FaultTestCase
from tests.persisters.documented_servers import (
    HOST,
    PAGE,
    DocumentedMariaDb,
    DocumentedPostgreSql,
    DocumentedRedis,
    run,
)
from tests.persisters.files import temporary_folder
from tests.real_engine import require
from tests.servers.common import Options
from tests.servers.machine import MissingProgram, program

NAME = "dockerbroker"


class DocumentedTestCase(FaultTestCase):
    """Backups and what comes back of them."""

    def setUp(self) -> None:
        """Make a folder."""
        self.folder = temporary_folder(self)

    def configuration(self, section: str, **changes: Any) -> Any:
        """Return the documented configuration as it is read from a file, with those members changed."""
        persister = json.loads(PAGE.block(section, "Set-up", "json")) | changes
        return load_broker(written(self.folder, broker_document() | {"persister": persister}), {}).persister

    def require(self, *names: str) -> None:
        """Skip the test when none of the programs is installed, or fail where backends are required."""
        try:
            program(*names)
        except MissingProgram as missing:
            require(backend_available=False, reason=str(missing))

    def start(self) -> None:
        """Start what has ended."""

    async def check_backup(self, configuration: Any, backup: Any, restore: Any) -> None:
        """Check that a backup holds what there was when it was made, and that this comes back."""
        persister = await self.open(configuration)
        await self.work(persister, "before")
        cluster_id = await persister.cluster_id()
        await deferToThread(backup)
        await self.work(persister, "after")
        await persister.close()
        await deferToThread(restore)
        self.start()
        persister = await self.open(configuration, "another")
        self.assertEqual(await self.call(persister.cluster_id()), cluster_id)
        self.assertIsNotNone(await self.call(persister.operation("before")))
        self.assertIsNone(await self.call(persister.operation("after")))
        await self.work(persister, "after")


class SqliteTests(DocumentedTestCase):
    """SQLite."""

    async def open(self, configuration: Any, broker: str = "one") -> Any:
        """Return the persister of a broker, closed when the test is over."""
        check(configuration)
        pool = ThreadPool(0, 2)
        pool.start()
        self.addCleanup(pool.stop)
        persister = await open_persister(reactor, configuration, pool, broker=broker)
        self.addCleanup(lambda: Deferred.fromCoroutine(persister.close()))
        return persister

    async def test_backup(self) -> None:
        """A backup of a file that is being used is whole, and can take its place."""
        self.require("sqlite3")
        moved = {"/var/lib/dockerbroker": self.folder, "/var/backups": temporary_folder(self)}
        database = "/var/lib/dockerbroker/broker.db"
        configuration = self.configuration("SQLite", database=f"{self.folder}/broker.db")
        self.assertEqual(self.configuration("SQLite").database, Path(database))

        def do(label: str) -> None:
            text = PAGE.block("SQLite", label, "sh")
            for path, place in moved.items():
                text = text.replace(path, str(place))
            run(text, self.folder, {})

        await self.check_backup(configuration, lambda: do("Backup"), lambda: do("Restoring"))


class ServerTestCase(DocumentedTestCase):
    """A server that is set up as the page says."""

    kind: ClassVar[Any]

    def setUp(self) -> None:
        """Start the server."""
        super().setUp()
        try:
            self.server = self.kind.begin(Options(tls=True))
        except MissingProgram as missing:
            require(backend_available=False, reason=str(missing))
        self.addCleanup(self.server.end)
        self.good = self.documented()

    def documented(self) -> ServerConfiguration:
        """Return the documented configuration, where the server is another one than there."""
        ca = {"ca": str(self.server.tls / "ca.pem")}
        section = self.kind.section
        text = json.loads(PAGE.block(section, "Set-up", "json"))
        self.assertEqual((text["host"], text["tls"].keys()), (HOST, ca.keys()))
        configuration = self.configuration(section, host="127.0.0.1", port=self.server.port, tls=ca)
        assert isinstance(configuration, ServerConfiguration)
        return configuration

    def start(self) -> None:
        """Start the server again."""
        if not self.server.running:
            self.server.start()

    def do(self, label: str) -> None:
        """Run what the page has there."""
        self.server.do(PAGE.block(self.kind.section, label, "sh"), self.folder)

    def refused(self, configuration: ServerConfiguration, lacking: str) -> None:
        """Check that the user is refused by one sentence that says what is lacking."""
        error = self.assertRaises(InvalidConfiguration, check, configuration)
        self.assertRegex(error.description, rf"\Apersister\.user: [^\n]+; [^\n]*{lacking}[^\n]*\.\Z")


class MariaDbTests(ServerTestCase):
    """MySQL and MariaDB."""

    kind = DocumentedMariaDb
    #: MySQL wants the first where MariaDB does not, and later versions of the broker the second.
    unasked: ClassVar[set[str]] = {"REFERENCES", "ALTER"}

    def set_up(self) -> None:
        """Do as the page says."""
        for statement in self.server.statements("Set-up"):
            self.server.admin(statement)

    async def test_set_up(self) -> None:
        """A broker works with the documented statements, and with less rights when its tables are there."""
        self.set_up()
        persister = await self.open(self.good)
        await self.work(persister, "one")
        [reduction] = self.server.statements("Less rights")
        self.server.admin(reduction)
        check(self.good)
        await self.work(persister, "two")

    def test_each_right(self) -> None:
        """Without any one of the rights the broker says which one is missing."""
        database, user, grant = self.server.statements("Set-up")
        found = re.search("GRANT (.+) ON", grant)
        assert found is not None
        rights = found[1].split(", ")
        for right in set(rights) - self.unasked:
            name = f"without_{right.lower()}"
            less = grant.replace(found[1], ", ".join(one for one in rights if one != right))
            for statement in (database, user, less):
                self.server.admin(statement.replace(NAME, name))
            configuration = evolve(self.good, user=name, database=name)
            if right == "DROP":
                check(configuration)
                # What a first start has left that was interrupted.
                for table in ("deployment", "alembic_version"):
                    self.server.admin(f"TRUNCATE TABLE {name}.{table}")
            self.refused(configuration, f"{right} command denied")

    async def test_backup(self) -> None:
        """A backup can be made while brokers run, and restored."""
        self.require("mariadb-dump", "mysqldump")
        self.set_up()
        await self.check_backup(self.good, lambda: self.do("Backup"), lambda: self.do("Restoring"))


class PostgreSqlTests(ServerTestCase):
    """PostgreSQL."""

    kind = DocumentedPostgreSql

    def set_up(self) -> None:
        """Do as the page says."""
        for statement in self.server.statements("Set-up"):
            self.server.admin(statement)

    async def test_set_up(self) -> None:
        """A broker works with the documented statements, and over TLS alone."""
        self.set_up()
        await self.work(await self.open(self.good), "one")

    def foreign(self) -> None:
        """Make the database anew, of somebody else, and with a schema into which nobody may look."""
        self.server.admin(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        self.server.admin(f"CREATE DATABASE {NAME} TEMPLATE template0")
        self.server.admin("REVOKE ALL ON SCHEMA public FROM PUBLIC", NAME)

    async def test_less_rights(self) -> None:
        """Less rights do as well; whichever is missing is named."""
        role, *_ = self.server.statements("Set-up")
        self.server.admin(role)
        schema, making, *using = self.server.statements("Less rights")
        for statement in (schema, making):
            self.foreign()
            self.refused(self.good, "schema")
            self.server.admin(statement, NAME)
            await self.work(await self.open(self.good), "one")
        self.server.admin(f"REASSIGN OWNED BY {NAME} TO CURRENT_USER", NAME)
        self.server.admin(f"REVOKE ALL ON SCHEMA public FROM {NAME}", NAME)
        for statement, lacking in zip(using, ("schema", "alembic_version", "sequence"), strict=True):
            self.refused(self.good, lacking)
            self.server.admin(statement, NAME)
        await self.work(await self.open(self.good), "two")

    async def test_backup(self) -> None:
        """A backup can be made while brokers run, and restored."""
        self.require("pg_dump")
        self.set_up()
        await self.check_backup(self.good, lambda: self.do("Backup"), lambda: self.do("Restoring"))
        self.server.admin("CREATE ROLE stranger")
        [(may_connect,)] = self.server.admin(
            f"SELECT has_database_privilege('stranger', '{NAME}', 'CONNECT')"
        )
        self.assertFalse(may_connect)


class RedisTests(ServerTestCase):
    """Redis."""

    kind = DocumentedRedis
    #: Without it there is a warning.
    unneeded: ClassVar[set[str]] = {"config|get"}

    async def test_set_up(self) -> None:
        """A broker works with the documented settings, and with those rights alone."""
        await self.work(await self.open(self.good), "one")
        *_, line = PAGE.blocks("Redis", "Set-up", "conf")[1].splitlines()
        self.assertEqual(line, f"user {NAME} on >change-me resetchannels {redis_troubles.rights(NAME)}")

    def test_each_right(self) -> None:
        """Without any one of the rights the broker says what it needs."""
        _, *commands = redis_troubles.rights(NAME).split()
        for command in {command.removeprefix("+") for command in commands} - self.unneeded:
            # Some are needed where there is nothing yet, or in another database than the first.
            self.server.admin("FLUSHALL")
            self.server.admin("SCRIPT FLUSH")
            self.server.admin(f"ACL SETUSER {NAME} -{command}")
            self.refused(evolve(self.good, database="1"), re.escape(f"+{command}"))
            self.server.admin(f"ACL SETUSER {NAME} +{command}")
        self.server.admin(f"ACL SETUSER {NAME} resetkeys ~other:*")
        self.refused(self.good, "broker's keys")

    async def test_backup(self) -> None:
        """A backup can be made while brokers run, and restored."""

        def restore() -> None:
            self.server.stop()
            self.do("Restoring")

        # Otherwise it waits five seconds for others that want the same.
        self.server.admin("CONFIG SET repl-diskless-sync-delay 0")
        await self.check_backup(self.good, lambda: self.do("Backup"), restore)


class SentencesTests(SynchronousTestCase):
    """What brokers say of their databases."""

    def test_complete(self) -> None:
        """The page explains every sentence."""
        for trouble in _troubles(troubles, mysql, postgresql, servers, sqlite, redis_troubles):
            self.assertIn(f"`{trouble.predicate}`", PAGE.text)


def _troubles(*modules: ModuleType) -> Iterator[Trouble]:
    for module in modules:
        for member in vars(module).values():
            for one in member.values() if isinstance(member, Mapping) else [member]:
                if isinstance(one, Trouble):
                    yield one
