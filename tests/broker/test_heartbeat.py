"""The broker tells the database that it is there."""

from __future__ import annotations

from typing import Final

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.heartbeat import PERIOD, Heartbeat
from dockerbroker.errors import Unavailable
from dockerbroker.model.hosts import LONGEST_GAP
from tests.memory_persister import MemoryPersister
from tests.pinging import pings
from tests.stack import HOST

_LOST: Final = Unavailable("The database is gone.")


@define(eq=False)
class SlowPersister(MemoryPersister):
    """A persister whose beats hang until they are told to end."""

    under_way: list[Deferred[None]] = field(factory=list)

    async def observe(self) -> None:
        """Wait, and then do it."""
        self.under_way.append(Deferred())
        await self.under_way[-1]
        await super().observe()


class HeartbeatTests(SynchronousTestCase):
    """Beats, on a clock that the tests set."""

    def setUp(self) -> None:
        """Start a heartbeat."""
        self.clock = Clock()
        self.persister = MemoryPersister(self.clock.seconds)
        self.start(self.persister)

    def start(self, persister: MemoryPersister) -> None:
        """Start another heartbeat."""
        self.heartbeat = Heartbeat(persister, self.clock)
        self.heartbeat.start()

    def fail_beats(self, times: int, error: Exception) -> None:
        """Let so many of the next beats fail."""
        for _ in range(times):
            self.persister.fail_next("observe", error)

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.pump([1] * seconds)

    def test_beats(self) -> None:
        """There is a beat every second, so that one that is late makes no gap; none after the end."""
        self.assertLess(PERIOD, LONGEST_GAP)
        self.wait(10)
        self.assertEqual(self.persister.calls, ["observe"] * 10)
        observation = self.persister.tables.observation
        assert observation is not None
        self.assertEqual((observation.since, observation.at), (1, 10))
        self.heartbeat.stop()
        self.heartbeat.stop()
        self.wait(10)
        self.assertEqual(len(self.persister.calls), 10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_paused(self) -> None:
        """While it is paused there is no beat, so that hosts whose pings are refused are not silent."""
        self.wait(5)
        self.heartbeat.is_paused = True
        self.wait(5)
        self.assertEqual(len(self.persister.calls), 5)
        self.heartbeat.is_paused = False
        self.wait(1)
        observation = self.persister.tables.observation
        assert observation is not None
        self.assertEqual((observation.since, observation.at), (11, 11))

    def test_database_away(self) -> None:
        """While the database is away the beats go on, and the log is told once for each time."""
        with capturedLogs() as events:
            for _ in range(2):
                self.fail_beats(20, _LOST)
                self.wait(21)
        self.assertEqual(len(self.persister.calls), 42)
        self.assertEqual([event["log_level"] for event in events], [LogLevel.warn] * 2)
        self.assertEqual({event["why"] for event in events}, {_LOST.description})

    def test_defect(self) -> None:
        """A defect does not end the beats, and is told once."""
        self.fail_beats(20, ZeroDivisionError())
        self.wait(21)
        self.assertEqual(len(self.persister.calls), 21)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_slow(self) -> None:
        """A beat that takes long is not overlapped by another one, and what it waits for may end later."""
        self.heartbeat.stop()
        slow = SlowPersister(self.clock.seconds)
        self.start(slow)
        self.wait(10)
        self.assertEqual(len(slow.under_way), 1)
        slow.under_way[0].callback(None)
        self.wait(1)
        self.assertEqual(len(slow.under_way), 2)
        self.heartbeat.stop()
        slow.under_way[1].callback(None)
        self.wait(10)
        self.assertEqual((len(slow.under_way), slow.calls), (2, ["observe"] * 2))

    def test_silence(self) -> None:
        """While it beats, a host that sends no ping is dead after three of its own intervals, not before."""
        self.wait(1)
        host = evolve(HOST, keep_alive=2)
        self.successResultOf(Deferred.fromCoroutine(self.persister.record_pings(pings([host]))))
        alive = []
        for _ in range(9):
            [report] = self.successResultOf(Deferred.fromCoroutine(self.persister.hosts()))
            alive.append(report.is_alive)
            self.wait(1)
        self.assertEqual(alive, [True] * 7 + [False] * 2)
