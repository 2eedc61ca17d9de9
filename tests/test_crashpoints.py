"""Crash points: what they are called, what is done at them, and that they are nowhere else."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

import dockerbroker
from dockerbroker.broker.seams import make_seams
from dockerbroker.crashpoints import VARIABLE, Reached, armed, enter, names, pointed
from dockerbroker.engines.interfaces import IEngine, IExecutor
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters.interfaces import IPersister


class ISeam(Interface):
    """A seam."""

    async def good(number: int) -> int:  # noqa: N805
        """Return the number."""

    async def bad() -> None:
        """Raise a `KeyError`."""


@implementer(ISeam)
class Target:
    """Implements the seam, and more."""

    async def good(self, number: int) -> int:
        """Return the number."""
        return number

    async def bad(self) -> None:
        """Raise a `KeyError`."""
        raise KeyError

    async def hidden(self) -> None:
        """Do what the interface does not know of."""


class PointedTests(SynchronousTestCase):
    """The proxy that has a point before and after every call."""

    def setUp(self) -> None:
        """Record what is reached."""
        self.reached: list[str] = []

    async def reach(self, name: str) -> None:
        """Record the name."""
        self.reached.append(name)

    def call(self, member: str, *arguments: Any, place: str = "") -> Any:
        """Call a member of a pointed target in a place."""

        async def run() -> Any:
            enter(place)
            return await getattr(pointed(ISeam, Target(), "seam", self.reach), member)(*arguments)

        return Deferred.fromCoroutine(run())

    def test_returns(self) -> None:
        """A call gives what the target gives, between its two points."""
        self.assertEqual(self.successResultOf(self.call("good", 3)), 3)
        self.assertEqual(self.reached, ["seam.good:before", "seam.good:after"])

    def test_raises(self) -> None:
        """A call that fails has both points as well."""
        self.failureResultOf(self.call("bad"), KeyError)
        self.assertEqual(self.reached, ["seam.bad:before", "seam.bad:after"])

    def test_place(self) -> None:
        """The place is the one of the operation that calls, and of no other."""
        self.successResultOf(self.call("good", 3, place="bind.execute"))
        self.successResultOf(self.call("good", 3))
        self.assertEqual(self.reached[0], "bind.execute/seam.good:before")
        self.assertEqual(self.reached[2], "seam.good:before")

    def test_nothing_else(self) -> None:
        """What the interface does not name cannot be reached, so that it cannot be called without points."""
        proxy = pointed(ISeam, Target(), "seam", self.reach)
        for name in ("hidden", "_target_of_nothing", "absent"):
            with self.assertRaises(AttributeError):
                getattr(proxy, name)

    def test_every_member(self) -> None:
        """Every member of every seam has its two points, and the proxy provides the interface."""

        class Whatever:
            def __getattr__(self, name: str) -> Any:
                async def call() -> None: ...

                return call

        for interface, seam in ((IPersister, "persister"), (IEngine, "engine"), (IExecutor, "executor")):
            self.reached.clear()
            proxy: Any = pointed(interface, Whatever(), seam, self.reach)
            self.assertTrue(verifyObject(interface, proxy))
            for name in interface.names(all=True):
                self.successResultOf(Deferred.fromCoroutine(getattr(proxy, name)()))
            self.assertEqual(sorted(self.reached), sorted(names(interface, seam)))

    def test_production(self) -> None:
        """Without anything to reach the seams are the very objects that were given."""
        persister: Any = object()
        engines: Any = object()
        copies: Any = object()
        executors: Any = lambda given: given  # noqa: E731
        seams = make_seams(persister, engines, copies, executors, None)
        self.assertIs(seams.persister, persister)
        self.assertIs(seams.copies, copies)
        self.assertIs(seams.engines, engines)
        self.assertIs(seams.executors, engines)


class ArmedTests(SynchronousTestCase):
    """A point that the environment arms."""

    def reach(self, value: str, *reached: str) -> list[str]:
        """Return at which of these points the action `raise` is done."""
        point = armed({VARIABLE: value})
        assert point is not None
        done: list[str] = []

        async def come_to(name: str) -> None:
            try:
                await point(name)
            except Reached:
                done.append(name)

        for name in reached:
            self.successResultOf(Deferred.fromCoroutine(come_to(name)))
        return done

    def test_not_armed(self) -> None:
        """Without the variable there is nothing to reach."""
        self.assertIsNone(armed({}))
        self.assertIsNone(armed({VARIABLE: ""}))

    def test_name(self) -> None:
        """A name with a place is that point; one without is that call in every place."""
        names = ("a.b/engine.create:before", "a.c/engine.create:after", "engine.start:after")
        self.assertEqual(self.reach("a.c/engine.create:after:raise", *names), [names[1]])
        self.assertEqual(self.reach("engine.create:before:raise", *names), [names[0]])

    def test_count(self) -> None:
        """The action is done at the time that is named, and only then."""
        point = armed({VARIABLE: "engine.create:after:2:raise"})
        assert point is not None
        self.successResultOf(Deferred.fromCoroutine(point("engine.create:after")))
        self.failureResultOf(Deferred.fromCoroutine(point("engine.create:after")), Reached)
        self.successResultOf(Deferred.fromCoroutine(point("engine.create:after")))

    def test_malformed(self) -> None:
        """Anything else is refused with a sentence that shows an example."""
        for value in (
            "x",
            "engine.create:exit",
            "engine.create:after",
            "engine.create:after:0:exit",
            "engine.create:after:explode",
            "engine.create:after:1:2:exit",
            ":after:exit",
        ):
            with self.assertRaises(InvalidConfiguration) as caught:
                armed({VARIABLE: value})
            self.assertIn("engine.create:after:2:exit", str(caught.exception.description))


class ProcessTests(SynchronousTestCase):
    """What the actions do to a program."""

    def run_program(self, action: str) -> subprocess.Popen[bytes]:
        """Start a program that reaches its armed point, and would then print something."""
        program = (
            "import os\nfrom twisted.internet.defer import Deferred\n"
            "from dockerbroker.crashpoints import armed\n"
            "Deferred.fromCoroutine(armed(os.environ)('engine.create:after'))\n"
            "print('alive', flush=True)\n"
        )
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(dockerbroker.__file__).parents[1]),
            VARIABLE: f"engine.create:after:{action}",
        }
        started = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE)
        self.addCleanup(started.wait)
        self.addCleanup(started.kill)
        return started

    def test_exit(self) -> None:
        """The program is over at once, as if it had been killed."""
        started = self.run_program("exit")
        printed, _ = started.communicate(timeout=60)
        self.assertEqual((started.returncode, printed), (137, b""))

    def test_stop(self) -> None:
        """The program stands still until it is sent SIGCONT, and then goes on."""
        started = self.run_program("stop")
        _, status = os.waitpid(started.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        started.send_signal(signal.SIGCONT)
        printed, _ = started.communicate(timeout=60)
        self.assertEqual((started.returncode, printed), (0, b"alive\n"))
