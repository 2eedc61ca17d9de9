"""Opens the deployment of a configuration file; the only module here that names concrete classes."""

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from dockerbroker.command.deployment import Deployment, Work
from dockerbroker.config import load_broker
from dockerbroker.engines.docker import DockerEngines
from dockerbroker.errors import BrokerError, InvalidConfiguration
from dockerbroker.lifetime import use_monotonic_clock
from dockerbroker.persisters.opening import check, open_persister
from dockerbroker.persisters.sqlite import sqlite_url
from dockerbroker.threads import DaemonThreadPool

_DATABASE_THREADS = 2


def run(path: Path, work: Work) -> int:
    """Do the work on the deployment of the configuration file; returns the exit status.

    The reactor runs once in a process. Raises a `BrokerError` with what stands in the way.
    """
    outcome: list[int | BrokerError] = []

    async def main(reactor: Any) -> None:
        use_monotonic_clock(reactor)
        try:
            outcome.append(await _run(reactor, path, work))
        except BrokerError as error:
            outcome.append(error)

    # It always leaves by this exception, and without an outcome something has ended it from outside.
    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    if not outcome:
        sys.exit(1)
    if isinstance(outcome[0], BrokerError):
        raise outcome[0]
    return outcome[0]


async def _run(reactor: Any, path: Path, work: Work) -> int:
    configuration = load_broker(path, os.environ)
    file = configuration.persister.database
    if not file.exists():
        raise InvalidConfiguration(f"persister.database: {file} does not exist; the broker makes it.")
    url = sqlite_url(file)
    check(url)
    database_threads = DaemonThreadPool("database", _DATABASE_THREADS)
    docker_threads = DaemonThreadPool("docker", 1, leaves_busy=True)
    database_threads.start()
    docker_threads.start()
    engines = DockerEngines(reactor, docker_threads, per_host=configuration.per_host)
    name = f"command-{os.getpid()}-{secrets.token_hex(16)}"
    try:
        persister = await open_persister(reactor, url, database_threads, broker=name)
        try:
            return await work(Deployment(persister=persister, engines=engines, clock=reactor))
        finally:
            await persister.close()
    finally:
        await engines.close()
        docker_threads.stop()
        database_threads.stop()
