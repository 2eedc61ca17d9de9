"""The order in which the parts of a program start and end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from threading import Event, current_thread
from typing import Any

from attrs import define, field
from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dockerbroker.errors import InvalidRequest, Unavailable
from dockerbroker.lifetime import (
    Lifetime,
    Stage,
    make_or_refuse,
    names_stage,
    pool_stage,
    use_monotonic_clock,
)
from dockerbroker.threads import DaemonThreadPool

# Twisted declares it as less than it is.
reactor: Any = the_reactor


@define(eq=False)
class _Journal:
    """Makes stages that write down when they start and stop."""

    lines: list[str] = field(factory=list)
    failures: list[Failure] = field(factory=list)
    clock: Clock = field(factory=Clock)

    def stage(self, name: str, *, start: Any = None, stop: Any = None, patience: float = 60.0) -> Stage:
        """Make a stage whose start and stop return what is given."""

        def noting(what: str, result: Any) -> Callable[[], Any]:
            def note() -> Any:
                self.lines.append(f"{what} {name}")
                return result

            return note

        return Stage(name=name, start=noting("start", start), stop=noting("stop", stop), patience=patience)

    def lifetime(self, *stages: Stage) -> Lifetime:
        """Make a service of the stages."""
        return Lifetime(clock=self.clock, stages=stages, failed=self.failures.append)


class LifetimeTests(SynchronousTestCase):
    """A service of several stages."""

    def test_order(self) -> None:
        """Stages start in their order and stop in the opposite one."""
        journal = _Journal()
        lifetime = journal.lifetime(journal.stage("pools"), journal.stage("work"), journal.stage("listener"))
        lifetime.startService()
        self.assertTrue(lifetime.running)
        self.successResultOf(lifetime.stopService())
        self.assertEqual(
            journal.lines,
            ["start pools", "start work", "start listener", "stop listener", "stop work", "stop pools"],
        )
        self.assertFalse(lifetime.running)

    def test_start_is_awaited(self) -> None:
        """A stage starts only when the one before it has started."""
        journal, opened = _Journal(), Deferred[None]()
        lifetime = journal.lifetime(journal.stage("database", start=opened), journal.stage("listener"))
        lifetime.startService()
        self.assertEqual(journal.lines, ["start database"])
        opened.callback(None)
        self.assertEqual(journal.lines, ["start database", "start listener"])

    def test_stop_is_awaited(self) -> None:
        """A stage stops only when the one after it has stopped."""
        journal, drained = _Journal(), Deferred[None]()
        lifetime = journal.lifetime(journal.stage("pools"), journal.stage("requests", stop=drained))
        lifetime.startService()
        stopping = lifetime.stopService()
        self.assertEqual(journal.lines[2:], ["stop requests"])
        self.assertNoResult(stopping)
        drained.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(journal.lines[2:], ["stop requests", "stop pools"])

    def test_coroutines(self) -> None:
        """Starts and stops may be coroutine functions."""
        lines: list[str] = []

        async def start() -> None:
            lines.append("start")

        async def stop() -> None:
            lines.append("stop")

        lifetime = _Journal().lifetime(Stage(name="work", start=start, stop=stop))
        lifetime.startService()
        self.successResultOf(lifetime.stopService())
        self.assertEqual(lines, ["start", "stop"])

    def test_failing_stop(self) -> None:
        """A stage that fails to stop is logged, and the others are stopped all the same."""
        journal = _Journal()
        broken = journal.stage("work", stop=fail(ZeroDivisionError("broken")))
        lifetime = journal.lifetime(journal.stage("pools"), broken)
        lifetime.startService()
        self.successResultOf(lifetime.stopService())
        self.assertEqual(journal.lines[2:], ["stop work", "stop pools"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_hanging_stop(self) -> None:
        """A stage that does not stop is left behind when its patience is over."""
        journal = _Journal()
        hanging = journal.stage("work", stop=Deferred(), patience=5)
        lifetime = journal.lifetime(journal.stage("pools"), hanging)
        lifetime.startService()
        stopping = lifetime.stopService()
        journal.clock.advance(4.9)
        self.assertNoResult(stopping)
        journal.clock.advance(0.1)
        self.successResultOf(stopping)
        self.assertEqual(journal.lines[2:], ["stop work", "stop pools"])

    def test_failing_start(self) -> None:
        """When a start fails, the program is told, and only what has started is stopped."""
        journal = _Journal()
        broken = journal.stage("database", start=fail(Unavailable("It is gone.")))
        lifetime = journal.lifetime(journal.stage("pools"), broken, journal.stage("listener"))
        lifetime.startService()
        (failure,) = journal.failures
        self.assertIs(failure.type, Unavailable)
        self.successResultOf(lifetime.stopService())
        self.assertEqual(journal.lines, ["start pools", "start database", "stop pools"])

    def test_stop_while_starting(self) -> None:
        """A program that is stopped while it starts starts no more, and that is no failure."""
        journal = _Journal()
        hanging = journal.stage("database", start=Deferred())
        lifetime = journal.lifetime(journal.stage("pools"), hanging, journal.stage("listener"))
        lifetime.startService()
        self.successResultOf(lifetime.stopService())
        self.assertEqual(journal.lines, ["start pools", "start database", "stop pools"])
        self.assertEqual(journal.failures, [])


class PoolTests(TestCase):
    """Stages of thread pools, on the real reactor."""

    async def test_last_call_is_awaited(self) -> None:
        """A pool stops when its last call has ended, while the reactor runs on."""
        pool, begun, release = DaemonThreadPool("test", 2), Event(), Event()
        stage = pool_stage(reactor, pool)
        stage.start()

        def call() -> bool:
            begun.set()
            release.wait(30)
            return current_thread().daemon

        calling = deferToThreadPool(reactor, pool, call)
        begun.wait(30)
        stopping = stage.stop()
        self.assertFalse(stopping.called)
        # The reactor is free: it is what lets the call end.
        reactor.callLater(0, release.set)
        await stopping
        self.assertTrue(await calling)

    async def test_hanging_call(self) -> None:
        """A call that never ends keeps a program for the stage's patience, and no longer."""
        pool, begun, release = DaemonThreadPool("test", 1), Event(), Event()
        self.addCleanup(release.set)
        clock = Clock()
        stage = pool_stage(reactor, pool, patience=3)
        lifetime = Lifetime(clock=clock, stages=[stage], failed=self.fail)
        lifetime.startService()

        def call() -> None:
            begun.set()
            release.wait(30)

        calling = deferToThreadPool(reactor, pool, call)
        begun.wait(30)
        stopping = lifetime.stopService()
        clock.advance(3)
        await stopping
        release.set()
        await calling

    async def test_names(self) -> None:
        """Names are resolved in the pool of the stage, whose threads end with it."""
        installed: list[Any] = []

        class Names:
            """A reactor that only takes a resolver."""

            callFromThread = staticmethod(reactor.callFromThread)
            installNameResolver = staticmethod(installed.append)

        stage = names_stage(Names(), DaemonThreadPool("names", 1))
        stage.start()
        await stage.stop()
        self.assertEqual(len(installed), 1)


class ProgramTests(SynchronousTestCase):
    """How a program refuses to start, and how it fails."""

    def test_refusal(self) -> None:
        """What stands in the way is one line that names the program."""

        def make() -> None:
            raise InvalidRequest("port: is\nwrong.")

        refusal = self.assertRaises(SystemExit, make_or_refuse, "dockerbroker", make)
        self.assertEqual(refusal.code, "dockerbroker: port: is wrong.")

    def test_monotonic_clock(self) -> None:
        """Timers run by the clock that nobody sets."""
        fake = Clock()
        use_monotonic_clock(fake)
        self.assertIs(fake.seconds, time.monotonic)

    def test_failure_to_start(self) -> None:
        """A program whose part fails to start stops what had started, and leaves with exit status 1."""
        ended = subprocess.run(
            [sys.executable, "-c", _FAILING_PROGRAM],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertIn("stopped", ended.stdout.splitlines())
        self.assertIn("Cannot start: The database is gone.", ended.stdout)
        self.assertNotIn("Traceback", ended.stdout + ended.stderr)


_FAILING_PROGRAM = """
import sys
from functools import partial
from twisted.internet import reactor
from twisted.internet.defer import fail
from twisted.internet.task import deferLater
from twisted.logger import globalLogBeginner, textFileLogObserver
from dockerbroker.errors import Unavailable
from dockerbroker.lifetime import Lifetime, Stage, end_with_failure

def broken():
    return deferLater(reactor, 0).addCallback(lambda _: fail(Unavailable("The database is gone.")))

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
lifetime = Lifetime(
    clock=reactor,
    stages=[Stage(name="first", stop=lambda: print("stopped")), Stage(name="second", start=broken)],
    failed=partial(end_with_failure, reactor),
)
lifetime.startService()
reactor.addSystemEventTrigger("before", "shutdown", lifetime.stopService)
reactor.run()
"""
