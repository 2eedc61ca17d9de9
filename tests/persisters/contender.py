"""A process that starts with others on one SQLite file and contends with them; run by tests.

Prints `ready`, waits for a line, opens the database as a broker does, then tries to provision instances with
the identifiers 0 to COUNT - 1, and prints as one line of JSON the cluster's identifier, what it won, and how
often it lost in which way.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.opening import check
from dockerbroker.persisters.sqlite import boot_time, sqlite_url
from tests.persisters import values
from tests.persisters.files import open_here


@define(eq=False)
class Contender:
    """One of the processes."""

    name: str
    persister: IPersister
    won: list[str] = field(factory=list)
    lost: Counter[str] = field(factory=Counter)

    def contend(self, count: int) -> None:
        """Try to provision every instance."""
        for number in range(count):
            change = values.provision(f"{number} {self.name}", values.instance(str(number), 20000 + number))
            call = Deferred.fromCoroutine(self.persister.begin(change, owner=self.name, ttl=60, within=60))
            call.addCallbacks(lambda begun: self.won.append(begun.instance_id), self._lose)

    def _lose(self, failure: Any) -> None:
        self.lost[failure.type.__name__] += 1


def main(path: Path, name: str, count: int) -> None:
    """Contend, and print what came of it."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    check(sqlite_url(path))
    contender = Contender(name, open_here(path, boot_time))
    clusters: list[str] = []
    Deferred.fromCoroutine(contender.persister.cluster_id()).addCallback(clusters.append)
    contender.contend(count)
    report = {"cluster": clusters[0], "won": contender.won, "lost": contender.lost}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
