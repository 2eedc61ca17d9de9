"""Groups of writes on a SQLite file: each write is undone by itself, all are durable or none is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from dockerbroker.errors import AlreadyExists, Conflict, PortLeased, Unavailable
from dockerbroker.model.instances import Change, Operation, Phase
from dockerbroker.persisters.databases import PATIENCE, Query
from dockerbroker.persisters.presence import Presence, folder_beside
from tests.persisters import values
from tests.persisters.files import SqliteFixture
from tests.persisters.group_case import GroupCase


class GroupTests(GroupCase):
    """Writes that wait for each other."""

    def test_sixteen(self) -> None:
        """Sixteen writes at once are two transactions, and each returns what it has stored."""
        outcomes = [self.provision(number, 20000 + number) for number in range(16)]
        self.run_later.finish()
        begun: list[Operation] = [self.successResultOf(outcome) for outcome in outcomes]
        self.assertEqual([operation.id for operation in begun], [f"o{number}" for number in range(16)])
        self.assertEqual(self.stored(), [f"o{number}" for number in range(16)])
        self.assertEqual(self.commits(), 2)
        ends = [Change(operation=operation.over(Phase.SUCCEEDED, 1.0)) for operation in begun]
        outcomes = [self.call(self.persister.commit(end)) for end in ends]
        self.run_later.finish()
        for outcome in outcomes:
            self.assertIsNone(self.successResultOf(outcome))
        self.assertEqual(self.done(self.reader.operations(unfinished=True, limit=9)), [])
        self.assertEqual(self.commits(), 4)

    def test_one_refused(self) -> None:
        """What is refused is undone as a whole, whatever of it was written, and the others are stored."""
        self.occupy()
        first, taken, same, other = (
            self.provision(1, 20001),
            self.provision(2, 20001),
            self.provision(1, 20003),
            self.provision(4, 20004),
        )
        image = self.call(self.persister.put_image(evolve(values.STATIC, name="other")))
        self.run_later.finish()
        self.assertIn("20001", self.refused(taken, PortLeased))
        self.refused(same, AlreadyExists)
        self.refused(image, Conflict)
        for outcome in (first, other):
            self.successResultOf(outcome)
        self.assertEqual(self.stored(), ["o1", "o4"])
        self.assertEqual(self.done(self.reader.leased_ports(values.HERE)), {20001, 20004})

    def test_broken(self) -> None:
        """A defect that shows in one write is its own, and so is what the database says of one."""
        self.occupy()

        def broken(connection: Connection) -> None:
            connection.exec_driver_sql("INSERT INTO images VALUES ('left', '{}', '{}')")
            raise LookupError

        def wrong(connection: Connection) -> None:
            connection.exec_driver_sql("SELECT nothing FROM nowhere")

        def right(connection: Connection) -> int:
            return int(connection.exec_driver_sql("SELECT 42").scalar_one())

        outcomes = [self.write(query) for query in (broken, wrong, right)]
        self.run_later.finish()
        self.failureResultOf(outcomes[0], LookupError)
        self.assertIn("does not answer as expected", self.refused(outcomes[1], Unavailable))
        self.assertEqual(self.successResultOf(outcomes[2]), 42)
        self.assertEqual(self.done(self.reader.images()), [values.STATIC])

    def write(self, query: Query[Any]) -> Deferred[Any]:
        """Let the persister write."""
        return self.call(self.persister._write(query))

    def test_unreadable(self) -> None:
        """A record that is damaged is told of to whoever asked for it, and to nobody else."""
        with closing(sqlite3.connect(self.fixture.path)) as connection:
            connection.execute("INSERT INTO images VALUES ('broken', '{', '{}')")
            connection.commit()
        self.provision(0)
        image, other = self.call(self.persister.put_image(values.REDIS)), self.provision(1)
        self.run_later.finish()
        self.assertIn("cannot be read", self.refused(image, Unavailable))
        self.successResultOf(other)

    def test_claim(self) -> None:
        """Taking over is a transaction of its own, between the groups that come before and after it."""
        first, before = self.occupy(), self.provision(1)
        claiming = self.call(self.persister.claim("two", ttl=9))
        after = self.provision(2)
        self.run_later.finish()
        for outcome in (first, before, after):
            self.successResultOf(outcome)
        self.assertEqual(self.successResultOf(claiming), [])
        self.assertEqual(self.commits(), 3)


class EndedTests(GroupCase):
    """Taking over from brokers that have ended, while others write."""

    def setUp(self) -> None:
        """Let a broker die that carries an operation."""
        fixture = SqliteFixture.of(self)
        self.presence = Presence(folder_beside(fixture.path))
        dead = fixture.persister("dead")
        change = values.provision("left", values.instance("left"))
        self.done(dead.begin(change, owner="dead/1", ttl=1000, within=1000))
        fixture.close()
        self.open(fixture, self.presence)

    def test_committed_first(self) -> None:
        """A broker that has ended is forgotten when what it held was taken over, not before."""
        [file] = self.presence.folder.iterdir()
        self.occupy()
        claiming, other = self.call(self.persister.claim("one/1", ttl=9)), self.provision(1)
        self.run_later.step()
        self.assertTrue(file.exists())
        self.run_later.finish()
        self.assertEqual([operation.id for operation in self.successResultOf(claiming)], ["left"])
        self.successResultOf(other)
        self.assertFalse(file.exists())

    def test_failed(self) -> None:
        """When taking over fails the broker that has ended is still found by the next one."""
        first, claiming = self.occupy(), self.call(self.persister.claim("one/1", ttl=9))
        self.clock.advance(PATIENCE)
        self.run_later.finish()
        for outcome in (first, claiming):
            self.refused(outcome, Unavailable)
        again = self.call(self.persister.claim("one/1", ttl=9))
        self.run_later.finish()
        self.assertEqual([operation.id for operation in self.successResultOf(again)], ["left"])
