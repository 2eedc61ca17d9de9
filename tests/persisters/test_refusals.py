"""A database server that cannot be used is one sentence that says what to do."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

from attrs import define
from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import Tls
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.mysql import MysqlDialect
from dockerbroker.persisters.opening import check
from dockerbroker.persisters.postgresql import PostgresqlDialect
from tests.persisters import refusals_case
from tests.servers.common import USER, Options
from tests.servers.mariadb import MariaDbServer

#: How a server greets: version, number of the connection, and what it can, but for what it signs.
_GREETING = (
    b"\x0a8.4.0\0\x01\0\0\0" + b"s" * 8 + b"\0\xff\xf7\x21\x02\0\xff\x81\x15" + bytes(10) + b"s" * 12 + b"\0"
)


@contextmanager
def server_that_asks_for(plugin: bytes) -> Iterator[int]:
    """Run what greets as MySQL does, and wants users to prove themselves by that plugin; returns its port."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    for number, said in (
                        (0, _GREETING + b"mysql_native_password\0"),
                        (2, b"\xfe" + plugin + b"\0" + b"s" * 32 + b"\0"),
                    ):
                        connection.sendall(len(said).to_bytes(3, "little") + bytes([number]) + said)
                        connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


class MysqlTests(refusals_case.RefusalsContract):
    """MySQL and MariaDB."""

    driver: ClassVar[str] = "mysql"


class MysqlTlsTests(refusals_case.TlsRefusalsContract):
    """TLS of MySQL and MariaDB."""

    driver: ClassVar[str] = "mysql"


class MysqlDatabaseTests(refusals_case.SqlRefusalsContract):
    """Databases and rights of MySQL and MariaDB."""

    driver: ClassVar[str] = "mysql"

    def test_right(self) -> None:
        """What the user may not do is named."""
        self.server.admin(f"REVOKE CREATE ON `{self.good.database}`.* FROM {USER}@'%'")
        self.refused("user", self.wrong(), "grant what is missing", "CREATE command denied")

    def test_running_rights(self) -> None:
        """Each right that a broker always needs is looked for, also when there is nothing to migrate."""
        check(self.good)
        self.server.admin(f"GRANT SELECT ON `{self.good.database}`.* TO lesser@'%' IDENTIFIED BY 'p4ss'")
        self.good = self.wrong(user="lesser", password=Secret("p4ss"))
        for right in ("INSERT", "UPDATE", "DELETE"):
            self.refused("user", self.good, f"{right} command denied")
            self.server.admin(f"GRANT {right} ON `{self.good.database}`.* TO lesser@'%'")
        check(self.good)

    def test_ways_of_proving(self) -> None:
        """A user is told of that has no password, or must prove itself as this program cannot."""
        for user, way in (("socket", "unix_socket"), ("old", "mysql_old_password")):
            self.server.admin(f"CREATE USER {user}@'%' IDENTIFIED VIA {way}")
            self.refused("user", self.wrong(user=user), "give the user a password")
        for plugin in (b"client_ed25519", b"authentication_of_tomorrow"):
            with server_that_asks_for(plugin) as port:
                self.refused("user", self.wrong(port=port), "give the user a password")

    def test_no_module(self) -> None:
        """Without PyMySQL it is said how to install it."""
        said = self.without("pymysql")
        self.assertRegex(said, r"^persister\.driver: mysql needs PyMySQL, which is not installed")
        self.assertIn("run pip install 'dockerbroker[mysql]'", said)


class MysqlServerTests(refusals_case.RefusalsTestCase):
    """Servers of MySQL and MariaDB that brokers cannot use."""

    driver: ClassVar[str] = "mysql"

    def begin(self, *words: str) -> None:
        """Run a server with these options."""

        class Odd(MariaDbServer):
            def command(self) -> list[str]:
                return [word for word in super().command() if word != "--skip-log-bin"] + list(words)

        private = Odd.begin(Options())
        self.addCleanup(private.end)
        self.good = private.configuration()

    def test_old(self) -> None:
        """A server that is too old is named with its version."""
        self.begin("--version=5.5.62")
        self.refused("host", self.wrong(), "MySQL 5.5.62", "too old; upgrade it")

    def test_statement_log(self) -> None:
        """A binary log of statements cannot have what brokers write."""
        self.begin("--log-bin", "--binlog-format=STATEMENT")
        self.refused("host", self.wrong(), "set binlog_format of the server to MIXED or ROW")

    def test_odd_defaults(self) -> None:
        """Whatever the defaults of a server are for tables, the broker's are as they must be."""
        self.begin("--innodb-default-row-format=compact", "--character-set-server=latin1", "--sql-mode=")
        check(self.good)


class PostgresqlTests(refusals_case.RefusalsContract):
    """PostgreSQL."""

    driver: ClassVar[str] = "postgresql"


class PostgresqlTlsTests(refusals_case.TlsRefusalsContract):
    """TLS of PostgreSQL."""

    driver: ClassVar[str] = "postgresql"

    def test_file_of_system(self) -> None:
        """The authorities of the system are those of Python: the OpenSSL that comes with psycopg has none."""
        self.good = self.begin().configuration()
        tls = self.good.tls
        assert tls is not None
        # Only Python sees this one.
        self.patch(os, "environ", dict(os.environ) | {"SSL_CERT_FILE": str(tls.ca)})
        check(self.wrong(tls=Tls()))


class PostgresqlDatabaseTests(refusals_case.SqlRefusalsContract):
    """Databases and rights of PostgreSQL."""

    driver: ClassVar[str] = "postgresql"

    def grant_reading(self) -> None:
        """Let the broker read what the administrator has made."""
        self.server.admin(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {USER}", self.good.database)

    def of_another(self, *statements: str) -> None:
        """Make a database that is not the broker's own, and run the statements in it."""
        name = f"{self.good.database}_other"
        self.server.admin(f"CREATE DATABASE {name} TEMPLATE template0")
        for statement in statements:
            self.server.admin(statement, name)
        self.good = self.wrong(database=name)

    def test_right(self) -> None:
        """What the user may not do is named."""
        self.of_another()
        self.refused("user", self.good, "grant what is missing: permission denied for schema public")

    def test_no_schema(self) -> None:
        """A user who may not even look into a schema is told so."""
        self.of_another("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
        self.refused("user", self.good, "no schema has been selected")

    def test_no_entrance(self) -> None:
        """A database that the user may not enter is told of."""
        self.of_another()
        self.server.admin(f"REVOKE ALL ON DATABASE {self.good.database} FROM PUBLIC")
        self.refused("user", self.good, "permission denied for database")

    def test_running_rights(self) -> None:
        """Each right that a broker always needs is looked for, also when there is nothing to migrate."""
        self.of_another("GRANT CREATE ON SCHEMA public TO PUBLIC")
        check(self.good)
        database = self.good.database
        # This takes databases away as well, those of other tests included.
        owned = self.server.admin("SELECT datname, pg_get_userbyid(datdba) FROM pg_database")
        for name, owner in owned:
            if owner == USER:
                self.addCleanup(self.server.admin, f"ALTER DATABASE {name} OWNER TO {USER}")
        self.server.admin(f"REASSIGN OWNED BY {USER} TO admin", database)
        steps = ("SELECT ON ALL TABLES", "USAGE ON ALL SEQUENCES", "INSERT ON ALL TABLES")
        for step in (*steps, "UPDATE ON ALL TABLES", "DELETE ON ALL TABLES"):
            self.refused("user", self.good, "permission denied for ")
            self.server.admin(f"GRANT {step} IN SCHEMA public TO {USER}", database)
        check(self.good)

    def test_encoding(self) -> None:
        """A database that cannot hold all characters is told of."""
        for encoding in ("LATIN1", "SQL_ASCII"):
            name = f"{self.good.database}_{encoding.lower()}"
            options = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
            self.server.admin(f"CREATE DATABASE {name} OWNER {USER} {options}")
            self.refused("database", self.wrong(database=name), encoding, "ENCODING 'UTF8'")

    def test_no_module(self) -> None:
        """Without psycopg it is said how to install it."""
        said = self.without("psycopg")
        self.assertRegex(said, r"^persister\.driver: postgresql needs psycopg, which is not installed")
        self.assertIn("run pip install 'dockerbroker[postgresql]'", said)


@define(eq=False)
class Telling:
    """A connection to a server that answers every query with the same."""

    _answer: str

    def execute(self, _: object) -> Telling:
        """Answer."""
        return self

    def scalar_one(self) -> str:
        """Return the answer."""
        return self._answer


class VersionTests(SynchronousTestCase):
    """The versions of servers that brokers run on."""

    def test_mysql(self) -> None:
        """MySQL must be 8.0.16 and MariaDB 10.6, or newer."""
        for told, too_old in (
            ("5.7.44-log", "MySQL 5.7.44"),
            ("8.0.15", "MySQL 8.0.15"),
            ("8.0.16-0ubuntu0", None),
            ("9.4.0", None),
            ("10.5.29-MariaDB-0+deb11u1", "MariaDB 10.5.29"),
            ("10.6.0-MariaDB", None),
            ("11.8.2-MariaDB-log", None),
        ):
            self.assertEqual(MysqlDialect().too_old(cast("Connection", Telling(told))), too_old)

    def test_postgresql(self) -> None:
        """PostgreSQL must be 13 or newer."""
        for told, too_old in (("90624", "PostgreSQL 9"), ("120022", "PostgreSQL 12"), ("130000", None)):
            self.assertEqual(PostgresqlDialect().too_old(cast("Connection", Telling(told))), too_old)


class RedisTests(refusals_case.RefusalsContract):
    """Redis."""

    driver: ClassVar[str] = "redis"


class RedisTlsTests(refusals_case.TlsRefusalsContract):
    """TLS of Redis."""

    driver: ClassVar[str] = "redis"
