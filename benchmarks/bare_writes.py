"""The least that the two writes of an operation cost: their row changes by the bare driver, nothing decided.

The first inserts an instance, its port and its operation; the second ends the operation and lets go of the
instance. Each is one transaction, as durable as the broker's, that begins and ends on the reactor. What is
written was encoded before, nobody looks what is there, and no clock is asked. Each client has a connection of
its own.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import count
from time import perf_counter
from typing import Any, Final, Protocol
from uuid import uuid4

import psycopg
import pymysql
import txredisapi
from attrs import define, frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from benchmarks.filling import HOSTS
from dockerbroker.config.persister import PersisterConfiguration, ServerConfiguration, SqliteConfiguration

#: As long as those of a Redis.
_DOCUMENT: Final = "x" * 900
_SECRET: Final = "x" * 100
_OPERATION: Final = "x" * 220
_RESERVED: Final = "x" * 120

_INSERT_INSTANCE: Final = """
    INSERT INTO instances (id, image_name, operation_id, last_operation_id, document, secret, reserved)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_PORT: Final = """
    INSERT INTO port_leases (service_host, docker_host, docker_port, port, instance_id)
    VALUES (?, ?, ?, ?, ?)
"""
_INSERT_OPERATION: Final = """
    INSERT INTO operations
    (id, instance_id, kept_for, phase, is_over, epoch, owner, lease_until, deadline, document)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_END_OPERATION: Final = """
    UPDATE operations
    SET phase = ?, is_over = ?, finished_at = ?, document = ?, owner = NULL, lease_until = NULL
    WHERE id = ? AND epoch = 1 AND lease_until IS NOT NULL
"""
_LET_GO: Final = "UPDATE instances SET operation_id = NULL WHERE id = ? AND operation_id = ?"
#: The statements of each write, with the names of their parameters.
_BEGIN: Final = (
    (_INSERT_INSTANCE, ("instance", "image", "operation", "operation", "document", "secret", "reserved")),
    (_INSERT_PORT, ("host", "host", "one", "port", "instance")),
    (
        _INSERT_OPERATION,
        (
            *("operation", "instance", "instance", "running", "no", "one", "owner"),
            *("time", "time", "operation_document"),
        ),
    ),
)
_END: Final = (
    (_END_OPERATION, ("succeeded", "yes", "time", "operation_document", "operation")),
    (_LET_GO, ("instance", "operation")),
)
_REDIS_BEGIN: Final = """
local base, id, operation, port = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
redis.call('HSET', base .. 'instance:' .. id, 'id', id, 'image_name', 'redis', 'host', ARGV[4], 'ports', port,
  'operation_id', operation, 'last_operation_id', operation, 'document', ARGV[5], 'secret', ARGV[6])
redis.call('ZADD', base .. 'instances', 0, id)
redis.call('HSET', base .. 'ports:' .. ARGV[4], port, id)
redis.call('HINCRBY', base .. 'uses', 'redis', 1)
local number = redis.call('HINCRBY', base .. 'numbers', 'number', 1)
redis.call('HSET', base .. 'operation:' .. operation, 'id', operation, 'instance_id', id, 'phase', 'running',
  'is_over', '0', 'epoch', '1', 'owner', 'benchmark', 'lease_until', '1', 'deadline', '1', 'number', number,
  'document', ARGV[7])
redis.call('ZADD', base .. 'operations', number, operation)
redis.call('ZADD', base .. 'history:' .. id, number, operation)
redis.call('ZADD', base .. 'unfinished', number, operation)
redis.call('SADD', base .. 'owner:benchmark', operation)
redis.call('ZADD', base .. 'leases', 1, operation)
return 1
"""
_REDIS_END: Final = """
local base, id, operation = KEYS[1], ARGV[1], ARGV[2]
redis.call('HSET', base .. 'operation:' .. operation, 'phase', 'succeeded', 'is_over', '1',
  'finished_at', '1', 'document', ARGV[3])
redis.call('HDEL', base .. 'operation:' .. operation, 'owner', 'lease_until')
redis.call('HDEL', base .. 'instance:' .. id, 'operation_id')
redis.call('SREM', base .. 'owner:benchmark', operation)
redis.call('ZREM', base .. 'leases', operation)
redis.call('ZREM', base .. 'unfinished', operation)
return 1
"""

_numbers = count()
#: Of this process alone, so that its ports are free.
_HOST: Final = uuid4().hex


@frozen
class Timing:
    """How long a number of writes took in all, and each of them, in seconds."""

    seconds: float
    each: list[float]

    @property
    def rate(self) -> float:
        """Writes per second."""
        return len(self.each) / self.seconds

    @property
    def slow(self) -> float:
        """What 99 of 100 writes were faster than, in milliseconds."""
        return 1000 * sorted(self.each)[int(len(self.each) * 0.99)]


class Bare(Protocol):
    """A driver without a broker."""

    async def write(self, clients: int, pairs: int) -> Timing:
        """Let clients make so many pairs of writes each, at once."""


def bare(reactor: Any, configuration: PersisterConfiguration, clients: int) -> Bare:
    """Return the bare driver of a database."""
    if isinstance(configuration, ServerConfiguration) and configuration.driver == "redis":
        return BareRedis(reactor, configuration, clients)
    connect, statements = _sql(configuration)
    return BareSql(reactor, [connect() for _ in range(clients)], statements)


def _parameters() -> dict[str, Any]:
    number = next(_numbers)
    return {
        "instance": str(uuid4()),
        "operation": uuid4().hex,
        "image": "redis",
        "host": f"{_HOST}-{number % HOSTS}",
        "port": 20000 + number // HOSTS,
        "document": _DOCUMENT,
        "secret": _SECRET,
        "reserved": _RESERVED,
        "operation_document": _OPERATION,
        "owner": "benchmark",
        "time": 1.0,
        "one": 1,
        "yes": True,
        "no": False,
        "running": "running",
        "succeeded": "succeeded",
    }


def _prepared(clients: int, pairs: int) -> list[list[dict[str, Any]]]:
    """Return the parameters of the pairs that each client is going to write."""
    return [[_parameters() for _ in range(pairs)] for _ in range(clients)]


@frozen
class _Statements:
    """The statements that begin a transaction, and those of the two writes."""

    start: str | None
    begin: Any
    end: Any


@define(eq=False)
class BareSql:
    """Clients on the reactor that each have a connection of their own, which is used in a thread."""

    _reactor: Any
    _connections: list[Any]
    _statements: _Statements

    async def write(self, clients: int, pairs: int) -> Timing:
        """Let clients make so many pairs of writes each, at once."""
        pool = ThreadPool(clients, clients)
        pool.start()
        prepared = _prepared(clients, pairs)
        started = perf_counter()
        try:
            each = await gatherResults(
                [
                    Deferred.fromCoroutine(self._client(pool, connection, some))
                    for connection, some in zip(self._connections[:clients], prepared, strict=True)
                ]
            )
            return Timing(perf_counter() - started, [one for some in each for one in some])
        finally:
            pool.stop()

    async def _client(
        self, pool: ThreadPool, connection: Any, prepared: Sequence[dict[str, Any]]
    ) -> list[float]:
        each = []
        for parameters in prepared:
            for statements in (self._statements.begin, self._statements.end):
                started = perf_counter()
                await deferToThreadPool(
                    self._reactor, pool, self._transaction, connection, statements, parameters
                )
                each.append(perf_counter() - started)
        return each

    def _transaction(self, connection: Any, statements: Any, parameters: dict[str, Any]) -> None:
        with closing(connection.cursor()) as cursor:
            if self._statements.start is not None:
                cursor.execute(self._statements.start)
            for statement, names in statements:
                cursor.execute(statement, [parameters[name] for name in names])
        connection.commit()


def _sql(configuration: PersisterConfiguration) -> tuple[Callable[[], Any], _Statements]:
    if isinstance(configuration, SqliteConfiguration):
        path = configuration.database
        return (lambda: _sqlite(path)), _Statements("BEGIN IMMEDIATE", _BEGIN, _END)
    connect = _postgresql if configuration.driver == "postgresql" else _mysql
    begin, end = (
        [(statement.replace("?", "%s"), names) for statement, names in statements]
        for statements in (_BEGIN, _END)
    )
    return (lambda: connect(configuration)), _Statements(None, begin, end)


def _sqlite(path: Any) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _postgresql(configuration: ServerConfiguration) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=configuration.host,
        port=configuration.port,
        user=configuration.user,
        password=configuration.password.reveal(),
        dbname=configuration.database,
    )


def _mysql(configuration: ServerConfiguration) -> Any:
    return pymysql.connect(
        host=configuration.host,
        port=configuration.port,
        user=configuration.user,
        password=configuration.password.reveal(),
        database=configuration.database,
        charset="utf8mb4",
        ssl_disabled=True,
    )


@define(eq=False)
class BareRedis:
    """txredisapi, with a connection for each client; each write is a script."""

    _reactor: Any
    _configuration: ServerConfiguration
    _clients: int
    _connected: Any = None

    async def write(self, clients: int, pairs: int) -> Timing:
        """Let clients make so many pairs of writes each, at once."""
        if self._connected is None:
            self._connected = await txredisapi.ConnectionPool(
                host=self._configuration.host,
                port=self._configuration.port,
                username=self._configuration.user,
                password=self._configuration.password.reveal(),
                poolsize=self._clients,
            )
        prepared = _prepared(clients, pairs)
        started = perf_counter()
        each = await gatherResults([Deferred.fromCoroutine(self._client(some)) for some in prepared])
        return Timing(perf_counter() - started, [one for some in each for one in some])

    async def _client(self, prepared: Sequence[dict[str, Any]]) -> list[float]:
        base = [f"{{{self._configuration.prefix}}}:bare:"]
        each = []
        for new in prepared:
            same = [new["instance"], new["operation"]]
            calls = (
                (_REDIS_BEGIN, [*same, new["port"], new["host"], _DOCUMENT, _SECRET, _OPERATION]),
                (_REDIS_END, [*same, _OPERATION]),
            )
            for script, arguments in calls:
                started = perf_counter()
                await self._connected.eval(script, base, arguments)
                each.append(perf_counter() - started)
        return each
