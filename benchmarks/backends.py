"""Databases of every driver on this machine's disk, each as durable as the broker asks for."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from unittest import SkipTest

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from dockerbroker.config.keys import KeySource
from dockerbroker.config.persister import PersisterConfiguration, SqliteConfiguration, read_persister
from dockerbroker.model.members import Members
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.opening import check, open_persister
from dockerbroker.threads import DaemonThreadPool
from tests.running import persister_section
from tests.servers import DRIVERS as SERVERS
from tests.servers import private_server

T = TypeVar("T")

DRIVERS: Final = ("sqlite", *SERVERS)

#: One for each client: a broker whose `poolsize` suits them. Redis keeps the default of 8 connections.
THREADS: Final = 16
#: Not the folder for temporary files, which may be in memory.
_ON_DISK: Final = Path("/var/tmp")  # noqa: S108 (in a folder of its own)


@frozen
class _Cleanups:
    """What a private server needs of a test."""

    stack: ExitStack

    def addCleanup(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call the function at the end."""
        self.stack.callback(function, *arguments)


@contextmanager
def backend(driver: str) -> Iterator["Callable[[], Section] | None"]:
    """Return what makes new, empty databases of a driver, or None when its server is not installed."""
    with ExitStack() as stack:
        if driver == "sqlite":
            folder = Path(tempfile.mkdtemp(prefix="dockerbroker-benchmark-", dir=_ON_DISK))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            yield lambda: _checked(
                SqliteConfiguration(database=Path(tempfile.mkdtemp(dir=folder)) / "broker.db")
            )
            return
        try:
            server = private_server(cast("Any", _Cleanups(stack)), driver, durable=True)
        except SkipTest as missing:
            print(f"{driver} is left out: {missing}")
            yield None
            return
        yield lambda: _checked(server.new_database())


#: The section `persister` of a broker's file, which other processes can be told.
Section = dict[str, Any]


def configuration_of(section: Section) -> PersisterConfiguration:
    """Return what the section says."""
    members = Members(document=section)
    configuration = read_persister(members, Path(), KeySource())
    members.check()
    return configuration


def _checked(configuration: PersisterConfiguration) -> Section:
    section = persister_section(configuration)
    apart(_check, section)
    return section


def _check(section: Section) -> None:
    check(configuration_of(section))


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call the function in a new process, and return what it returns: both must be importable."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def with_reactor(work: Callable[[Any], Any]) -> Any:
    """Run the reactor of this process, which was never run, until the work is done; returns its result."""
    from twisted.internet import reactor  # noqa: PLC0415 (this process alone may run it)

    loop, outcomes = cast("Any", reactor), list[Any]()
    working = Deferred.fromCoroutine(work(loop))
    working.addBoth(outcomes.append).addBoth(lambda _: loop.callWhenRunning(loop.stop))
    loop.run()
    if isinstance(outcomes[0], Failure):
        outcomes[0].raiseException()
    return outcomes[0]


async def opened(reactor: Any, section: Section) -> IPersister:
    """Return the persister of a database, as a broker opens it."""
    threads = DaemonThreadPool("database", THREADS)
    threads.start()
    configuration = configuration_of(section)
    return cast("IPersister", await open_persister(reactor, configuration, threads, broker="benchmark"))
