"""A database server that cannot be used is one sentence that says what to do."""

from __future__ import annotations

from typing import ClassVar

from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.opening import check
from tests.persisters import refusals_case
from tests.servers.common import USER, Options
from tests.servers.mariadb import MariaDbServer


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


class RedisTests(refusals_case.RefusalsContract):
    """Redis."""

    driver: ClassVar[str] = "redis"


class RedisTlsTests(refusals_case.TlsRefusalsContract):
    """TLS of Redis."""

    driver: ClassVar[str] = "redis"
