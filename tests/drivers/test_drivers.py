"""Brokers as real programs on database servers: two on one database, and servers that come and go."""

from tests.drivers import case


class MysqlTests(case.TwoBrokers):
    """Two brokers on MariaDB, which stands for MySQL too."""

    driver = "mysql"


class PostgresqlTests(case.TwoBrokers):
    """Two brokers on PostgreSQL."""

    driver = "postgresql"


class RedisTests(case.TwoBrokers):
    """Two brokers on Redis."""

    driver = "redis"


class MysqlOutageTests(case.Outages):
    """A broker on MariaDB."""

    driver = "mysql"


class PostgresqlOutageTests(case.Outages):
    """A broker on PostgreSQL."""

    driver = "postgresql"


class RedisOutageTests(case.Outages):
    """A broker on Redis."""

    driver = "redis"
