"""MySQL and MariaDB, by PyMySQL."""

import re
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pymysql import OperationalError
from pymysql.constants import CR, ER
from sqlalchemy import URL, Connection, Engine, Insert, Table, TextClause, create_engine, event, text
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import DBAPIError

from dockerbroker.config.persister import ServerConfiguration, Tls
from dockerbroker.persisters import troubles
from dockerbroker.persisters.databases import Trouble, refusal
from dockerbroker.persisters.servers import IDLE_TRANSACTION

#: The oldest versions that leave locked rows out (SKIP LOCKED) and heed constraints (CHECK).
OLDEST_MYSQL: Final = (8, 0, 16)
OLDEST_MARIADB: Final = (10, 6, 0)

#: Under this name, and that of the database, brokers lock the migration. The name has 64 characters at most.
_LOCK: Final = "SELECT GET_LOCK(CONCAT('dockerbroker ', MD5(DATABASE())), :patience)"
#: Seconds; the statement itself is given up before.
_LOCK_PATIENCE: Final = 25

#: Seconds after which MySQL ends a session that does nothing, and with it the transaction of a broker that
#: hangs; MariaDB can tell the two apart. Connections are made anew before that.
_IDLE_SESSION: Final = 30
_RENEW: Final = 20

_CLOSED: Final = Trouble(
    predicate="does not exist, or is closed to the user",
    advice="create it (CREATE DATABASE) and give the user its rights (GRANT), or correct the name",
    key="database",
)
_PLUGIN: Final = Trouble(
    predicate="has the user prove itself in a way that this program does not know",
    advice="give the user a password (ALTER USER ... IDENTIFIED BY ...)",
    key="user",
)
_STATEMENTS_LOGGED: Final = Trouble(
    predicate="logs statements, which rules READ COMMITTED out",
    advice="set binlog_format of the server to MIXED or ROW",
    key="host",
)

#: MariaDB's own: the row was changed since it was read, the statement took too long.
_CHECKREAD: Final = 1020
_STATEMENT_TIMEOUT: Final = 1969
_KILLED: Final = 1927
#: The servers' own, which PyMySQL does not know.
_READ_ONLY_TRANSACTION: Final = 1792
_READ_ONLY_MODE: Final = 1836
#: The user is one of the server's machine (by its socket), or has a password of the oldest form.
_BY_SOCKET: Final = 1698
_OLD_PASSWORD: Final = 1275
#: The password has expired, the account is locked: of both, and of MySQL, of MariaDB.
_EXPIRED: Final = (1820, 1862)
_LOCKED: Final = (3118, 4151)
#: Its binary log has statements and not rows.
_STATEMENT_LOG: Final = 1665
#: MySQL's own: the session was idle for too long.
_IDLE: Final = 4031

#: The words of these tell what a user must not do.
_DENIED: Final = {
    ER.TABLEACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR,
    ER.SPECIFIC_ACCESS_DENIED_ERROR,
}

_TROUBLES: Final[Mapping[int, Trouble]] = {
    CR.CR_SERVER_GONE_ERROR: troubles.LOST,
    CR.CR_SERVER_LOST: troubles.LOST,
    CR.CR_SSL_CONNECTION_ERROR: troubles.NO_TLS,
    CR.CR_AUTH_PLUGIN_CANNOT_LOAD: _PLUGIN,
    ER.SERVER_SHUTDOWN: troubles.LOST,
    _KILLED: troubles.LOST,
    _IDLE: troubles.LOST,
    ER.CON_COUNT_ERROR: troubles.CROWDED,
    ER.TOO_MANY_USER_CONNECTIONS: troubles.CROWDED,
    ER.LOCK_DEADLOCK: troubles.COLLISION,
    ER.LOCK_WAIT_TIMEOUT: troubles.COLLISION,
    _CHECKREAD: troubles.COLLISION,
    ER.OPTION_PREVENTS_STATEMENT: troubles.READ_ONLY,
    _READ_ONLY_TRANSACTION: troubles.READ_ONLY,
    _READ_ONLY_MODE: troubles.READ_ONLY,
    ER.DISK_FULL: troubles.FULL,
    ER.RECORD_FILE_FULL: troubles.FULL,
    ER.QUERY_INTERRUPTED: troubles.SLOW,
    _STATEMENT_TIMEOUT: troubles.SLOW,
    ER.ACCESS_DENIED_ERROR: troubles.PASSWORD,
    **dict.fromkeys((*_EXPIRED, *_LOCKED), troubles.PASSWORD),
    _BY_SOCKET: _PLUGIN,
    _OLD_PASSWORD: _PLUGIN,
    ER.HOST_NOT_PRIVILEGED: troubles.PASSWORD,
    ER.HOST_IS_BLOCKED: troubles.CROWDED,
    ER.BAD_DB_ERROR: troubles.NO_DATABASE,
    ER.DBACCESS_DENIED_ERROR: _CLOSED,
    _STATEMENT_LOG: _STATEMENTS_LOGGED,
}


class MysqlDialect:
    """What is peculiar to MySQL and MariaDB."""

    now: TextClause = text("SELECT UNIX_TIMESTAMP(SYSDATE(6))")
    reading: Mapping[str, Any] = {}

    def engine(self, configuration: ServerConfiguration, *, connections: int) -> Engine:
        """Return an engine of at most that many connections; none is made yet."""
        engine = create_engine(
            _url(configuration),
            connect_args=_connect_arguments(configuration),
            # Under REPEATABLE READ a transaction would decide by what it read first, long ago.
            isolation_level="READ COMMITTED",
            pool_size=connections,
            # Each thread has one at most. Whoever waits for one that is given up would wait in vain.
            max_overflow=-1,
            pool_recycle=_RENEW,
            # Each transaction is ended where it is begun; to end it once more would cost an exchange.
            pool_reset_on_return=None,
            # What the statements write are secrets, among others; errors shall not show them.
            hide_parameters=True,
        )

        def set_up(connection: Any, _: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(_settings(connection.get_server_info(), configuration.answer_within))

        event.listen(engine, "do_connect", _connect)
        event.listen(engine, "connect", set_up)
        return engine

    def trouble(self, failure: DBAPIError) -> Trouble:
        """Return what a failure means, by its number."""
        arguments = getattr(failure.orig, "args", ())
        number = arguments[0] if arguments and isinstance(arguments[0], int) else None
        words = str(arguments[-1] if arguments else "")
        if number in _DENIED:
            return troubles.denied(words)
        if number == CR.CR_CONN_HOST_ERROR:
            return _unconnected(words)
        if number is not None and number in _TROUBLES:
            return _TROUBLES[number]
        # InnoDB tells of the disk by the system's own number.
        if "No space left" in words or "errno: 28" in words:
            return troubles.FULL
        return troubles.LOST if failure.connection_invalidated else troubles.OTHER

    def upsert(self, table: Table) -> Insert:
        """Return the statement that inserts rows of the table or replaces them."""
        return _upsert(table)

    def too_old(self, connection: Connection) -> str | None:
        """Return the name of the server's version when it is too old."""
        told = str(connection.execute(text("SELECT VERSION()")).scalar_one())
        is_mariadb = "mariadb" in told.lower()
        numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", told)
        version = tuple(int(number) for number in numbers.groups()) if numbers else (0, 0, 0)
        if version >= (OLDEST_MARIADB if is_mariadb else OLDEST_MYSQL):
            return None
        return f"{'MariaDB' if is_mariadb else 'MySQL'} {'.'.join(str(number) for number in version)}"

    def lock_migrations(self, connection: Connection) -> bool:
        """Wait until no other broker migrates; the lock goes with the connection."""
        return bool(connection.execute(text(_LOCK), {"patience": _LOCK_PATIENCE}).scalar())


def _settings(version: str, answer_within: float) -> str:
    """Return the statement that makes a session ours."""
    settings = {
        "time_zone": "'+00:00'",
        # What does not fit is refused and not cut.
        "sql_mode": "CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
        # Sooner than the statement is given up, since the transaction is done again then.
        "innodb_lock_wait_timeout": str(max(1, int(answer_within * 2 / 3))),
    }
    if "mariadb" in version.lower():
        settings |= {"idle_transaction_timeout": str(IDLE_TRANSACTION)}
    else:
        settings |= {"wait_timeout": str(_IDLE_SESSION)}
    return "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())


def _url(configuration: ServerConfiguration) -> URL:
    return URL.create(
        "mysql+pymysql",
        username=configuration.user,
        password=configuration.password.reveal() or None,
        host=configuration.host,
        port=configuration.port,
        database=configuration.database,
        query={"charset": "utf8mb4"},
    )


def _connect_arguments(configuration: ServerConfiguration) -> dict[str, Any]:
    return {
        "connect_timeout": configuration.connect_within,
        "read_timeout": configuration.answer_within,
        "write_timeout": configuration.answer_within,
        **({} if configuration.tls is None else {"ssl": _context(configuration.tls)}),
    }


def _connect(dialect: Any, _: Any, arguments: Any, options: Any) -> Any:
    """Return a connection; what PyMySQL cannot do for want of a module is a failure like any other."""
    try:
        return dialect.loaded_dbapi.connect(*arguments, **options)
    except RuntimeError as error:
        raise OperationalError(CR.CR_AUTH_PLUGIN_CANNOT_LOAD, str(error)) from None


def _unconnected(words: str) -> Trouble:
    """Return why no connection could be made; the words have Python's reason."""
    if "Errno -" in words:
        return troubles.UNKNOWN
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return troubles.MISNAMED if "mismatch" in words else troubles.UNTRUSTED
    # A server that ends in the middle of it is no disagreement.
    return troubles.DISAGREED if "[SSL" in words and "EOF" not in words else troubles.LOST


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if tls.ca is None else str(tls.ca))
    except OSError:
        # An SSLError as well, when it holds something else.
        raise refusal("tls.ca", f"{tls.ca} holds no certificate; {troubles.PEM}") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@cache
def _upsert(table: Table) -> Insert:
    adding = insert(table)
    new = {column.name: adding.inserted[column.name] for column in table.c if not column.primary_key}
    return adding.on_duplicate_key_update(new)
