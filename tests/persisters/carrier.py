"""A process that opens a SQLite file as a broker does and carries an operation until it is killed, for tests.

Prints `ready` when it holds the lease of the operation `carried by NAME`, which lasts longer than any test,
and the process id of a program that it has started, which outlives it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react
from twisted.python.threadpool import ThreadPool

from dockerbroker.persisters.opening import check, open_persister
from dockerbroker.persisters.sqlite import sqlite_url
from tests.persisters import values

#: How long the lease and the program last, in seconds.
LONG = 1000


async def carry(reactor: Any, path: Path, name: str) -> None:
    """Carry the operation."""
    pool = ThreadPool(0, 2)
    pool.start()
    persister = await open_persister(reactor, sqlite_url(path), pool, broker=name)
    change = values.provision(f"carried by {name}", values.instance(f"of {name}"))
    await persister.begin(change, owner=f"{name}/1", ttl=LONG, within=LONG)
    sys.stdout.write(f"ready {start_program()}\n")
    sys.stdout.flush()
    await Deferred()


def start_program() -> int:
    """Start a program that inherits whatever is not closed on exec; returns its process id."""
    program = subprocess.Popen(
        ["/bin/sleep", str(LONG)], close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    return program.pid


def main(path: Path, name: str) -> None:
    """Check the database and carry."""
    check(sqlite_url(path))
    react(lambda reactor: ensureDeferred(carry(reactor, path, name)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
