"""The private servers and the proxy do what the tests with them rely on."""

from __future__ import annotations

import contextlib
import socket
from contextlib import closing
from typing import Any, ClassVar

import psycopg
import pymysql
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import ServerConfiguration
from tests.polling import PATIENCE, poll
from tests.programs import is_running
from tests.servers import DRIVERS, private_server, server
from tests.servers.common import ADMIN, Server
from tests.servers.proxy import Proxy

_FAILURES = (pymysql.err.Error, psycopg.Error, redis.RedisError, OSError)


def client(configuration: ServerConfiguration) -> Any:
    """Return a connection as the broker has it."""
    password = configuration.password.reveal()
    common: dict[str, Any] = {"host": configuration.host, "port": configuration.port}
    ca = str(configuration.tls.ca) if configuration.tls else None
    tls: dict[str, Any]
    if configuration.driver == "mysql":
        tls = {"ssl": {"ca": ca}} if ca else {"ssl_disabled": True}
        return pymysql.connect(
            user=configuration.user,
            password=password,
            database=configuration.database,
            autocommit=True,
            connect_timeout=10,
            read_timeout=10,
            **tls,
            **common,
        )
    if configuration.driver == "postgresql":
        tls = {"sslmode": "verify-full", "sslrootcert": ca} if ca else {"sslmode": "disable"}
        return psycopg.connect(
            user=configuration.user,
            password=password,
            dbname=configuration.database,
            autocommit=True,
            **tls,
            **common,
        )
    tls = {"ssl": True, "ssl_ca_certs": ca} if ca else {}
    return redis.Redis(
        username=configuration.user,
        password=password,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=10,
        **tls,
        **common,
    )


def write(configuration: ServerConfiguration, connection: Any, value: str) -> None:
    """Write something, durable when this returns."""
    if configuration.driver == "redis":
        connection.set(f"{configuration.prefix}:value", value)
        return
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS written (value VARCHAR(100))")
    cursor.execute("DELETE FROM written")
    cursor.execute("INSERT INTO written VALUES (%s)", (value,))


def read(configuration: ServerConfiguration) -> str:
    """Return what was written, over a new connection."""
    with closing(client(configuration)) as connection:
        if configuration.driver == "redis":
            return str(connection.get(f"{configuration.prefix}:value").decode())
        cursor = connection.cursor()
        cursor.execute("SELECT value FROM written")
        return str(cursor.fetchone()[0])


class _Tests:
    """What all servers can, for one driver."""

    driver: ClassVar[str]

    def begin(self, **options: Any) -> Server:
        """Return a private server."""
        assert isinstance(self, SynchronousTestCase)
        return private_server(self, self.driver, **options)

    def test_databases(self: Any) -> None:
        """Each database of the shared server is new, and the broker's own."""
        shared = server(self.driver)
        self.assertIs(shared, server(self.driver))
        one, two = shared.new_database(), shared.new_database(pool_size=2)
        self.assertEqual((one.pool_size, two.pool_size), (8, 2))
        for configuration, value in ((one, "one"), (two, "two")):
            with closing(client(configuration)) as connection:
                write(configuration, connection, value)
        self.assertEqual((read(one), read(two)), ("one", "two"))

    def test_killed(self: Any) -> None:
        """What was written is there after a kill, and after an end in good order."""
        private = self.begin()
        configuration = private.configuration()
        with closing(client(configuration)) as connection:
            write(configuration, connection, "kept")
        for end in (private.kill, private.stop):
            end()
            self.assertFalse(private.running)
            self.assertRaises(_FAILURES, read, configuration)
            private.start()
            self.assertEqual(read(configuration), "kept")

    def test_tls(self: Any) -> None:
        """A durable server with TLS proves who it is, and takes no other connections."""
        private = self.begin(tls=True, durable=True)
        configuration = private.configuration()
        with closing(client(configuration)) as connection:
            write(configuration, connection, "hidden")
        self.assertEqual(read(configuration), "hidden")
        self.assertRaises(_FAILURES, read, private.configuration(tls=None))

    def test_faults(self: Any) -> None:
        """Sessions are ended, writes are refused, and the disk gets full; all that passes."""
        private = self.begin(room=1 << 20)
        configuration = private.configuration()
        with closing(client(configuration)) as connection:
            write(configuration, connection, "one")
            if self.driver != "redis":
                private.end_sessions()
                self.assertRaises(_FAILURES, write, configuration, connection, "two")
        private.be_read_only()
        with closing(client(configuration)) as connection:
            self.assertRaises(_FAILURES, write, configuration, connection, "two")
        private.be_read_only(read_only=False)
        private.fill()
        with contextlib.suppress(*_FAILURES), closing(client(configuration)) as connection:
            for _ in range(500):
                write(configuration, connection, "two" * 30)
            self.fail("there is room")
        private.recover()
        with closing(client(configuration)) as connection:
            write(configuration, connection, "three")
        self.assertEqual(read(configuration), "three")

    def test_frozen(self: Any) -> None:
        """A frozen server says nothing, and goes on when it is thawed; its end leaves no process."""
        private = self.begin()
        configuration = private.configuration()
        with closing(client(configuration)) as connection:
            write(configuration, connection, "one")
        private.freeze()
        with socket.create_connection((configuration.host, configuration.port)) as probe:
            probe.settimeout(0.2)
            self.assertRaises(TimeoutError, probe.recv, 1)
        private.thaw()
        self.assertEqual(read(configuration), "one")
        pids = private.processes()
        private.end()
        poll(lambda: not any(is_running(pid) for pid in pids), lambda: f"of {pids} some run")
        self.assertFalse(private.folder.exists())


for _driver in DRIVERS:
    _name = f"{_driver.title()}Tests"
    globals()[_name] = type(
        _name, (_Tests, SynchronousTestCase), {"driver": _driver, "__module__": __name__, "__doc__": _driver}
    )


class ProxyTests(SynchronousTestCase):
    """The faults of a proxy in front of Redis."""

    def setUp(self) -> None:
        """Connect through a proxy."""
        self.server = server("redis")
        self.configuration = self.server.new_database()
        self.proxy = Proxy(self, self.configuration.port)
        self.client = self.connect()
        self.key = f"{self.configuration.prefix}:key"

    def connect(self, patience: float = PATIENCE) -> Any:
        """Return a client that goes through the proxy, waits so many seconds, and tries nothing twice."""
        made = redis.Redis(
            port=self.proxy.port,
            username=ADMIN,
            password=self.server.admin_password,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=patience,
            decode_responses=True,
        )
        self.addCleanup(made.close)
        return made

    def test_forward(self) -> None:
        """Without a fault everything passes, also a byte at a time."""
        self.client.set(self.key, "v" * 100_000)
        self.proxy.slice()
        self.assertEqual(self.client.strlen(self.key), 100_000)

    def test_hang(self) -> None:
        """Nothing passes while it hangs or while what passes is late."""
        impatient = self.connect(0.5)
        for fault in (self.proxy.hang, lambda: self.proxy.delay(60)):
            fault()
            self.assertRaises(redis.TimeoutError, impatient.ping)
            self.proxy.heal()
            self.assertTrue(self.connect().ping())

    def test_refuse(self) -> None:
        """Connections are reset, and new ones as well until that is healed."""
        self.client.ping()
        self.proxy.refuse()
        self.assertRaises(redis.ConnectionError, self.client.ping)
        self.assertRaises(redis.ConnectionError, self.connect().ping)
        self.proxy.heal()
        self.assertTrue(self.client.ping())
        self.proxy.reset_all()
        poll(lambda: not self.proxy.connections, lambda: f"{self.proxy.connections} are left")

    def test_lose_reply(self) -> None:
        """The reply is lost of what the server has done; or the request, which then has done nothing."""
        self.proxy.drop_replies_after(b"incr")
        self.assertRaises(redis.ConnectionError, self.client.incr, self.key)
        self.assertEqual(self.client.incr(self.key), 2)
        self.proxy.drop_replies_after(lambda data: b"INCR" in data, forward=False)
        self.assertRaises(redis.ConnectionError, self.client.incr, self.key)
        self.assertEqual((self.client.incr(self.key), self.proxy.lost), (3, 2))
