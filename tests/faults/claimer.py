"""A process whose wall clock is wrong, and that claims what has lapsed, for tests.

Reads the members of a configuration as one line of JSON. Prints, as one line of JSON, the operations that it
has claimed, the age of each host's last ping, and the time of the leases.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.opening import open_persister
from dockerbroker.threads import DaemonThreadPool


def put_clock_wrong(seconds: float) -> None:
    """Let this process believe that it is so much later."""
    right = time.time
    time.time = lambda: right() + seconds


async def claim(reactor: Any, configuration: ServerConfiguration) -> None:
    """Claim, and print what came of it."""
    threads = DaemonThreadPool("database", 1)
    threads.start()
    persister = await open_persister(reactor, configuration, threads, broker="wrong")
    claimed = await persister.claim("wrong/1", ttl=1000)
    report = {
        "claimed": [operation.id for operation in claimed],
        "ages": [report.age for report in await persister.hosts()],
        "now": await persister.now(),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    await persister.close()
    threads.stop()


def main(seconds: float) -> None:
    """Read the configuration and claim."""
    put_clock_wrong(seconds)
    members = json.loads(sys.stdin.readline())
    configuration = ServerConfiguration(**members | {"password": Secret(members["password"])})
    react(lambda reactor: ensureDeferred(claim(reactor, configuration)))


if __name__ == "__main__":
    main(float(sys.argv[1]))
