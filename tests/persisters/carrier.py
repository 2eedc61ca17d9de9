"""A process that opens a database as a broker does and carries an operation until it is killed, for tests.

Reads the configuration as a line. Prints `ready` when it holds the lease of the operation `carried by NAME`,
which lasts as long as it is told, and the process id of a program that it has started, which outlives it.
After another line it writes that the operation has succeeded, and prints `done` or the error's name.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from dockerbroker.config.persister import PersisterConfiguration
from dockerbroker.errors import BrokerError
from dockerbroker.model.instances import Change, Phase
from dockerbroker.persisters.opening import check, open_persister
from dockerbroker.threads import DaemonThreadPool
from tests.persisters import values
from tests.persisters.processes import heard

#: How long the operation and the program may last, in seconds.
LONG = 1000


async def carry(reactor: Any, configuration: PersisterConfiguration, name: str, ttl: float) -> None:
    """Carry the operation."""
    threads = DaemonThreadPool("database", 2)
    threads.start()
    persister = await open_persister(reactor, configuration, threads, broker=name)
    change = values.provision(f"carried by {name}", values.instance(f"of {name}"))
    begun = await persister.begin(change, owner=f"{name}/1", ttl=ttl, within=LONG)
    tell(f"ready {start_program()}")
    await deferToThread(sys.stdin.readline)
    try:
        await persister.commit(Change(operation=begun.over(Phase.SUCCEEDED, 1.0)))
    except BrokerError as error:
        tell(type(error).__name__)
    else:
        tell("done")


def tell(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def start_program() -> int:
    """Start a program that inherits whatever is not closed on exec; returns its process id."""
    program = subprocess.Popen(
        ["/bin/sleep", str(LONG)], close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    return program.pid


def main(name: str, ttl: float) -> None:
    """Check the database and carry."""
    configuration = heard(sys.stdin.readline())
    check(configuration)
    react(lambda reactor: ensureDeferred(carry(reactor, configuration, name, ttl)))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
