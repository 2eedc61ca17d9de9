"""What every persister promises of brokers that are there, or not, to hear pings."""

from __future__ import annotations

import math
from functools import partial

from dockerbroker.model.hosts import LONGEST_GAP
from dockerbroker.persisters.interfaces import IPersister
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.persisters.values import HERE, THERE
from tests.pinging import pings


class SilenceContract(PersisterTestCase):
    """For how long hosts are known to be silent."""

    def setUp(self) -> None:
        """Hear a host."""
        super().setUp()
        self.fixture.clock.advance(1000)
        self.done(self.persister.record_pings(pings([values.host(HERE)])))

    def wait(self, seconds: float, *watching: IPersister) -> None:
        """Let time pass, in steps of half a second; each time all of these brokers are there."""
        for _ in range(math.ceil(seconds * 2)):
            self.fixture.clock.advance(0.5)
            for persister in watching:
                self.done(persister.observe())

    def silence(self) -> float:
        """Return for how long the host is known to be silent, as every broker sees it."""
        found = {report.silence for one in self.all() for report in self.done(one.hosts())}
        self.assertEqual(len(found), 1)
        return found.pop()

    def all(self) -> list[IPersister]:
        """Return two brokers."""
        return [self.persister, self.fixture.persister()]

    def test_nobody_there(self) -> None:
        """While no broker has ever been there, no host is silent, however old its ping."""
        self.fixture.clock.advance(1000)
        [report] = self.done(self.persister.hosts())
        self.assertEqual((report.silence, report.age), (0, 1000))

    def test_there(self) -> None:
        """While a broker is there a host is silent since its last ping."""
        self.done(self.persister.observe())
        self.wait(4, self.persister)
        self.assertEqual(self.silence(), 4)
        self.done(self.persister.record_pings(pings([values.host(HERE)])))
        self.assertEqual(self.silence(), 0)

    def test_came(self) -> None:
        """A host is not silent for longer than a broker is there."""
        self.fixture.clock.advance(1000)
        self.done(self.persister.observe())
        self.wait(3, self.persister)
        self.assertEqual(self.silence(), 3)

    def test_away(self) -> None:
        """When all were away no host is silent: neither at the first look nor for what was before."""
        self.done(self.persister.observe())
        self.wait(3, self.persister)
        self.fixture.clock.advance(60)
        self.assertEqual(self.silence(), 0)
        self.done(self.persister.observe())
        self.assertEqual(self.silence(), 0)
        self.wait(1, self.persister)
        self.assertEqual(self.silence(), 1)

    def test_longest_gap(self) -> None:
        """A broker may be late by so much; then the time counts as if it had not been."""
        self.done(self.persister.observe())
        self.fixture.clock.advance(LONGEST_GAP)
        self.assertEqual(self.silence(), LONGEST_GAP)
        self.done(self.persister.observe())
        self.assertEqual(self.silence(), LONGEST_GAP)

    def test_one_of_two(self) -> None:
        """As long as one broker is there, the time counts for all."""
        one, other = self.all()
        self.done(one.observe())
        self.wait(3, one, other)
        self.wait(3, other)
        self.assertEqual(self.silence(), 6)

    def test_restart(self) -> None:
        """A broker that is back at once has not been away; what it knew is in the database."""
        self.done(self.persister.observe())
        self.wait(3, self.persister)
        self.persister = self.fixture.restart()
        self.done(self.persister.observe())
        self.assertEqual(self.silence(), 3)

    def test_each(self) -> None:
        """Each host is silent since its own ping."""
        self.done(self.persister.observe())
        self.wait(1, self.persister)
        self.done(self.persister.record_pings(pings([values.host(THERE)])))
        self.wait(1, self.persister)
        found = {report.host.key: report.silence for report in self.done(self.persister.hosts())}
        self.assertEqual(found, {HERE: 2, THERE: 1})

    def test_race(self) -> None:
        """Eight brokers that begin to be there at once do not hinder one another, nor what else begins."""
        persisters = [self.fixture.persister() for _ in range(8)]
        calls = [partial(persister.observe) for persister in persisters]
        begin = partial(
            self.persister.begin,
            values.provision("o1", values.instance("i1", 20001)),
            owner="one",
            ttl=9,
            within=60,
        )
        outcomes = self.fixture.race([*calls, begin])
        self.assertEqual(outcomes[:8], [None] * 8)
        self.assertEqual(outcomes[8].id, "o1")
        self.assertEqual(self.fixture.race(calls), [None] * 8)
        self.wait(1, self.persister)
        self.assertEqual(self.silence(), 1)
