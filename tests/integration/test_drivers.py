"""Brokers as real programs on database servers: two on one database, and servers that come and go."""

from tests.integration import drivers_case


class MysqlTests(drivers_case.TwoBrokers):
    """Two brokers on MariaDB, which stands for MySQL too."""

    driver = "mysql"


class PostgresqlTests(drivers_case.TwoBrokers):
    """Two brokers on PostgreSQL."""

    driver = "postgresql"


class RedisTests(drivers_case.TwoBrokers):
    """Two brokers on Redis."""

    driver = "redis"


class MysqlOutageTests(drivers_case.Outages):
    """A broker on MariaDB."""

    driver = "mysql"


class PostgresqlOutageTests(drivers_case.Outages):
    """A broker on PostgreSQL."""

    driver = "postgresql"


class RedisOutageTests(drivers_case.Outages):
    """A broker on Redis."""

    driver = "redis"
