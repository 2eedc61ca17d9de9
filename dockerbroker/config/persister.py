"""Where the broker keeps its records: the section `persister` of its file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen
from cryptography.x509 import load_pem_x509_certificates

from dockerbroker.config.document import HIGHEST_PORT, LOWEST_PORT
from dockerbroker.config.keys import KeySource
from dockerbroker.model.members import Members, printable
from dockerbroker.model.secrets import Secret

#: How many connections one broker has to a database server.
DEFAULT_POOL_SIZE: Final = 8
#: Seconds until a connection must be made, and until a statement must be answered. A request is answered
#: within 5, whatever the server does.
DEFAULT_CONNECT_WITHIN: Final = 2.0
DEFAULT_ANSWER_WITHIN: Final = 3.0
#: What all keys of a deployment in Redis begin with.
DEFAULT_PREFIX: Final = "dockerbroker"

_LONGEST_WAIT: Final = 4.0
_MOST_CONNECTIONS: Final = 100
_MOST_REDIS_DATABASES: Final = 65536
_LONGEST_PREFIX: Final = 64


@frozen(kw_only=True)
class SqliteConfiguration:
    """SQLite, and the absolute path of its file; `keys` are those of the secrets in it."""

    database: Path
    keys: KeySource = field(factory=KeySource)

    @property
    def driver(self) -> str:
        """The driver's name."""
        return "sqlite"


@frozen(kw_only=True)
class Tls:
    """Encrypted connections to a database server.

    `ca` is a file of the authorities (PEM) by which the server proves who it is; without it those of the
    system are trusted. Without `verify` it need not prove anything.
    """

    ca: Path | None = None
    verify: bool = True


@frozen(kw_only=True)
class ServerConfiguration:
    """A database server: `driver` is `mysql` (MariaDB, too), `postgresql` or `redis`.

    `database` is its name, for Redis its number. `prefix` is Redis's alone. `connect_within` and
    `answer_within` are seconds. `keys` are those of the secrets in it.
    """

    driver: str
    host: str
    port: int
    user: str
    password: Secret[str]
    database: str
    tls: Tls | None = None
    pool_size: int = DEFAULT_POOL_SIZE
    connect_within: float = DEFAULT_CONNECT_WITHIN
    answer_within: float = DEFAULT_ANSWER_WITHIN
    prefix: str = DEFAULT_PREFIX
    keys: KeySource = field(factory=KeySource)


PersisterConfiguration = SqliteConfiguration | ServerConfiguration

#: Every name of a driver.
DRIVERS: Final[Mapping[str, str]] = {
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "redis": "redis",
}
_PORTS: Final = {"mysql": 3306, "postgresql": 5432, "redis": 6379}
#: A file that names another driver by and by keeps these; none of them is at fault there.
_OF_SERVERS: Final = ("host", "port", "user", "password", "tls", "poolsize", "connectwithin", "answerwithin")


def read_persister(members: Members, folder: Path, keys: KeySource) -> PersisterConfiguration:
    """Read the section; complaints are left in `members`. Relative paths start at the folder."""
    named = members.text("driver", required=True).lower()
    if named and named not in DRIVERS:
        members.complain("driver", f"must be sqlite, mysql, postgresql or redis, not {named[:40]!r}")
    members.seen.update((*_OF_SERVERS, "prefix"))
    driver = DRIVERS.get(named, "sqlite")
    if driver == "sqlite":
        return SqliteConfiguration(database=folder / members.text("database", required=True), keys=keys)
    return _read_server(driver, members, folder, keys)


def _read_server(driver: str, members: Members, folder: Path, keys: KeySource) -> ServerConfiguration:
    is_redis = driver == "redis"
    return ServerConfiguration(
        driver=driver,
        host=_read_host(members),
        port=members.integer("port", _PORTS[driver], least=LOWEST_PORT, most=HIGHEST_PORT),
        # Redis has a user without a name.
        user=members.text("user", required=not is_redis),
        password=Secret(members.text("password")),
        database=_read_number(members) if is_redis else members.text("database", required=True),
        tls=_read_tls(members, folder),
        pool_size=members.integer("poolsize", DEFAULT_POOL_SIZE, least=1, most=_MOST_CONNECTIONS),
        connect_within=_read_wait(members, "connectwithin", DEFAULT_CONNECT_WITHIN),
        answer_within=_read_wait(members, "answerwithin", DEFAULT_ANSWER_WITHIN),
        prefix=_read_prefix(members) if is_redis else DEFAULT_PREFIX,
        keys=keys,
    )


def _read_host(members: Members) -> str:
    host = members.text("host", required=True)
    if any(character.isspace() or character in "/@?#[]" for character in host):
        members.complain("host", "must be a name or an address")
    return host


def _read_number(members: Members) -> str:
    return str(members.integer("database", 0, least=0, most=_MOST_REDIS_DATABASES))


def _read_wait(members: Members, key: str, default: float) -> float:
    return members.number(key, default, least=0.1, most=_LONGEST_WAIT)


def _read_prefix(members: Members) -> str:
    prefix = members.text("prefix") or DEFAULT_PREFIX
    if len(prefix) > _LONGEST_PREFIX or not prefix.isprintable() or any(one in "{} " for one in prefix):
        members.complain("prefix", f"must have at most {_LONGEST_PREFIX} characters, no blank and no brace")
    return prefix


def _read_tls(members: Members, folder: Path) -> Tls | None:
    if not members.has("tls"):
        return None
    inner = members.section("tls")
    ca = inner.text("ca")
    path = folder / ca if ca else None
    if path is not None:
        try:
            load_pem_x509_certificates(path.read_bytes())
        except OSError as error:
            inner.complain("ca", f"{printable(str(path))} cannot be read: {error.strerror}")
        except ValueError:
            inner.complain("ca", f"{printable(str(path))} holds no certificate in the PEM format")
    return Tls(ca=path, verify=inner.truth("verify", default=True))
