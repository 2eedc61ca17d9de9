"""Pings to any one of several equal brokers."""

from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from dockerbroker.agent.pinging import Pinger, in_random_order, timeout_of
from tests.agent.brokers import HOST, Answering, PingingCase, answering, broker_resource, hanging


class EqualsTests(PingingCase):
    """Brokers that are equals on one database."""

    def setUp(self) -> None:
        """Start three brokers."""
        super().setUp()
        self.brokers = [Answering(self.clock, broker_resource(self.persister)) for _ in range(3)]

    def start(self) -> Pinger:
        """Start to ping any of them."""
        brokers = [self.broker(one.send, host=f"broker{number}") for number, one in enumerate(self.brokers)]
        pinger = self.pinger_of(brokers, Random(5).random)  # noqa: S311 (the same order each time)
        pinger.start()
        return pinger

    def heard(self) -> list[float]:
        """When any of the brokers that answer well was pinged."""
        return sorted(time for one in self.brokers for time in one.times)

    def test_one_at_a_time(self) -> None:
        """Each ping goes to one broker, and all of them get their share."""
        self.start()
        self.pass_time(400)
        pauses = [later - sooner for sooner, later in pairwise(self.heard())]
        self.assertGreaterEqual(min(pauses), HOST.keep_alive * 0.8 - 0.06)
        shares = [len(one.times) for one in self.brokers]
        self.assertGreater(min(shares), 10)

    def test_next_broker(self) -> None:
        """When the chosen broker does not acknowledge, another one does inside the same interval."""
        for bad in (hanging(), answering(503, b"{}")):
            self.brokers[0].resource = self.brokers[1].resource = bad
            pinger, before = self.start(), self.clock.seconds()
            good = len(self.brokers[2].times)
            self.pass_time(80)
            times = [before, *self.brokers[2].times[good:]]
            pauses = [later - sooner for sooner, later in pairwise(times)]
            self.assertLess(max(pauses), 2 * HOST.keep_alive)
            self.successResultOf(Deferred.fromCoroutine(pinger.stop()))

    def test_three_tries(self) -> None:
        """Brokers that do not answer are tried three times in an interval, and no more often."""
        self.brokers = self.brokers[:2]
        for one in self.brokers:
            one.resource = hanging()
        self.start()
        self.pass_time(timeout_of(HOST.keep_alive) + 0.1)
        self.assertEqual(len(self.heard()), 3)
        self.assertLess(max(Counter(self.heard()).values()), 2)

    def test_back(self) -> None:
        """When all were away the first one that is back is found within an interval."""
        for one in self.brokers:
            one.resource = answering(503, b"{}")
        self.start()
        self.pass_time(60)
        self.brokers[1].resource = broker_resource(self.persister)
        self.pass_time(HOST.keep_alive + 0.1)
        self.assertIn("Registered with the broker broker1:9998", self.lines())

    def test_stop(self) -> None:
        """A pinger that is stopped tries no further broker."""
        for one in self.brokers:
            one.resource = hanging()
        pinger = self.start()
        self.successResultOf(Deferred.fromCoroutine(pinger.stop()))
        self.pass_time(20)
        self.assertEqual(len(self.heard()), 1)
        self.assertEqual(self.lines(), [])


class OrderTests(PingingCase):
    """The order in which brokers are tried."""

    @given(count=st.integers(0, 20), seed=st.integers())
    def test_everyone_once(self, count: int, seed: int) -> None:
        """An order names every broker once."""
        chance = Random(seed).random  # noqa: S311 (the same order each time)
        self.assertEqual(sorted(in_random_order(count, chance)), [*range(count)])

    @given(keep_alive=st.floats(0.05, 86400), tries=st.integers(1, 10))
    def test_time_of_tries(self, keep_alive: float, tries: int) -> None:
        """All tries together take less than the interval."""
        self.assertLess(tries * timeout_of(keep_alive, tries), keep_alive)
