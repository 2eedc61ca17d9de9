"""What the tests of faults share: persisters as brokers have them, on real servers, with the real reactor."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.errors import Unavailable
from dockerbroker.model.instances import Change, Operation, Phase
from dockerbroker.persisters import sql
from dockerbroker.persisters.opening import check, open_persister
from dockerbroker.persisters.redis import lanes
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.threads import DaemonThreadPool
from tests.persisters import values
from tests.servers import private_server, server
from tests.servers.common import Server

T = TypeVar("T")

#: Seconds within which every call is answered: 5, and what a busy machine takes.
IN_TIME = 15.0
#: What a busy machine may lead to as well.
_EXCUSES = (
    "The broker's database does not answer in time; try again later.",
    "The broker's database cannot be reached; try again later.",
)
#: See `FaultTestCase.patience`.
PATIENT = 12.0
#: Longer than any test, in seconds.
LONG = 1000.0

#: Seconds between two looks; InnoDB's tables tell nothing new to who looks more often than each 0.1.
_PAUSE = 0.15


class FaultTestCase(TestCase):
    """Calls of persisters on a server of that driver."""

    driver: ClassVar[str]
    #: For how many seconds calls are tried where it is shown that they succeed, and not how soon they fail.
    patience: ClassVar[float | None] = None
    #: Seconds; only to end a test that hangs.
    timeout = 120

    def private(self, **options: Any) -> Server:
        """Return a server that the test may break."""
        return private_server(self, self.driver, **options)

    def shared(self, **changes: Any) -> ServerConfiguration:
        """Return a database of the server that all tests share."""
        return server(self.driver).new_database(**changes)

    async def open(self, configuration: ServerConfiguration, broker: str = "one") -> Any:
        """Return the persister of a broker, closed when the test is over."""
        await self.patiently(lambda: deferToThread(check, configuration))
        threads = DaemonThreadPool("database", configuration.pool_size, leaves_busy=True)
        threads.start()
        self.addCleanup(threads.stop)
        persister = await self.patiently(
            lambda: open_persister(reactor, configuration, threads, broker=broker)
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(persister.close()))
        if self.patience is not None:
            self.be_patient(persister, self.patience)
        return persister

    def be_patient(self, persister: Any, seconds: float) -> None:
        """Let calls be tried for so long: a busy machine may stand still for longer than users wait."""
        self.patch(sql, "PATIENCE", seconds)
        self.patch(lanes, "LIMIT", seconds)
        if isinstance(persister, SqlPersister):
            database: Any = persister.database
            database.limit = seconds

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try, again and again as a broker does that is started, until the server answers in time."""
        until = time.monotonic() + self.timeout / 2
        while True:
            try:
                return await attempt()
            except Unavailable:
                if time.monotonic() > until:
                    raise
            await deferLater(reactor, _PAUSE)

    def call(self, call: Coroutine[Any, Any, T]) -> Deferred[T]:
        """Make the call, which must be answered in time."""
        return Deferred.fromCoroutine(call).addTimeout(IN_TIME, reactor)

    async def all(self, calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Make the calls at once; none may fail."""
        return list(await gatherResults([self.call(call) for call in calls], consumeErrors=True))

    def outcomes(self, calls: Sequence[Coroutine[Any, Any, Any]]) -> Deferred[list[Any]]:
        """Make the calls at once; fires with what each returned, or the error that it raised."""
        made = [self.call(call) for call in calls]
        return DeferredList(made, consumeErrors=True).addCallback(
            lambda results: [found if success else found.value for success, found in results]
        )

    async def unavailable(self, *calls: Coroutine[Any, Any, Any]) -> set[str]:
        """Check that each of the calls, made at once, raises `Unavailable` in time; returns the sentences.

        On a busy machine a server may be too late to say why, but not to all of them.
        """
        sentences = set()
        for outcome in await self.outcomes(calls):
            self.assertIsInstance(outcome, Unavailable)
            sentences.add(outcome.description)
        for sentence in sentences:
            self.assertRegex(sentence, r"^The broker's database .*; try again later\.$")
        for excuse in _EXCUSES:
            if len(sentences) > 1:
                sentences.discard(excuse)
        return sentences

    async def until(self, found: Any) -> None:
        """Wait until the function, called in a thread, finds something."""
        while not await deferToThread(found):
            await deferLater(reactor, _PAUSE)

    async def work(self, persister: Any, name: str) -> None:
        """Check that everything works: a new instance is provisioned, and found."""
        made = values.instance(f"instance of {name}")
        begun = await self.call(
            persister.begin(values.provision(name, made), owner="one", ttl=LONG, within=LONG)
        )
        self.assertEqual(await self.call(persister.operation(name)), begun)
        await self.call(persister.commit(Change(operation=begun.over(Phase.SUCCEEDED, 1.0))))
        found = await self.call(persister.instance(made.id))
        self.assertEqual((found.id, found.operation_id), (made.id, None))

    async def provisioned(self, persister: Any, instance_id: str = "i1") -> None:
        """Store an instance that nothing holds."""
        begun = await self.call(begin(persister, f"made {instance_id}", instance_id))
        await self.call(persister.commit(Change(operation=begun.over(Phase.SUCCEEDED, 1.0))))


def begin(persister: Any, name: str, instance_id: str = "", **members: Any) -> Coroutine[Any, Any, Operation]:
    """Return a call that begins the provision of that name, of an instance of its own."""
    made = values.instance(instance_id or f"of {name}", **members)
    call: Coroutine[Any, Any, Operation] = persister.begin(
        values.provision(name, made), owner="one", ttl=LONG, within=LONG
    )
    return call


def cases_for(
    module: str, driver: str, kinds: Sequence[type[FaultTestCase]]
) -> dict[str, type[FaultTestCase]]:
    """Return a test case for each kind, by its name: what the module adds to its own names."""
    cases: dict[str, type[FaultTestCase]] = {}
    for kind in kinds:
        name = f"{driver.title()}{kind.__name__.removesuffix('Faults')}Tests"
        members = {"driver": driver, "__module__": module, "__doc__": kind.__doc__}
        cases[name] = type(name, (kind,), members)
    return cases
