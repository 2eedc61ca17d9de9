"""The schema of databases on servers: interrupted migrations, and what newer versions add."""

from __future__ import annotations

from typing import Final

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters.opening import check
from tests.persisters import migrations_case
from tests.persisters.redis_fixture import BlockingRedisFixture
from tests.servers import server

#: The kinds of Redis's keys that hold one record each.
_RECORDS: Final = ("deployment", "instance:", "binding:", "operation:", "host:", "image:")


class MysqlMigrationsTests(migrations_case.MigrationsCase):
    """MySQL, where each change of the schema lasts."""

    driver = "mysql"
    stride = 3


class PostgresqlMigrationsTests(migrations_case.MigrationsCase):
    """PostgreSQL, where a migration is one transaction."""

    driver = "postgresql"
    stride = 9


class RedisGrowthTests(migrations_case.GrowthCase):
    """Redis, whose records have no schema but a version."""

    def setUp(self) -> None:
        """Begin with an empty database."""
        self.fixture = BlockingRedisFixture.of(self)
        self.client = server("redis").connect()
        self.addCleanup(self.client.close)
        self.base = f"{{{self.fixture.configuration.prefix}}}:"

    def records(self) -> list[str]:
        """Return the names of the keys of all records."""
        found = self.client.scan_iter(match=f"{self.base}*", count=1000)
        return sorted(name for name in found if name.removeprefix(self.base).startswith(_RECORDS))

    def test_growth(self) -> None:
        """A broker goes on when a newer version has added fields to the records, and keeps them."""
        grown: list[str] = []

        def grow() -> None:
            grown.extend(self.records())
            for name in grown:
                self.client.hset(name, "of_tomorrow", "7")

        self.live(self.fixture.persister(), self.fixture.clock, grow)
        self.assertGreater(len(grown), 4)
        kept = [name for name in self.records() if self.client.hget(name, "of_tomorrow") == "7"]
        self.assertLessEqual({name for name in grown if "operation:" not in name}, set(kept))

    def test_newer(self) -> None:
        """A database that a newer version has changed in another way is refused, and left as it is."""
        self.client.hset(f"{self.base}deployment", "schema", "2")
        error = self.assertRaises(InvalidConfiguration, check, self.fixture.configuration)
        self.assertIn("newer version", error.description)
        self.assertEqual(self.client.hget(f"{self.base}deployment", "schema"), "2")

    def test_other_program(self) -> None:
        """Keys of another program under the prefix are left alone."""
        self.client.delete(f"{self.base}deployment")
        self.client.set(f"{self.base}session:1", "of another")
        error = self.assertRaises(InvalidConfiguration, check, self.fixture.configuration)
        self.assertIn("another program", error.description)
        self.assertEqual(list(self.client.scan_iter(match=f"{self.base}*")), [f"{self.base}session:1"])
