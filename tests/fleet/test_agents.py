"""Agents that are killed or frozen, while the Docker of their host is well."""

from __future__ import annotations

from collections.abc import Callable

from tests.fleet.case import FleetCase, wait
from tests.fleet.services import ANYWHERE, on


class AgentTests(FleetCase):
    """A host without an agent is dead: it gets nothing new, and what it has goes on."""

    def check_dead_and_back(self, number: int, end: Callable[[], None], go_on: Callable[[], None]) -> None:
        """Check what is seen while the host has no agent, and that it is used again."""
        self.provision_all({"i-1": on(number)})
        end()
        self.wait_for(number, "State", "dead")
        self.wait_until_refused(on(number), "1 sent no ping lately")
        self.assertEqual(self.provision("i-3", ANYWHERE).status, 201)
        self.assertEqual(self.broker.bind("i-1", "b-1", on(number)).status, 201)
        self.assertEqual(self.containers()[number], 1)
        go_on()
        self.wait_until_usable(number)
        self.assertEqual(self.provision("i-2", on(number)).status, 201)
        address = self.fleet.host(number).address
        for line in self.logged("is dead"):
            self.assertIn(f"{address} is dead", line)

    def test_killed(self) -> None:
        """The host of an agent that was killed is dead until the agent is started again; binds go on."""
        host = self.fleet.host(2)
        self.check_dead_and_back(2, host.kill_agent, self.fleet.heal)
        self.assertTrue(self.logged("Registered with the broker"))

    def test_frozen(self) -> None:
        """So is that of an agent that hangs, until it goes on."""
        host = self.fleet.host(3)
        self.check_dead_and_back(3, host.freeze_agent, self.fleet.heal)
        wait(lambda: not self.state(3)["Hindrance"], lambda: str(self.state(3)))
