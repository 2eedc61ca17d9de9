"""PostgreSQL, by psycopg."""

import ssl
import time
from collections.abc import Generator, Mapping
from functools import cache
from typing import Any, Final

import psycopg
from sqlalchemy import URL, Connection, Engine, Insert, Table, TextClause, create_engine, event, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters import troubles
from dockerbroker.persisters.databases import Trouble, refusal
from dockerbroker.persisters.servers import IDLE_TRANSACTION

#: The oldest version that brokers run on, as `server_version_num` has it.
OLDEST_VERSION: Final = 130000

#: What identifies the lock under which brokers migrate: "dockerbr" in ASCII.
MIGRATION_LOCK: Final = 0x646F636B65726272

#: A statement is prepared when it has been run so often on a connection.
_PREPARE_AFTER: Final = 5

#: libpq knows no shorter time to connect, in seconds.
_LEAST_CONNECT: Final = 2

_STARTING: Final = Trouble(predicate="is starting or stopping", advice="wait", passes=True, is_lost=True)
_MEMORY: Final = Trouble(predicate="has no memory left", advice="give the server more memory")
_NO_ENTRY: Final = Trouble(
    predicate="does not let this user in from this machine",
    advice="correct persister.user, or add a line to the server's pg_hba.conf",
    key="user",
)

#: What the user is not allowed, by SQLSTATE, and before there is one; the words tell what it is. The second
#: means that there is no schema that it may use.
_DENIED: Final = {"42501", "3F000"}
_SHUT: Final = "permission denied for database"

#: By SQLSTATE, or by its first two characters.
_TROUBLES: Final[Mapping[str, Trouble]] = {
    "08": troubles.LOST,
    "25006": troubles.READ_ONLY,
    "25P03": troubles.LOST,
    "28000": _NO_ENTRY,
    "28P01": troubles.PASSWORD,
    "3D000": troubles.NO_DATABASE,
    "40": troubles.COLLISION,
    "53100": troubles.FULL,
    "53200": _MEMORY,
    "53300": troubles.CROWDED,
    "55P03": troubles.COLLISION,
    "57014": troubles.SLOW,
    "57P": _STARTING,
    "58030": troubles.FULL,
}
#: A server that refuses a connection tells why in words alone. They are English unless it is told otherwise.
_WORDS: Final[Mapping[str, Trouble]] = {
    "password authentication failed": troubles.PASSWORD,
    "no password supplied": troubles.PASSWORD,
    "no pg_hba.conf entry": _NO_ENTRY,
    "is not permitted to log in": _NO_ENTRY,
    "authentication failed": _NO_ENTRY,
    "does not support SSL": troubles.NO_TLS,
    "does not match host name": troubles.MISNAMED,
    "certificate verify failed": troubles.UNTRUSTED,
    "root certificate file": troubles.UNTRUSTED,
    # The server has ended.
    "unexpected eof": troubles.LOST,
    "protocol": troubles.DISAGREED,
    "SSL error": troubles.UNTRUSTED,
    "failed to resolve host": troubles.UNKNOWN,
    "the database system is": _STARTING,
    "session is read-only": troubles.READ_ONLY,
    "hot standby": troubles.READ_ONLY,
    "too many clients": troubles.CROWDED,
    "too many connections": troubles.CROWDED,
    "connection slots": troubles.CROWDED,
    'role "': troubles.PASSWORD,
    "does not exist": troubles.NO_DATABASE,
}


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up when the server does not answer a statement in time.

    What the server would still do with it is not known then, so the connection is closed.
    """

    answer_within: float = 3.0

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        """Wait for the server's answer."""
        return super().wait(self._bounded(gen), *arguments, **options)

    def _bounded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        deadline = time.monotonic() + self.answer_within
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                # psycopg comes back now and then without anything being ready.
                if not ready and time.monotonic() > deadline:
                    gen.close()
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the server did not answer in time")
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value


class PostgresqlDialect:
    """What is peculiar to PostgreSQL."""

    now: TextClause = text("SELECT extract(epoch FROM clock_timestamp())")
    #: One query needs no transaction, whose beginning and end would cost two exchanges.
    reading: Mapping[str, Any] = {"isolation_level": "AUTOCOMMIT"}

    def engine(self, configuration: ServerConfiguration, *, connections: int) -> Engine:
        """Return an engine of at most that many connections; none is made yet."""
        engine = create_engine(
            URL.create(
                "postgresql+psycopg",
                username=configuration.user,
                password=configuration.password.reveal() or None,
                host=configuration.host,
                port=configuration.port,
                database=configuration.database,
            ),
            connect_args=_connect_arguments(configuration),
            isolation_level="READ COMMITTED",
            pool_size=connections,
            # Each thread has one at most. Whoever waits for one that is given up would wait in vain.
            max_overflow=-1,
            # What the statements write are secrets, among others; errors shall not show them.
            hide_parameters=True,
        )

        def connect(_: Any, __: Any, arguments: Any, options: Any) -> BoundedConnection:
            connection = BoundedConnection.connect(*arguments, **options)
            connection.answer_within = configuration.answer_within
            return connection

        event.listen(engine, "do_connect", connect)
        event.listen(engine, "connect", _set_up)
        return engine

    def trouble(self, failure: DBAPIError) -> Trouble:
        """Return what a failure means: by its SQLSTATE, or by its words where it has none."""
        state = getattr(failure.orig, "sqlstate", None) or ""
        words = str(failure.orig)
        if state in _DENIED or _SHUT in words:
            return troubles.denied(words.partition("FATAL:")[2].strip() or words)
        for length in (5, 3, 2):
            if len(state) >= length and state[:length] in _TROUBLES:
                return _TROUBLES[state[:length]]
        for phrase, trouble in _WORDS.items():
            if phrase in words:
                return trouble
        is_lost = failure.connection_invalidated or isinstance(failure.orig, psycopg.OperationalError)
        return troubles.LOST if is_lost and not state else troubles.OTHER

    def upsert(self, table: Table) -> Insert:
        """Return the statement that inserts rows of the table or replaces them."""
        return _upsert(table)

    def too_old(self, connection: Connection) -> str | None:
        """Return what is wrong with the server's version."""
        version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        return None if version >= OLDEST_VERSION else f"PostgreSQL {version // 10000}"

    def lock_migrations(self, connection: Connection) -> bool:
        """Wait until no other broker migrates; the lock goes with the transaction."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        return True


def _connect_arguments(configuration: ServerConfiguration) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "connect_timeout": max(_LEAST_CONNECT, round(configuration.connect_within)),
        "tcp_user_timeout": int(configuration.answer_within * 1000),
        "application_name": "dockerbroker",
        "client_encoding": "utf8",
        # A standby that answers at the primary's address is as good as none.
        "target_session_attrs": "read-write",
        # Until it is known who answers.
        "prepare_threshold": None,
    }
    if configuration.tls is not None:
        ca = configuration.tls.ca
        arguments["sslmode"] = "verify-full" if configuration.tls.verify else "require"
        if configuration.tls.verify:
            arguments["sslrootcert"] = _authorities() if ca is None else str(ca)
    return arguments


def _authorities() -> str:
    """Return the file of the authorities that the system trusts: that of Python.

    The OpenSSL that comes with psycopg has none of its own.
    """
    return ssl.get_default_verify_paths().cafile or "system"


def _set_up(connection: psycopg.Connection[Any], _: Any) -> None:
    """Let the server end what the broker has given up, or does not end by itself.

    Raises `InvalidConfiguration` when the database cannot hold all characters.
    """
    assert isinstance(connection, BoundedConnection), "the engine makes no others"
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise refusal(
            "database",
            f"the database {connection.info.dbname!r} has the encoding {encoding}; create it with "
            "ENCODING 'UTF8', or name another one",
        )
    answer = int(connection.answer_within * 1000)
    connection.autocommit = True
    # Whoever waits for a lock is to hear of that, rather than that the statement takes too long.
    connection.execute(
        f"SET statement_timeout = {answer}; SET lock_timeout = {answer * 2 // 3}; "
        f"SET idle_in_transaction_session_timeout = {IDLE_TRANSACTION * 1000}"
    )
    # A pooler such as PgBouncer hands a statement to a session that has not prepared it. It does not tell the
    # number of that session's process, but one of its own.
    found = connection.execute("SELECT pg_backend_pid()").fetchone()
    if found is not None and found[0] == connection.info.backend_pid:
        connection.prepare_threshold = _PREPARE_AFTER
    connection.autocommit = False


@cache
def _upsert(table: Table) -> Insert:
    adding = insert(table)
    new = {column.name: adding.excluded[column.name] for column in table.c if not column.primary_key}
    return adding.on_conflict_do_update(index_elements=list(table.primary_key), set_=new)
