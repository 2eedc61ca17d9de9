"""Wall clocks of brokers and agents that are set by a day while they run."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from typing import Final

from tests.fleet import clocks
from tests.fleet.case import FleetCase, wait
from tests.fleet.hosts import KEEP_ALIVE
from tests.fleet.services import ANYWHERE
from tests.real_engine import require

_DAY: Final = 86400
#: How many pings a host sends, to two brokers, before it would be called dead, and the clock has been read.
_PINGS: Final = int(2 * 3 / KEEP_ALIVE)
#: What is logged of a host that is not well.
_TROUBLES: Final = ("is dead", "fallen silent", "cannot be trusted", "Docker is not well")
#: How often clocks are set at most until nothing but that has disturbed a host.
_TURNS: Final = 3


class ClockTests(FleetCase):
    """Programs that read the time from libfaketime."""

    def test_steps(self) -> None:
        """No step of any program's clock makes a host look dead, stops pings, or disturbs an operation."""
        require(backend_available=clocks.library() is not None, reason="libfaketime is not installed")
        # A busy machine may let a host fall silent now and then; a wrong use of clocks does so at each step.
        disturbances: list[Counter[str]] = []
        while len(disturbances) < _TURNS and (not disturbances or disturbances[-1]):
            disturbances.append(self.disturbance(len(disturbances)))
        self.assertEqual(disturbances[-1], Counter(), disturbances)

    def disturbance(self, turn: int) -> Counter[str]:
        """Set clocks forth and back, and return what the logs then tell of hosts that are not well."""
        before = self.troubles()
        for steps in (
            {"broker1": _DAY, "broker2": -_DAY, "agent1": _DAY, "agent2": -_DAY},
            {"broker1": -_DAY, "broker2": _DAY, "agent1": -_DAY, "agent3": _DAY},
        ):
            for name, seconds in steps.items():
                self.fleet.clocks.set(seconds, name)
            self.provision_all(
                {f"i-{turn}-{steps[name]}-{name}": ANYWHERE for name in ("broker1", "broker2")}
            )
            self.wait_until_set(steps["broker1"])
            self.wait_for_pings()
        return self.troubles() - before

    def troubles(self) -> Counter[str]:
        """Return the lines of all logs that tell of a host that is not well."""
        return Counter(line for words in _TROUBLES for line in self.logged(words))

    def wait_until_set(self, seconds: int) -> None:
        """Wait until the first broker, which logs requests, has read its clock; else nothing is shown."""
        day = (datetime.now().astimezone() + timedelta(seconds=seconds)).strftime("%Y-%m-%d")

        def is_set() -> bool:
            self.broker.deprovision("nothing", ANYWHERE)
            return day in self.broker.log()

        wait(is_set, lambda: f"the broker has never logged {day}: {self.broker.log()[-2000:]}")

    def wait_for_pings(self) -> None:
        """Wait until every host has pinged as often as it does while it could be called dead."""
        wanted = {host.number: self.sequence(host.number) + _PINGS for host in self.fleet.hosts}
        for number, sequence in wanted.items():
            wait(
                lambda: self.sequence(number) >= sequence,  # noqa: B023
                lambda: f"the agent of host {number} does not ping: {self.fleet.host(number).log()}",  # noqa: B023
            )

    def sequence(self, number: int) -> int:
        """Return how many pings of the host were stored."""
        query = "SELECT sessions FROM hosts WHERE service_host = ?"
        with closing(sqlite3.connect(self.database)) as connection:
            ((sessions,),) = connection.execute(query, (self.fleet.host(number).address,)).fetchall()
        return int(json.loads(sessions)["sequence"])
