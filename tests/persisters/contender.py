"""Processes that start at once on one database and contend with each other; run by tests.

Reads the configuration as a line. Each of PROCESSES processes opens the database as a broker does and tries
to provision the same INSTANCES; then it begins its share of so many OPERATIONS under leases that lapse soon,
and all claim. Prints as one line of JSON what each of them reports: the cluster's identifier, which instances
it won, how often it lost in which way, and what it claimed.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import traceback
from collections import Counter
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater, react

from dockerbroker.config.persister import PersisterConfiguration
from dockerbroker.errors import BrokerError
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.opening import check, open_persister
from dockerbroker.threads import DaemonThreadPool
from tests.persisters import values
from tests.persisters.processes import heard

#: How long what is won is held, in seconds.
_LONG: Final = 1000
#: The leases that are to be claimed last so long, and each a little longer than the one before; seconds.
_SHORTEST: Final = 0.3
_SPREAD: Final = 0.5
#: Between two claims; seconds.
_PAUSE: Final = 0.01

# Forked processes have one program to load; the reactor must be loaded by each.
_context: Final = multiprocessing.get_context("fork")


@define(eq=False)
class Contender:
    """One of the processes; `line` is where all wait for each other."""

    number: int
    processes: int
    instances: int
    operations: int
    line: Any
    clusters: list[str] = field(factory=list)
    won: list[str] = field(factory=list)
    lost: Counter[str] = field(factory=Counter)
    claimed: list[tuple[str, int]] = field(factory=list)

    @property
    def owner(self) -> str:
        """The name under which it holds its leases."""
        return f"process {self.number}/1"

    async def begin(self, persister: IPersister) -> None:
        """Try to provision every instance."""
        for number in range(self.instances):
            made = values.instance(str(number), 20000 + number)
            change = values.provision(f"{number} {self.number}", made)
            try:
                begun = await persister.begin(change, owner=self.owner, ttl=_LONG, within=_LONG)
            except BrokerError as error:
                self.lost[type(error).__name__] += 1
            else:
                self.won.append(begun.instance_id)

    async def leave(self, persister: IPersister) -> None:
        """Begin a share of the operations."""
        for number in range(self.number, self.operations, self.processes):
            change = values.provision(f"left {number}", values.instance(f"left {number}"))
            ttl = _SHORTEST + _SPREAD * number / self.operations
            await persister.begin(change, owner="left/1", ttl=ttl, within=_LONG)

    async def claim(self, persister: IPersister, reactor: Any) -> None:
        """Claim what has lapsed until all has."""
        end = await persister.now() + _SHORTEST + _SPREAD
        is_over = False
        while not is_over:
            is_over = await persister.now() > end
            claimed = await persister.claim(self.owner, ttl=_LONG)
            self.claimed += [(operation.id, operation.epoch) for operation in claimed]
            await deferLater(reactor, _PAUSE)


async def work(reactor: Any, configuration: PersisterConfiguration, contender: Contender) -> None:
    """Open the database and contend."""
    threads = DaemonThreadPool("database", 2)
    threads.start()
    persister = await open_persister(reactor, configuration, threads, broker=f"process {contender.number}")
    contender.clusters.append(await persister.cluster_id())
    await contender.begin(persister)
    await contender.leave(persister)
    contender.line.wait()
    await contender.claim(persister, reactor)
    # What a broker of SQLite holds that has ended would be claimed once more.
    contender.line.wait()
    await persister.close()
    threads.stop()


def run(configuration: PersisterConfiguration, contender: Contender, reports: Any) -> None:
    """Be one of the processes."""

    async def main(reactor: Any) -> None:
        try:
            await work(reactor, configuration, contender)
        except Exception:
            contender.line.abort()
            sys.stderr.write(traceback.format_exc())
            raise

    try:
        contender.line.wait()
        check(configuration)
        react(lambda reactor: ensureDeferred(main(reactor)))
    except Exception:
        contender.line.abort()
        raise
    finally:
        names = ("clusters", "won", "lost", "claimed")
        reports.put({name: getattr(contender, name) for name in names})


def main(processes: int, instances: int, operations: int) -> None:
    """Let all contend, and print what came of it."""
    configuration = heard(sys.stdin.readline())
    line, reports = _context.Barrier(processes, timeout=60), _context.SimpleQueue()
    contenders = [Contender(number, processes, instances, operations, line) for number in range(processes)]
    started = [
        _context.Process(target=run, args=(configuration, contender, reports)) for contender in contenders
    ]
    for process in started:
        process.start()
    found = [reports.get() for _ in started]
    for process in started:
        process.join()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
