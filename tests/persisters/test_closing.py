"""A database on a server is closed while an operation is being begun there."""

from __future__ import annotations

from threading import Thread

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters import changes
from dockerbroker.persisters.archive import NEVER, Closed, Kind
from dockerbroker.persisters.archive_sql import SqlArchive
from tests.persisters import values
from tests.persisters.server_fixture import ServerFixture

#: Seconds in which a closing that waits for nobody is over, and in which any is.
_SOON, _PATIENCE = 1.0, 30.0


class ClosingCases:
    """Closing on one kind of server."""

    class Case(SynchronousTestCase):
        """Two connections, each with a transaction."""

        driver: str

        def test_waits(self) -> None:
            """What is just being begun is carried by nobody either when the database is closed."""
            fixture = ServerFixture.of(self, self.driver)
            persister = fixture.persister()
            archive = SqlArchive(persister.database, persister.run)
            closed: list[Deferred[None]] = []

            def close() -> None:
                closed.append(Deferred.fromCoroutine(archive.close(Closed.MOVING, "there")))

            closing = Thread(target=close)
            # Where MySQL looks through all records it passes over those that are not durable.
            for number in range(9):
                change = values.provision(f"o{number}", values.instance(f"i{number}"))
                begun = persister.begin(change, owner="one", ttl=15, within=60)
                self.successResultOf(Deferred.fromCoroutine(begun))
            with fixture.engine.begin() as connection:
                change = values.provision("last", values.instance("last"))
                changes.begin(
                    connection, persister.sealed, change, owner="one", now=0, ttl=15, within=60, at=0
                )
                closing.start()
                closing.join(_SOON)
            closing.join(_PATIENCE)
            self.successResultOf(closed[0])
            rows = self.successResultOf(Deferred.fromCoroutine(archive.page(Kind.OPERATION, None, 99)))
            found = [(row["owner"], row["lease_until"], row["epoch"]) for row in rows]
            self.assertEqual(found, [(None, NEVER, 2)] * 10)


class MysqlClosingTests(ClosingCases.Case):
    """On MySQL."""

    driver = "mysql"


class PostgresqlClosingTests(ClosingCases.Case):
    """On PostgreSQL."""

    driver = "postgresql"
