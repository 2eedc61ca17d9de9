"""For how long a host is known to be silent, whatever brokers, databases and clocks do."""

import math
from collections.abc import Sequence

from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.hosts import LONGEST_GAP, HostReport, Observation, observed, report
from tests.model.values import HOST, unhurried

#: What happens, and how many seconds pass, or by how many the clock steps.
Event = tuple[str, float]

_ROUNDING = 1e-6

waits = st.tuples(st.just("wait"), st.floats(0, 5) | st.floats(0, 1000))
beats = st.tuples(st.just("beat"), st.just(0.0))
pings = st.tuples(st.just("ping"), st.just(0.0))
#: A smaller step cannot be told from a beat that comes late.
forward = st.tuples(st.just("step"), st.floats(LONGEST_GAP + 0.01, 1e5))
backward = st.tuples(st.just("step"), st.floats(-1e5, 0))


def histories(*more: st.SearchStrategy[Event]) -> st.SearchStrategy[list[Event]]:
    """Make histories: time passes, brokers beat or do not, a host pings or does not, and more."""
    return st.lists(st.one_of(waits, beats, beats, pings, *more), max_size=30)


@define(eq=False)
class History:
    """What truly happened, beside what the database knows of it.

    The host was `heard` last then, and brokers have been there `since` then, by a clock that makes no step.
    """

    time: float = 1e6
    steps: float = 0.0
    heard: float = -math.inf
    since: float = math.inf
    beat: float = -math.inf
    pinged_at: float | None = None
    observation: Observation | None = field(default=None)

    def happen(self, what: str, seconds: float) -> None:
        """Let time pass, the clock step, a broker beat or the host ping."""
        match what:
            case "wait":
                self.time += seconds
            case "step":
                self.steps += seconds
            case "ping":
                self.heard, self.pinged_at = self.time, self.now
            case _:
                self.observation = observed(self.observation, self.now)
                if self.time - self.beat > LONGEST_GAP:
                    self.since = self.time
                self.beat = self.time

    @property
    def now(self) -> float:
        """What the database's clock shows."""
        return self.time + self.steps

    @property
    def report(self) -> HostReport:
        """What brokers are told of the host."""
        return report(HOST, self.pinged_at, self.observation, self.now)


class SilenceTests(SynchronousTestCase):
    """A host is known to be silent only while brokers are there to hear it."""

    def assert_never_early(self, events: Sequence[Event], *, with_outages: bool = True) -> None:
        """Check after each event that no more is believed than what is true."""
        history = History()
        for event in events:
            history.happen(*event)
            silence = history.report.silence
            self.assertGreaterEqual(silence, 0)
            self.assertLessEqual(silence, history.time - history.heard + _ROUNDING)
            if with_outages:
                self.assertLessEqual(silence, max(0.0, history.time - history.since) + _ROUNDING)

    @unhurried
    @given(histories(forward))
    def test_forward(self, events: list[Event]) -> None:
        """Neither outages nor a clock that goes forward make it longer than since the last ping or outage."""
        self.assert_never_early(events)

    @unhurried
    @given(histories(backward))
    def test_backward(self, events: list[Event]) -> None:
        """A clock that goes back does not make it longer than since the last ping."""
        self.assert_never_early(events, with_outages=False)

    @unhurried
    @given(
        keep_alive=st.floats(0.05, 100),
        periods=st.lists(st.floats(0, LONGEST_GAP), max_size=200),
        last=st.floats(0, 1),
    )
    def test_not_late(self, keep_alive: float, periods: list[float], last: float) -> None:
        """While brokers are there, a host is not used when it was silent for three of its own intervals."""
        history = History()
        history.happen("ping", 0)
        for period in [0.0, *periods]:
            history.happen("wait", period)
            history.happen("beat", 0)
        history.happen("wait", last)
        found = evolve(history.report, host=evolve(HOST, keep_alive=keep_alive))
        self.assertEqual(found.is_alive, history.time - history.heard <= 3 * keep_alive)
        self.assertEqual(found.silence, found.age)

    def test_away(self) -> None:
        """After an outage nobody is silent, from the first look on; and then those that are."""
        history = History()
        for event in (("ping", 0.0), ("beat", 0.0), ("wait", 1000.0)):
            history.happen(*event)
        self.assertEqual((history.report.silence, history.report.age), (0, 1000))
        for what in ("beat", "wait"):
            history.happen(what, 1.5)
        self.assertEqual((history.report.silence, history.report.age), (1.5, 1001.5))

    def test_never_pinged(self) -> None:
        """A host that has never pinged this database is silent since brokers are there."""
        history = History()
        self.assertEqual((history.report.silence, history.report.age), (0, math.inf))
        for what in ("beat", "wait"):
            history.happen(what, 1.5)
        self.assertEqual((history.report.silence, history.report.age), (1.5, math.inf))

    def test_many_brokers(self) -> None:
        """A beat with a time that is a little older than another's changes nothing."""
        before = Observation(since=10.0, at=20.0)
        self.assertEqual(observed(before, 19.95), before)
        self.assertEqual(observed(before, 19.0), Observation(since=19.0, at=19.0))
