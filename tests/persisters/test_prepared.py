"""PostgreSQL prepares statements that a connection runs again and again, but not for a pooler."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters.postgresql import BoundedConnection, _set_up
from tests.persisters.server_fixture import shared_database

#: More than a statement is run before it is prepared.
OFTEN = 10


class _Info:
    """What a connection tells of itself through a pooler, which has a process of its own."""

    def __init__(self, info: Any) -> None:
        self._info = info

    @property
    def backend_pid(self) -> int:
        """The pooler's number, not that of the session's process."""
        return int(self._info.backend_pid) + 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._info, name)


class PooledConnection(BoundedConnection):
    """A connection through a pooler."""

    @property
    def info(self) -> Any:
        """What it tells of itself."""
        return _Info(super().info)


class PreparedTests(SynchronousTestCase):
    """Statements that are run again and again on one connection."""

    def prepared(self, kind: type[BoundedConnection]) -> int:
        """Return how many statements are prepared at the end."""
        database = shared_database("postgresql")
        connection = kind.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            password=database.password.reveal(),
            dbname=database.database,
            prepare_threshold=None,
        )
        with closing(connection):
            _set_up(connection, None)
            for number in range(OFTEN):
                connection.execute("SELECT id FROM instances WHERE id = %s", (str(number),))
            row = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
            assert row is not None
            return int(row[0])

    def test_server(self) -> None:
        """The server itself prepares them once."""
        self.assertEqual(self.prepared(BoundedConnection), 1)

    def test_pooler(self) -> None:
        """A pooler, which may lead to another session at any moment, does not."""
        self.assertEqual(self.prepared(PooledConnection), 0)
