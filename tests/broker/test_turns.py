"""What a broker does again and again."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.turns import Turns
from dockerbroker.errors import Unavailable

_PERIOD = 5.0
_LOST = Unavailable("The database is gone.")


class TurnsTests(SynchronousTestCase):
    """Turns that end when the test says so."""

    def setUp(self) -> None:
        """Start turns."""
        self.clock = Clock()
        self.taken: list[Deferred[None]] = []
        self.turns = Turns(self.take, _PERIOD, "nothing is done", self.clock, Logger())

    async def take(self) -> None:
        """Take a turn that lasts until the test ends it."""
        self.taken.append(Deferred())
        await self.taken[-1]

    def next_turn(self, error: Exception | None = None) -> list[str]:
        """Let the next turn come, and succeed or fail; returns what is logged."""
        with capturedLogs() as logged:
            self.clock.advance(_PERIOD)
            if error is None:
                self.taken[-1].callback(None)
            else:
                self.taken[-1].errback(error)
        return [str(event["complaint"]) for event in logged if event["log_level"] > LogLevel.info]

    def test_period(self) -> None:
        """The first turn comes after a period, and the next ones a period apart."""
        self.turns.start()
        self.assertEqual(self.taken, [])
        for count in range(1, 4):
            self.next_turn()
            self.assertEqual(len(self.taken), count)

    def test_at_once(self) -> None:
        """The first turn comes at once for whoever wants it so."""
        self.turns.start(now=True)
        self.assertEqual(len(self.taken), 1)

    def test_one_at_a_time(self) -> None:
        """A turn is over before the next one begins."""
        self.turns.start()
        self.clock.pump([_PERIOD] * 3)
        self.assertEqual(len(self.taken), 1)
        self.taken[0].callback(None)
        self.clock.advance(_PERIOD)
        self.assertEqual(len(self.taken), 2)

    def test_outage(self) -> None:
        """An outage is told once as it begins, and so is the next one after a turn that succeeded."""
        self.turns.start()
        told = [self.next_turn(error) for error in (_LOST, _LOST, None, _LOST)]
        self.assertEqual(told, [["nothing is done"], [], [], ["nothing is done"]])

    def test_another_outage(self) -> None:
        """What is described otherwise is another outage."""
        self.turns.start()
        told = [self.next_turn(error) for error in (_LOST, Unavailable("It is another one."), _LOST)]
        self.assertEqual(told, [["nothing is done"]] * 3)

    def test_lasting(self) -> None:
        """An outage that lasts is told again, once a minute."""
        self.turns.start()
        told = [len(self.next_turn(_LOST)) for _ in range(25)]
        self.assertEqual(told, ([1] + [0] * 11) * 2 + [1])

    def test_defect(self) -> None:
        """A defect ends no turns, and is told once, with where it is, also in an outage."""
        self.turns.start()
        told = [self.next_turn(error) for error in (_LOST, ZeroDivisionError(), ZeroDivisionError(), None)]
        self.assertEqual(told, [["nothing is done"], ["nothing is done"], [], []])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stop(self) -> None:
        """After the end no turn begins, and what is under way goes on."""
        self.turns.start(now=True)
        self.assertTrue(self.turns.is_running)
        self.turns.stop()
        self.turns.stop()
        self.assertFalse(self.turns.is_running)
        over = self.turns.over()
        self.assertNoResult(over)
        self.taken[0].callback(None)
        self.successResultOf(over)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancel(self) -> None:
        """A turn that is cancelled is over, which is no outage; the next one comes."""
        self.turns.start(now=True)
        over = self.turns.over()
        with capturedLogs() as logged:
            self.turns.cancel()
        self.successResultOf(over)
        self.assertEqual(logged, [])
        self.next_turn()
        self.assertEqual(len(self.taken), 2)

    def test_over(self) -> None:
        """What has not begun is over, and several may ask."""
        self.successResultOf(self.turns.over())
        self.turns.start(now=True)
        asked = [self.turns.over(), self.turns.over()]
        self.taken[0].callback(None)
        for over in asked:
            self.successResultOf(over)
