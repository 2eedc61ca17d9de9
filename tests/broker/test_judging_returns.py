"""Hosts that ping again after they were called dead."""

from __future__ import annotations

from twisted.logger import capturedLogs

from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.hosts import HostState
from tests.broker.fleet_world import STEP
from tests.broker.test_judging import FleetCase


class ReturnTests(FleetCase):
    """Hosts that ping again."""

    def setUp(self) -> None:
        """Let a host of five die."""
        super().setUp()
        self.start(brokers=1)
        self.kill(1)
        self.fleet.run(5)
        self.agent, self.broker = self.fleet.agents[0], self.fleet.brokers[0]

    def state(self) -> HostState:
        """Return the state of the host that has died."""
        return self.fleet.states()[self.agent.host.key]

    def test_returns(self) -> None:
        """It is compared once, and is alive when it has pinged for two intervals."""
        self.assertIs(self.state(), HostState.DEAD)
        self.agent.is_dead = False
        self.fleet.run(1.9)
        self.assertIs(self.state(), HostState.RETURNING)
        self.fleet.run(1.2)
        self.assertIs(self.state(), HostState.ALIVE)
        self.assertEqual(self.broker.welcomed, [self.agent.host.key])

    def test_not_compared(self) -> None:
        """As long as it cannot be compared it is not used, and that is tried again."""
        self.broker.refusal = EngineUnreachable("Docker does not answer.")
        self.agent.is_dead = False
        with capturedLogs() as events:
            self.fleet.run(20)
        self.assertIs(self.state(), HostState.RETURNING)
        self.assertGreater(len(self.broker.welcomed), 2)
        told = [event["why"] for event in events if "why" in event]
        self.assertEqual(told, [self.broker.refusal.description], "once, however long it lasts")
        self.broker.refusal = None
        self.fleet.run(6)
        self.assertIs(self.state(), HostState.ALIVE)

    def test_defect(self) -> None:
        """A defect at comparing does not end the judging."""
        self.broker.refusal = ZeroDivisionError()
        self.agent.is_dead = False
        self.fleet.run(3)
        self.broker.refusal = None
        self.fleet.run(8)
        self.assertIs(self.state(), HostState.ALIVE)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_flapping(self) -> None:
        """One that comes and goes is used no sooner than two intervals after its first ping, ever (F11)."""
        returned, deaths = 0.0, 0
        for _ in range(30):
            self.agent.is_dead = not self.agent.is_dead
            end = self.fleet.now + self.random.uniform(1, 6)
            while self.fleet.now < end:
                before = self.state()
                self.fleet.run(STEP)
                now = (before, self.state())
                deaths += now == (HostState.RETURNING, HostState.DEAD)
                if now == (HostState.DEAD, HostState.RETURNING):
                    returned = self.fleet.now
                if now == (HostState.RETURNING, HostState.ALIVE):
                    self.assertGreaterEqual(self.fleet.now - returned, 2.0)
        self.assertGreater(deaths, 0)
        self.assertGreater(len(self.broker.welcomed), 3)

    def test_dies_again(self) -> None:
        """One that falls silent while it returns is dead again, and begins anew."""
        self.agent.is_dead = False
        self.fleet.run(1)
        self.agent.is_dead = True
        self.fleet.run(5)
        self.assertIs(self.state(), HostState.DEAD)
        self.agent.is_dead = False
        self.fleet.run(4)
        self.assertIs(self.state(), HostState.ALIVE)
        self.assertEqual(len(self.broker.welcomed), 2)

    def test_database_clock(self) -> None:
        """It returns, too, when the database's clock is set back meanwhile."""
        self.agent.is_dead = False
        self.fleet.run(0.5)
        self.fleet.skew -= 86400
        self.fleet.run(4)
        self.assertIs(self.state(), HostState.ALIVE)
