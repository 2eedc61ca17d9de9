"""Opens the deployment of a configuration file; the only module here that names concrete classes."""

import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from dockerbroker.broker.trusting import Trust
from dockerbroker.command.deployment import Deployment, MoveWork, Side, Work
from dockerbroker.config import SqliteConfiguration, load_broker
from dockerbroker.config.persister import PersisterConfiguration
from dockerbroker.engines.docker import DockerEngines
from dockerbroker.errors import BrokerError, InvalidConfiguration
from dockerbroker.lifetime import use_monotonic_clock
from dockerbroker.persisters.opening import archive_of, check, open_persister
from dockerbroker.persisters.vault import Vault
from dockerbroker.threads import DaemonThreadPool

_DATABASE_THREADS = 2
#: How many seconds a statement may take that reads or writes many records.
_LONG: Final = 60.0
_LONGEST_NAME: Final = 255
_TITLES: Final = {"mysql": "MySQL", "postgresql": "PostgreSQL", "redis": "Redis"}


class Program:
    """Opens what configuration files describe, and works in the reactor, which runs once in a process."""

    def run(self, path: Path, work: Work) -> int:
        """Do the work on the deployment of the configuration file; see `Opener`."""
        return _in_reactor(lambda reactor: _run(reactor, path, work))

    def move(self, source: Path, target: Path, work: MoveWork) -> int:
        """Do the work on the databases of two configuration files; see `Opener`."""
        return _in_reactor(lambda reactor: _move(reactor, source, target, work))


def _in_reactor(do: Callable[[Any], Coroutine[Any, Any, int]]) -> int:
    outcome: list[int | BrokerError | BrokenPipeError] = []

    async def main(reactor: Any) -> None:
        use_monotonic_clock(reactor)
        try:
            outcome.append(await do(reactor))
        except (BrokerError, BrokenPipeError) as error:
            # The latter click ends without words: whoever reads the results, such as head, has enough.
            outcome.append(error)

    # It always leaves by this exception, and without an outcome something has ended it from outside.
    with suppress(SystemExit):
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    if not outcome:
        sys.exit(1)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


async def _run(reactor: Any, path: Path, work: Work) -> int:
    configuration = load_broker(path, os.environ)
    _require_database(configuration.persister)
    database_threads = DaemonThreadPool("database", _DATABASE_THREADS)
    docker_threads = DaemonThreadPool("docker", 1, leaves_busy=True)
    database_threads.start()
    docker_threads.start()
    try:
        persister = await open_persister(
            reactor, configuration.persister, database_threads, broker=_own_name()
        )
        engines = DockerEngines(
            reactor,
            docker_threads,
            per_host=configuration.per_host,
            trust=Trust(persister),
            allows_plain=configuration.plain_docker,
            narrow_ports=configuration.narrow_ports,
        )
        try:
            deployment = Deployment(
                persister=persister,
                archive=archive_of(persister),
                engines=engines,
                clock=reactor,
                vault=persister.vault,
            )
            return await work(deployment)
        finally:
            await engines.close()
            await persister.close()
    finally:
        docker_threads.stop()
        database_threads.stop()


async def _move(reactor: Any, source: Path, target: Path, work: MoveWork) -> int:
    one, other = (load_broker(path, os.environ).persister for path in (source, target))
    _require_database(one, closed=True)
    check(other, closed=True)
    threads = DaemonThreadPool("database", _DATABASE_THREADS)
    threads.start()
    try:
        async with _side(reactor, one, threads) as first, _side(reactor, other, threads) as second:
            _require_keys(Vault(other.keys), (await first.archive.standing()).identity.sealing)
            return await work(first, second)
    finally:
        threads.stop()


def _require_keys(vault: Vault, sealing: str | None) -> None:
    """See that who will use the target has the keys to the source's secrets, which move as they are."""
    if (why := vault.learn(sealing)) is not None:
        raise InvalidConfiguration(f"keys: what is moved {why}.")


@asynccontextmanager
async def _side(
    reactor: Any, configuration: PersisterConfiguration, threads: DaemonThreadPool
) -> AsyncIterator[Side]:
    name = _name(configuration)
    if not isinstance(configuration, SqliteConfiguration):
        configuration = evolve(configuration, answer_within=_LONG)
    persister = await open_persister(reactor, configuration, threads, broker=_own_name(), closed=True)
    try:
        yield Side(name=name, archive=archive_of(persister))
    finally:
        await persister.close()


def _own_name() -> str:
    return f"command-{os.getpid()}-{secrets.token_hex(16)}"


def _name(configuration: PersisterConfiguration) -> str:
    """Return what people call a database."""
    if isinstance(configuration, SqliteConfiguration):
        text = f"the SQLite database {configuration.database}"
    else:
        where = f"{configuration.host}:{configuration.port}"
        text = f"the {_TITLES[configuration.driver]} database {configuration.database} at {where}"
        if configuration.driver == "redis":
            text += f" under {configuration.prefix}"
    return text[:_LONGEST_NAME]


def _require_database(configuration: PersisterConfiguration, *, closed: bool = False) -> None:
    """See that the database can be used; a file that does not exist is not made."""
    if isinstance(configuration, SqliteConfiguration) and not configuration.database.exists():
        missing = configuration.database
        raise InvalidConfiguration(f"persister.database: {missing} does not exist; the broker makes it.")
    check(configuration, closed=closed)
