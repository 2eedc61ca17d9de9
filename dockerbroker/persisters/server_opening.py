"""Opening a SQL database that is a server: once to see that it can be used, and then to use it."""

from functools import partial
from typing import Any, Final, NoReturn

from attrs import evolve
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from twisted.python.threadpool import ThreadPool

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.errors import Unavailable
from dockerbroker.persisters import schema
from dockerbroker.persisters.databases import refusal
from dockerbroker.persisters.servers import FAILURES, Dialect, ServerDatabase
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.vault import Vault
from dockerbroker.threads import run_in

#: How many seconds a start waits for others that start at the same time and migrate.
START_PATIENCE: Final = 30.0

_EXTRAS: Final = {"mysql": "PyMySQL", "postgresql": "psycopg"}


def check_server(configuration: ServerConfiguration, *, closed: bool = False) -> None:
    """Bring the database to this version's schema, and see that it can be written.

    Blocks, and leaves no connection and no thread. Raises `InvalidConfiguration` with one sentence that says
    what to do, also when no broker may use it, unless it may be `closed`, or when a key is lacking, and
    `Unavailable` when the server does not answer.
    """
    dialect, vault = dialect_of(configuration), Vault(configuration.keys)
    _use(configuration, dialect, partial(_require_version, dialect))
    # Whoever waits for another's migration is answered late.
    patient = evolve(configuration, answer_within=START_PATIENCE)
    _use(patient, dialect, partial(_upgrade, dialect, vault, closed=closed))


async def open_server(
    reactor: Any, configuration: ServerConfiguration, pool: ThreadPool, *, closed: bool = False
) -> SqlPersister:
    """Return the persister of a database, working in the threads of the pool; raises as `check_server`.

    The pool must have been started, and be stopped after the persister's `close`.
    """
    await run_in(reactor, pool, lambda: check_server(configuration, closed=closed))
    dialect = dialect_of(configuration)
    engine = dialect.engine(configuration, connections=pool.max)
    database = ServerDatabase(engine, dialect)
    return SqlPersister(database, partial(run_in, reactor, pool), reactor, Vault(configuration.keys))


def dialect_of(configuration: ServerConfiguration) -> Dialect:
    """Return what speaks to that kind of server; raises `InvalidConfiguration` when it is not installed."""
    try:
        if configuration.driver == "mysql":
            from dockerbroker.persisters.mysql import MysqlDialect  # noqa: PLC0415 (it may not be installed)

            return MysqlDialect()
        from dockerbroker.persisters.postgresql import PostgresqlDialect  # noqa: PLC0415 (likewise)
    except ImportError as error:
        driver = configuration.driver
        raise refusal(
            "driver",
            f"{driver} needs {_EXTRAS[driver]}, which is not installed ({error}); "
            f"run pip install 'dockerbroker[{driver}]'",
        ) from None
    return PostgresqlDialect()


def _use(configuration: ServerConfiguration, dialect: Dialect, work: Any) -> None:
    engine: Engine = dialect.engine(configuration, connections=1)
    try:
        with engine.connect() as connection, connection.begin():
            work(connection)
    except FAILURES as failure:
        _explain(configuration, dialect, failure)
    finally:
        engine.dispose()


def _explain(configuration: ServerConfiguration, dialect: Dialect, failure: Exception) -> NoReturn:
    where = f"{configuration.host}:{configuration.port}"
    if not isinstance(failure, DBAPIError):
        raise Unavailable(f"The database server at {where} is busy.") from failure
    trouble = dialect.trouble(failure)
    if trouble.key is None:
        raise Unavailable(
            f"The database server at {where} {trouble.predicate}; {trouble.advice}."
        ) from failure
    what = f"the database {configuration.database!r} of the server at {where}"
    raise refusal(trouble.key, f"{what} {trouble.predicate}; {trouble.advice}") from failure


def _require_version(dialect: Dialect, connection: Connection) -> None:
    found = dialect.too_old(connection)
    if found is not None:
        raise refusal("host", f"the server is {found}, which is too old; upgrade it, or name another one")


def _upgrade(dialect: Dialect, vault: Vault, connection: Connection, *, closed: bool) -> None:
    if not dialect.lock_migrations(connection):
        raise Unavailable("Another broker is migrating the database; try again later.")
    schema.upgrade(connection)
    if not closed:
        schema.require_open(connection)
    schema.settle_keys(connection, vault, closed=closed)
    schema.write_something(connection)
