"""What the agent knows of its Docker."""

from collections.abc import Callable

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dockerbroker.agent.observing import FIRST_PATIENCE, MOST_PAUSE, Observer
from dockerbroker.engines.interfaces import IProbe
from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.pings import LONGEST_TROUBLE
from dockerbroker.model.vitals import Vitals

WELL = Vitals(engine_id="e-1", memory_free=5)


@implementer(IProbe)
@define(eq=False)
class ScriptedProbe:
    """Answers as the test says."""

    answer: Callable[[], Vitals | Deferred[Vitals]]
    looks: int = field(default=0, init=False)
    is_closed: bool = field(default=False, init=False)

    async def look(self) -> Vitals:
        """Look."""
        self.looks += 1
        answer = self.answer()
        return answer if isinstance(answer, Vitals) else await answer

    async def close(self) -> None:
        """Close."""
        self.is_closed = True


def failing(error: Exception) -> Callable[[], Vitals]:
    """A Docker that fails so."""

    def fail() -> Vitals:
        raise error

    return fail


class ObserverTests(SynchronousTestCase):
    """An observer on a clock that the test turns."""

    def setUp(self) -> None:
        """Make an observer of a Docker that is well."""
        self.clock = Clock()
        self.interval = 5.0
        self.changes: list[str] = []
        self.probe = ScriptedProbe(lambda: WELL)
        self.events = self.enterContext(capturedLogs())
        self.observer = Observer(
            probe=self.probe,
            interval=lambda: self.interval,
            changed=lambda: self.changes.append(self.observer.vitals().trouble),
            clock=self.clock,
        )
        self.addCleanup(self.stop)

    def start(self) -> Deferred[None]:
        """Start it."""
        return Deferred.fromCoroutine(self.observer.start())

    def stop(self) -> None:
        """Stop it."""
        self.successResultOf(Deferred.fromCoroutine(self.observer.stop()))

    def lines(self) -> list[str]:
        """What was logged."""
        return [formatEvent(event) or "" for event in self.events if "observing" in event["log_namespace"]]

    def test_first_look(self) -> None:
        """The first ping knows what the first look has seen."""
        self.successResultOf(self.start())
        self.assertEqual(self.observer.vitals(), WELL)
        self.assertEqual(self.lines(), [])

    def test_hanging_at_first(self) -> None:
        """An engine that hangs from the start holds up the pings for no longer than a moment."""
        self.probe.answer = Deferred
        started = self.start()
        self.assertNoResult(started)
        self.clock.advance(FIRST_PATIENCE)
        self.successResultOf(started)
        self.assertIn("has not answered since", self.observer.vitals().trouble)

    def test_hanging_later(self) -> None:
        """While a look hangs the last figures are known, and no other look is begun."""
        self.successResultOf(self.start())
        self.probe.answer = Deferred
        self.clock.advance(self.interval)
        self.assertEqual(self.observer.vitals(), WELL)
        self.clock.pump([self.interval] * 5)
        self.assertEqual(self.probe.looks, 2)

    def test_trouble_and_back(self) -> None:
        """When Docker does not answer, that is told with the last figures; so is that it answers again."""
        self.successResultOf(self.start())
        self.probe.answer = failing(EngineUnreachable("The Docker host\n d does not answer."))
        self.clock.pump([self.interval] * 3)
        known = self.observer.vitals()
        self.assertEqual(known.trouble, "The Docker host\\n d does not answer.")
        self.assertEqual((known.engine_id, known.memory_free), ("e-1", 5))
        self.probe.answer = lambda: WELL
        self.clock.pump([self.interval] * 3)
        self.assertEqual(self.observer.vitals(), WELL)
        self.assertEqual(self.changes, ["", "The Docker host\\n d does not answer.", ""])
        self.assertEqual(
            self.lines(),
            ["Docker is not well: The Docker host\\n d does not answer.", "Docker is well again"],
        )

    def test_restarted(self) -> None:
        """That Docker may have been restarted is told at once, and no line of the log."""
        self.successResultOf(self.start())
        self.clock.advance(self.interval)
        self.probe.answer = lambda: evolve(WELL, engine_session="another")
        self.clock.pump([self.interval] * 2)
        self.assertEqual(self.changes, ["", ""])
        self.assertEqual(self.lines(), [])

    def test_long_trouble(self) -> None:
        """What is told is never longer than a broker takes."""
        self.probe.answer = failing(EngineUnreachable("x" * 10000))
        self.successResultOf(self.start())
        self.assertEqual(len(self.observer.vitals().trouble), LONGEST_TROUBLE)

    def test_unexpected_error(self) -> None:
        """An error that nobody expects is logged once, is trouble, and ends nothing."""
        self.probe.answer = failing(ZeroDivisionError("odd"))
        self.successResultOf(self.start())
        self.clock.pump([self.interval] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("log", self.observer.vitals().trouble)
        self.assertEqual(self.probe.looks, 4)

    def test_pauses(self) -> None:
        """Docker is looked at no more than once a second, and not too seldom either."""
        self.interval = 0.05
        self.successResultOf(self.start())
        self.clock.pump([0.25] * 36)
        self.assertEqual(self.probe.looks, 10)
        self.interval = 86400
        self.clock.advance(1)
        self.clock.advance(MOST_PAUSE)
        self.assertEqual(self.probe.looks, 12)

    def test_stop(self) -> None:
        """An observer that is stopped leaves no timer, and its connections are closed."""
        self.probe.answer = Deferred
        self.start()
        self.stop()
        self.assertTrue(self.probe.is_closed)
        self.clock.advance(FIRST_PATIENCE)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lines(), [])
