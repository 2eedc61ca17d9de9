"""Clocks that are wrong: only that of the database server counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import asdict
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from dockerbroker.config.persister import ServerConfiguration
from tests.faults.case import LONG, FaultTestCase, begin
from tests.persisters import values
from tests.pinging import pings

_ROOT = Path(__file__).resolve().parents[2]
_YEAR = 365 * 86400.0


def claim_with_wrong_clock(configuration: ServerConfiguration, seconds: float) -> Any:
    """Let a process claim whose clock is wrong by so much; returns its report."""
    members = asdict(configuration, recurse=False) | {"password": configuration.password.reveal()}
    del members["keys"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.claimer", str(seconds)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        input=json.dumps(members) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode or done.stderr:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


class ClockFaults(FaultTestCase):
    """Brokers whose machines have wrong clocks."""

    async def test_wrong(self) -> None:
        """A broker that is a year ahead takes no lease too early; one that is a year behind none too late."""
        configuration = self.shared(pool_size=2)
        persister = await self.open(configuration)
        await self.call(persister.record_pings(pings([values.host()])))
        held = await self.call(begin(persister, "held"))
        change = values.provision("lapsed", values.instance("i2"))
        await self.call(persister.begin(change, owner="one", ttl=0, within=LONG))
        reports = await gatherResults(
            [deferToThread(claim_with_wrong_clock, configuration, seconds) for seconds in (_YEAR, -_YEAR)],
            consumeErrors=True,
        )
        self.assertEqual(sorted(name for report in reports for name in report["claimed"]), ["lapsed"])
        self.assertEqual(await self.call(persister.operation("held")), held)
        now = await self.call(persister.now())
        for report in reports:
            self.assertLess(abs(now - report["now"]), 60)
            self.assertLess(abs(report["ages"][0]), 60)


KINDS = (ClockFaults,)
