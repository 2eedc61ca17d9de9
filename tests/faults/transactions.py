"""What can happen to a single transaction, and to the records themselves."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from typing import Any, Final

from attrs import evolve
from sqlalchemy import Connection, insert
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from dockerbroker.errors import Unavailable, Unreadable
from dockerbroker.persisters import records, tables
from tests.faults.case import LONG, PATIENT, FaultTestCase, begin
from tests.persisters import values
from tests.servers import server

#: How often each refusal is repeated: a transaction is tried more than twice.
_TIMES: Final = 3

#: What a server asks for that wants a transaction to be done again.
_REFUSALS: Final = {
    "mysql": ("40001 1213", "HY000 1205", "HY000 1020"),
    "postgresql": ("40001", "40P01", "55P03"),
}
#: A counter, on which no rollback has an effect, of the refusals that are left; and who refuses.
_REFUSER: Final = {
    "mysql": (
        "CREATE TABLE refusals (n INT) ENGINE=MyISAM",
        "INSERT INTO refusals VALUES ({times})",
        "CREATE TRIGGER refuse BEFORE INSERT ON operations FOR EACH ROW BEGIN"  # noqa: ISC004
        " IF (SELECT n FROM refusals) > 0 THEN"
        " UPDATE refusals SET n = n - 1;"
        " SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'again';"
        " END IF; END",
    ),
    "postgresql": (
        "CREATE SEQUENCE refusals",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"  # noqa: ISC004
        " IF nextval('refusals') <= {times} THEN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END IF;"
        " RETURN NEW; END $$",
        "CREATE {trigger} ON operations {when} FOR EACH ROW EXECUTE FUNCTION refuse()",
    ),
}
_NO_REFUSER: Final = {
    "mysql": ("DROP TRIGGER refuse", "DROP TABLE refusals"),
    "postgresql": ("DROP FUNCTION refuse CASCADE", "DROP SEQUENCE refusals"),
}
_DEADLOCKS: Final = {
    "mysql": "SELECT variable_value FROM information_schema.global_status"
    " WHERE variable_name = 'innodb_deadlocks'",
    "postgresql": "SELECT sum(deadlocks) FROM pg_stat_database",
}
_WAITING: Final = {
    "mysql": "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
    "postgresql": "SELECT 1 FROM pg_locks WHERE NOT granted",
}


class CollisionTestCase(FaultTestCase):
    """Transactions of a SQL database, and its administrator."""

    patience = PATIENT

    def setUp(self) -> None:
        """Make a database."""
        self.configuration = self.shared(pool_size=2)
        self.database = self.configuration.database

    async def admin(self, statement: str) -> Any:
        """Run a statement as administrator of the database."""
        return await deferToThread(server(self.driver).admin, statement, self.database)

    async def refused(self, persister: Any, name: str, **words: Any) -> None:
        """Let the server refuse the next transactions, and check that nobody notices."""
        for statement in _REFUSER[self.driver]:
            await self.admin(statement.format(times=_TIMES, **words))
        begun = await self.call(begin(persister, name))
        for statement in _NO_REFUSER[self.driver]:
            await self.admin(statement)
        self.assertEqual(await self.call(persister.operation(name)), begun)


class CollisionFaults(CollisionTestCase):
    """Transactions that the server ends for the sake of others."""

    async def test_refused(self) -> None:
        """Nobody notices when the server refuses a statement so that the transaction be done again."""
        persister = await self.open(self.configuration)
        for reason in _REFUSALS[self.driver]:
            state, _, number = reason.partition(" ")
            await self.refused(
                persister, reason, state=state, number=number, trigger="TRIGGER refuse BEFORE INSERT", when=""
            )

    async def deadlocks(self) -> int:
        """Return how many there were."""
        [[number]] = await self.admin(_DEADLOCKS[self.driver])
        return int(number)

    async def waits(self) -> None:
        """Wait until a transaction waits for another."""
        await self.until(lambda: server(self.driver).admin(_WAITING[self.driver]))

    async def test_deadlock(self) -> None:
        """Nobody notices when the server ends a transaction because it and another wait for each other."""
        persister = await self.open(self.configuration)
        await self.provisioned(persister, "i1")
        before = await self.deadlocks()
        with closing(server(self.driver).connect(self.database)) as other, closing(other.cursor()) as cursor:
            cursor.execute("CREATE TABLE ballast (n INT)")
            cursor.execute("BEGIN")
            # Of two the server ends the one that has done less, or that has waited longer.
            cursor.executemany("INSERT INTO ballast VALUES (%s)", [(number,) for number in range(100)])
            cursor.execute("SELECT id FROM operations FOR UPDATE")
            gone = values.deprovision("gone", "i1")
            call = self.call(persister.begin(gone, owner="one", ttl=LONG, within=LONG))
            await self.waits()
            await deferToThread(cursor.execute, "SELECT id FROM instances FOR UPDATE")
            cursor.execute("COMMIT")
        begun = await call
        self.assertEqual(await self.call(persister.operation("gone")), begun)
        await self.until_deadlocked(before)

    async def until_deadlocked(self, before: int) -> None:
        """Wait until the server's statistics tell of a deadlock."""
        for _ in range(200):
            if await self.deadlocks() > before:
                return
            await deferLater(reactor, 0.02)
        self.fail("there was no deadlock")

    async def test_killed(self) -> None:
        """A transaction in whose middle the server is killed is done again, and nobody notices."""
        private = self.private()
        configuration = private.configuration(pool_size=2)
        persister = await self.open(configuration)
        await self.provisioned(persister, "i1")
        with closing(private.connect(configuration.database)) as other, closing(other.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT id FROM operations FOR UPDATE")
            gone = values.deprovision("gone", "i1")
            call = self.call(persister.begin(gone, owner="one", ttl=LONG, within=LONG))
            await self.until(lambda: private.admin(_WAITING[self.driver]))
            private.kill()
            private.start()
            begun = await call
        self.assertEqual(await self.call(persister.operation("gone")), begun)

    async def test_locked(self) -> None:
        """Nobody notices when a lock is not had in time, if it is had a little later."""
        persister = await self.open(self.configuration)
        await self.provisioned(persister, "i1")
        impatient = await self.open(self.shared_again(answer_within=1.0))
        with closing(server(self.driver).connect(self.database)) as other, closing(other.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT id FROM instances FOR UPDATE")
            gone = values.deprovision("gone", "i1")
            call = self.call(impatient.begin(gone, owner="one", ttl=LONG, within=LONG))
            await self.waits()
            await deferLater(reactor, 2)
            cursor.execute("COMMIT")
        begun = await call
        self.assertEqual(await self.call(persister.operation("gone")), begun)

    async def test_poisoned(self) -> None:
        """A connection on which a transaction was broken off is clean for the next one."""
        persister = await self.open(self.shared_again(pool_size=1))

        def break_off(connection: Connection) -> None:
            connection.execute(insert(tables.images).values(records.image_row(values.REDIS)))
            raise ZeroDivisionError

        for _ in range(3):
            deadline = persister.database.seconds() + LONG
            broken = deferToThread(persister.database.write, break_off, deadline=deadline)
            await self.assertFailure(broken, ZeroDivisionError)
            self.assertEqual(await self.call(persister.images()), [])
        await self.work(persister, "after")

    def shared_again(self, **changes: Any) -> Any:
        """Return the database of this test, configured otherwise."""
        return evolve(self.configuration, **changes)


class CommitFaults(CollisionTestCase):
    """Transactions that the server ends when they are to be committed, as PostgreSQL may."""

    async def test_refused(self) -> None:
        """Nobody notices when the server refuses to commit so that the transaction be done again."""
        persister = await self.open(self.configuration)
        await self.refused(
            persister,
            "at the end",
            state="40001",
            trigger="CONSTRAINT TRIGGER refuse AFTER INSERT",
            when="DEFERRABLE INITIALLY DEFERRED",
        )


class RecordFaults(FaultTestCase):
    """Records that somebody has changed by hand, and calls that nobody waits for."""

    patience = PATIENT

    def garble(self, kind: str, identifier: str, document: str) -> None:
        """Write a document over that of a record, as an administrator can."""
        running = server(self.driver)
        if self.driver == "redis":
            [key] = running.admin(f"KEYS *{self.configuration.prefix}*{kind}*{identifier}")
            running.admin(f"HSET {shlex.quote(key)} document {shlex.quote(document)}")
            return
        table = f"{kind}s"
        with closing(running.connect(self.configuration.database)) as connection:
            cursor = connection.cursor()
            cursor.execute(f"UPDATE {table} SET document = %s WHERE id = %s", (document, identifier))  # noqa: S608

    async def test_garbled(self) -> None:
        """A record that cannot be read is told of as such, and is nobody else's trouble."""
        self.configuration = self.shared()
        persister = await self.open(self.configuration)
        await self.all([self.provisioned(persister, name) for name in ("good", "bad")])
        await self.all([begin(persister, name) for name in ("left", "right")])
        for document in ("", "null", "[]", '{"half', json.dumps({"definition": 5}), "[" * 20_000):
            await deferToThread(self.garble, "instance", "bad", document)
            [refused] = await self.outcomes([persister.instance("bad")])
            self.assertIsInstance(refused, Unavailable)
            self.assertRegex(str(refused), r"cannot be read .*; the operator must look at it\.$")
            self.assertEqual((await self.call(persister.instance("good"))).id, "good")
            [unread] = await self.outcomes([persister.instances("", 10)])
            self.assertIsInstance(unread, Unreadable)
            self.assertEqual(unread.id, "bad")
            self.assertEqual((await self.call(persister.instances("bad", 10)))[0].id, "good")
            await deferToThread(self.garble, "operation", "left", document)
            [refused] = await self.outcomes([persister.operation("left")])
            self.assertIsInstance(refused, Unavailable)
        await self.work(persister, "after")
        right = await self.call(persister.operation("right"))
        await self.call(persister.release(right, delay=0))
        [claimed] = await self.call(persister.claim("two", ttl=LONG))
        self.assertEqual(claimed.id, "right")

    async def test_cancelled(self) -> None:
        """A call that its caller has given up does not give its answer to another."""
        persister = await self.open(self.shared(pool_size=2))
        await self.all([self.provisioned(persister, f"i{number}") for number in range(4)])
        for turn in range(60):
            given_up = [Deferred.fromCoroutine(persister.instance(f"i{number}")) for number in range(4)]
            await deferLater(reactor, turn / 20_000)
            for call in given_up:
                call.addErrback(lambda failure: failure.trap(CancelledError))
                call.cancel()
            name = f"i{turn % 4}"
            self.assertEqual((await self.call(persister.instance(name))).id, name)
        await self.work(persister, "after")


KINDS = (RecordFaults,)
#: For databases where transactions run side by side.
SQL_KINDS = (CollisionFaults,)
