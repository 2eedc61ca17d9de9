"""Opening what may not be there yet."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidConfiguration, Unavailable
from dockerbroker.lifetime import Opening
from dockerbroker.lifetime.opening import FIRST_TRY

AWAY = Unavailable("The database server does not answer.")


class OpeningTests(SynchronousTestCase):
    """`Opening`."""

    def setUp(self) -> None:
        """Prepare something that can be opened by `answers`, which are raised, awaited or just there."""
        self.clock = Clock()
        self.answers: list[Any] = []
        self.tries: list[float] = []
        self.events = self.enterContext(capturedLogs())
        self.opening = Opening(name="the database", clock=self.clock, attempt=self._attempt)

    async def _attempt(self) -> None:
        self.tries.append(self.clock.seconds())
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Deferred):
            await answer

    def log(self) -> list[str]:
        """Return what was logged."""
        return [formatEvent(event) for event in self.events]

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        self.clock.pump([0.25] * int(seconds * 4))

    def test_there(self) -> None:
        """What is there is opened at once, and not a word is said."""
        self.opening.start()
        self.successResultOf(Deferred.fromCoroutine(self.opening.tried()))
        self.pass_time(60)
        self.assertEqual((self.tries, self.log()), ([0.0], []))

    def test_pauses(self) -> None:
        """What is not there is tried again, with pauses of half a second that double up to five seconds."""
        self.answers = [AWAY] * 7
        self.opening.start()
        self.pass_time(60)
        self.assertEqual(self.tries, [0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5, 22.5])

    def test_log(self) -> None:
        """The log tells what stands in the way once, again when it is something else, and when it is over."""
        refused = InvalidConfiguration("persister.password: wrong.")
        self.answers = [AWAY, AWAY, refused, refused, AWAY]
        self.opening.start()
        self.pass_time(60)
        self.assertEqual(
            self.log(),
            [
                "Not ready: The database server does not answer. The broker goes on trying",
                "Not ready: persister.password: wrong. The broker goes on trying",
                "Not ready: The database server does not answer. The broker goes on trying",
                "Ready: the database is open",
            ],
        )

    def test_defect(self) -> None:
        """What was not foreseen is tried again as well, and is one traceback in the log."""
        self.answers = [ZeroDivisionError("with the password")] * 3
        self.opening.start()
        self.pass_time(60)
        self.assertEqual(len(self.tries), 4)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("Not ready: The broker failed unexpectedly: ZeroDivisionError.", self.log()[0])

    def test_tried(self) -> None:
        """Who waits for the first try waits until it is over, well or not."""
        for outcome in (None, AWAY):
            self.setUp()
            answer: Deferred[None] = Deferred()
            self.answers = [answer]
            self.opening.start()
            tried = Deferred.fromCoroutine(self.opening.tried())
            self.assertNoResult(tried)
            if outcome is None:
                answer.callback(None)
            else:
                answer.errback(outcome)
            self.successResultOf(tried)

    def test_long_try(self) -> None:
        """A first try that takes long is not waited for any longer; it goes on, and the log tells that."""
        answer: Deferred[None] = Deferred()
        self.answers = [answer]
        self.opening.start()
        tried = Deferred.fromCoroutine(self.opening.tried())
        self.clock.advance(FIRST_TRY)
        self.successResultOf(tried)
        answer.callback(None)
        self.pass_time(60)
        self.assertEqual(self.tries, [0.0])
        self.assertEqual(
            self.log(),
            [
                "Not ready: Opening the database takes long. The broker goes on trying",
                "Ready: the database is open",
            ],
        )

    def test_stop_in_a_pause(self) -> None:
        """In a pause it stops at once, and tries nothing any more."""
        self.answers = [AWAY] * 100
        self.opening.start()
        self.successResultOf(Deferred.fromCoroutine(self.opening.stop()))
        self.pass_time(60)
        self.assertEqual(self.tries, [0.0])

    def test_stop_in_a_try(self) -> None:
        """A try that goes on is waited for, and sees that nobody wants it any more; there is no other one."""
        answer: Deferred[None] = Deferred()
        self.answers = [answer, AWAY]
        self.opening.start()
        self.opening.settle()
        stopped = Deferred.fromCoroutine(self.opening.stop())
        self.assertNoResult(stopped)
        self.assertFalse(self.opening.is_wanted)
        answer.errback(AWAY)
        self.successResultOf(stopped)
        self.pass_time(60)
        self.assertEqual(self.tries, [0.0])

    def test_stop_before_the_start(self) -> None:
        """What was never started is stopped at once."""
        self.successResultOf(Deferred.fromCoroutine(self.opening.stop()))
