"""Private database servers for tests: MariaDB, PostgreSQL and Redis on loopback, in temporary folders.

`server` is one that the whole process shares, `private_server` one that a test may stop, fill and break. Call
them in the main thread: a server ends with the thread that started it.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.real_engine import require
from tests.servers.common import Options, Server
from tests.servers.machine import MissingProgram
from tests.servers.mariadb import MariaDbServer
from tests.servers.postgresql import PostgreSqlServer
from tests.servers.redis import RedisServer

_KINDS: dict[str, type[Server]] = {
    "mysql": MariaDbServer,
    "postgresql": PostgreSqlServer,
    "redis": RedisServer,
}
#: The drivers of servers.
DRIVERS = tuple(_KINDS)

_shared: dict[str, Server | MissingProgram] = {}


def server(driver: str) -> Server:
    """The process's server of that driver: fast, not durable, started at first use and ended at exit.

    Skips the running test, or fails it where backends are required, when the server is not installed.
    """
    if driver not in _shared:
        try:
            _shared[driver] = _KINDS[driver].begin(Options())
        except MissingProgram as missing:
            _shared[driver] = missing
    return _available(_shared[driver])


def private_server(
    test: SynchronousTestCase,
    driver: str,
    *,
    durable: bool = False,
    tls: bool = False,
    room: int | None = None,
) -> Server:
    """A server for one test, ended with it.

    A `durable` one is on disk and syncs what it must; the others lose nothing when they are killed either.
    One with `tls` takes no other connections of the broker. With `room` its data are on a file system of
    their own that has so many bytes left.
    """
    options = Options(durable=durable, tls=tls, room=room)
    try:
        made = _KINDS[driver].begin(options)
    except MissingProgram as missing:
        return _available(missing)
    test.addCleanup(made.end)
    return made


def _available(found: Server | MissingProgram) -> Server:
    if isinstance(found, MissingProgram):
        require(backend_available=False, reason=str(found))
        raise found
    return found
