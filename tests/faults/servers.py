"""What can happen to a database server while brokers use it."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from dockerbroker.broker.watching import STRANGE, Watch
from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.errors import AlreadyExists, Unavailable
from tests.faults.case import PATIENT, FaultTestCase, begin
from tests.persisters import values
from tests.pinging import pings
from tests.ports import free_port
from tests.servers import server as the_server

_BURST = 16


class SessionFaults(FaultTestCase):
    """Connections that an administrator, a failover or the end of the server ends."""

    patience = PATIENT

    async def test_ended(self) -> None:
        """No call fails while all connections are ended again and again; each has done what it says."""
        server = self.private()
        persister = await self.open(server.configuration(pool_size=4))
        for turn in range(5):
            names = [f"{turn} {number}" for number in range(_BURST)]
            calls = self.outcomes([begin(persister, name) for name in names])
            for _ in range(3):
                await deferToThread(server.end_sessions)
            begun = await calls
            found = await self.all([persister.operation(name) for name in names])
            self.assertEqual(begun, found)

    async def test_killed(self) -> None:
        """Whatever was acknowledged is there after a server was killed; what was not can be done again."""
        server = self.private()
        persister = await self.open(server.configuration())
        names = [f"{number}" for number in range(5 * _BURST)]
        first = self.call(begin(persister, "first"))
        calls = self.outcomes([begin(persister, name) for name in names])
        await first
        server.kill()
        server.start()
        for name, outcome in zip(names, await calls, strict=True):
            await self.check(persister, name, outcome)

    async def check(self, persister: Any, name: str, outcome: Any) -> None:
        """Check that the call has done what it says, or that it can be made again."""
        if isinstance(outcome, Unavailable):
            [outcome] = await self.outcomes([begin(persister, name)])
            if isinstance(outcome, AlreadyExists):
                # It was done, but nobody could say so.
                outcome = await self.call(persister.operation(name))
        self.assertEqual(await self.call(persister.operation(name)), outcome)


class OutageFaults(FaultTestCase):
    """A server that is down, or that does nothing."""

    async def test_down(self) -> None:
        """While the server is down calls are refused in time; then the same persister goes on."""
        server = self.private()
        persister = await self.open(server.configuration())
        await self.work(persister, "before")
        server.stop()
        sentences = await self.unavailable(
            persister.instance("i1"), begin(persister, "late"), persister.now()
        )
        self.assertEqual(len(sentences), 1)
        server.start()
        await self.work(persister, "after")
        self.assertIsNone(await self.call(persister.operation("late")))

    async def test_frozen(self) -> None:
        """A server that hangs keeps no call longer, and nothing else in the process; then all goes on."""
        server = self.private()
        persister = await self.open(server.configuration(pool_size=2))
        await self.work(persister, "before")
        server.freeze()
        calls = self.unavailable(
            *(begin(persister, f"late {number}") for number in range(6)), persister.images()
        )
        refused = self.call(calls)
        turns = 0
        while not refused.called:
            self.assertEqual(await deferToThread(lambda: "another thread"), "another thread")
            await deferLater(reactor, 0.05)
            turns += 1
        await refused
        self.assertGreater(turns, 10)
        server.thaw()
        await self.work(persister, "after")


class RefusalFaults(FaultTestCase):
    """A server that answers, and does not write."""

    async def test_read_only(self) -> None:
        """A server that has become a replica refuses writes in time, and says why; then all goes on."""
        server = self.private()
        persister = await self.open(server.configuration())
        await self.work(persister, "before")
        server.be_read_only()
        found = await self.unavailable(
            begin(persister, "late"),
            persister.put_image(values.REDIS),
            persister.record_pings(pings([values.host()])),
        )
        self.assertRegex(found.pop(), "read-only|replica")
        self.assertEqual(found, set())
        server.be_read_only(read_only=False)
        await self.work(persister, "after")

    async def test_full(self) -> None:
        """A server without room refuses in time; with room again all that it has acknowledged is there."""
        server = self.private(room=24 << 20)
        persister = await self.open(server.configuration(pool_size=2))
        await self.work(persister, "before")
        server.fill()
        acknowledged, refusals = await self.crowd(persister)
        self.assertLess(len(acknowledged), 200)
        self.assertTrue(refusals)
        server.recover()
        found = await self.all([persister.operation(name) for name in acknowledged])
        self.assertEqual([operation.id for operation in found], acknowledged)
        await self.work(persister, "after")

    async def crowd(self, persister: Any) -> tuple[list[str], set[str]]:
        """Write until there is no room; returns what was acknowledged, and the sentences."""
        acknowledged: list[str] = []
        refusals: set[str] = set()
        for number in range(200):
            name = f"large {number}"
            call = begin(persister, name, dashboard_url=f"http://{'x' * 200_000}")
            [outcome] = await self.outcomes([call])
            if isinstance(outcome, Exception):
                self.assertIsInstance(outcome, Unavailable)
                refusals.add(str(outcome))
                break
            acknowledged.append(name)
        return acknowledged, refusals


class IdentityFaults(FaultTestCase):
    """Databases that are emptied, or exchanged, while brokers use them."""

    async def test_exchanged(self) -> None:
        """Another identity, or none, is not taken for the database with which the broker was started."""
        configuration = self.shared()
        persister = await self.open(configuration)
        told: list[str | None] = []
        watch = Watch(persister, reactor, told.append)
        await watch.look()
        born = await persister.cluster_id()
        for found, refusal in (("7" * 32, STRANGE), (born, None), (None, STRANGE)):
            await deferToThread(
                the_server(self.driver).admin, self.change(configuration, found), configuration.database
            )
            await watch.look()
            self.assertEqual(told[-1], refusal)
            self.assertEqual((await persister.state()).cluster_id, found)

    def change(self, configuration: ServerConfiguration, cluster_id: str | None) -> str:
        """Return the command that gives the database another identity, or takes all of it away."""
        key = f"{{{configuration.prefix}}}:deployment"
        if self.driver == "redis":
            return f"DEL {key}" if cluster_id is None else f"HSET {key} cluster_id {cluster_id}"
        if cluster_id is None:
            return "DROP TABLE deployment"
        return f"UPDATE deployment SET cluster_id = '{cluster_id}'"  # noqa: S608 (not from outside)


class OwnFaults(FaultTestCase):
    """What can happen to Redis alone."""

    async def test_demoted(self) -> None:
        """A server that was made a replica refuses writes in time; made the primary again it takes them."""
        server = self.private()
        persister = await self.open(server.configuration())
        await self.work(persister, "before")
        await deferToThread(server.admin, f"REPLICAOF 127.0.0.1 {free_port()}")
        [sentence] = await self.unavailable(begin(persister, "late"), persister.put_image(values.REDIS))
        self.assertIn("replica", sentence)
        await deferToThread(server.admin, "REPLICAOF NO ONE")
        await self.work(persister, "after")

    async def test_emptied(self) -> None:
        """On a server that has lost all its records nothing is begun anew, and nothing is said to be gone."""
        server = self.private()
        persister = await self.open(server.configuration())
        await self.work(persister, "before")
        await deferToThread(server.admin, "FLUSHALL")
        [sentence] = await self.unavailable(
            begin(persister, "late"), persister.instance("instance of before"), persister.images()
        )
        self.assertIn("lost all its records", sentence)
        self.assertEqual(await deferToThread(server.admin, "DBSIZE"), 0)

    async def test_begun_anew(self) -> None:
        """On a server that was emptied a broker refuses all, also when another one makes a new database."""
        server = self.private()
        configuration = server.configuration()
        persister = await self.open(configuration)
        told: list[str | None] = []
        watch = Watch(persister, reactor, told.append)
        await watch.look()
        born = await persister.cluster_id()
        await deferToThread(server.admin, "FLUSHALL")
        await watch.look()
        restarted = await self.open(configuration, "two")
        self.assertNotEqual(await restarted.cluster_id(), born)
        await watch.look()
        self.assertEqual(told, [STRANGE, STRANGE])
        key = f"{{{configuration.prefix}}}:deployment"
        await deferToThread(server.admin, f"HSET {key} cluster_id {born}")
        await watch.look()
        self.assertEqual(told, [STRANGE, STRANGE, None])

    async def test_torn(self) -> None:
        """A server whose log has lost its end has each change before that whole; then all goes on."""
        server = self.private()
        persister = await self.open(server.configuration())
        begun = [await self.call(begin(persister, f"{number}")) for number in range(_BURST)]
        await deferToThread(server.kill)
        [log] = server.data.glob("appendonlydir/*.incr.aof")
        os.truncate(log, log.stat().st_size * 3 // 4)
        server.start()
        found = await self.all([persister.operation(operation.id) for operation in begun])
        kept = [operation for operation in found if operation is not None]
        self.assertTrue(0 < len(kept) < len(begun), len(kept))
        self.assertEqual(found, begun[: len(kept)] + [None] * (len(begun) - len(kept)))
        instances = await self.all([persister.instance(f"of {number}") for number in range(_BURST)])
        self.assertEqual([one is not None for one in instances], [one is not None for one in found])
        await self.work(persister, "after")


KINDS = (SessionFaults, OutageFaults, RefusalFaults, IdentityFaults)
