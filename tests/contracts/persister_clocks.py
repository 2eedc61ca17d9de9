"""What every persister promises when its clock is set: the epoch decides, whatever the time."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import LostLease
from dockerbroker.model.instances import Change, Phase, Step
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.pinging import pings

DAY = 86400.0
TTL = 15.0


class ClocksContract(PersisterTestCase):
    """The clock of the database's machine jumps."""

    def setUp(self) -> None:
        """Begin an operation, ten days after the clock's beginning."""
        super().setUp()
        self.fixture.clock.advance(10 * DAY)
        self.begun = self.begin(values.provision("o1", values.instance("i1", 20001)), ttl=TTL)

    def test_forward(self) -> None:
        """What lapses too early is taken over once; who held it writes nothing more."""
        self.fixture.clock.advance(DAY)
        self.assertEqual(
            self.done(self.persister.claim("two", ttl=TTL)), [evolve(self.begun, owner="two", epoch=2)]
        )
        for late in (self.begun.at(Step.START), self.begun.over(Phase.SUCCEEDED, 1)):
            self.refused(LostLease, self.persister.commit(Change(operation=late)))
        self.assertEqual(self.done(self.persister.claim("three", ttl=TTL)), [])

    def test_backward(self) -> None:
        """Nobody loses a lease; one that is renewed lapses as it should, by the new time."""
        self.fixture.clock.advance(-DAY)
        self.assertEqual(self.done(self.persister.claim("two", ttl=TTL)), [])
        self.done(self.persister.renew("one", ttl=TTL))
        self.fixture.clock.advance(TTL)
        self.assertEqual(len(self.done(self.persister.claim("two", ttl=TTL))), 1)

    def test_pings(self) -> None:
        """No ping is younger than new, and the next one counts."""
        self.done(self.persister.record_pings(pings([values.host()])))
        self.fixture.clock.advance(-DAY)
        self.assertEqual([report.age for report in self.done(self.persister.hosts())], [0])
        self.done(self.persister.record_pings(pings([values.host()])))
        self.fixture.clock.advance(5)
        self.assertEqual([report.age for report in self.done(self.persister.hosts())], [5])

    def test_silence_forward(self) -> None:
        """A clock that goes forward makes no host silent."""
        self.done(self.persister.record_pings(pings([values.host()])))
        self.beat(3)
        self.fixture.clock.advance(DAY)
        self.assertEqual(self.silences(), [0])
        self.beat(3)
        self.assertEqual(self.silences(), [2])

    def test_silence_backward(self) -> None:
        """Nor does one that goes back; from then on the time counts."""
        self.beat(3)
        self.done(self.persister.record_pings(pings([values.host()])))
        self.fixture.clock.advance(-DAY)
        self.assertEqual(self.silences(), [0])
        self.done(self.persister.record_pings(pings([values.host()])))
        self.beat(3)
        self.assertEqual(self.silences(), [2])

    def test_silent_backward(self) -> None:
        """A host that is never heard again after the clock went back is silent as any other one."""
        self.done(self.persister.record_pings(pings([values.host()])))
        self.beat(3)
        self.done(self.persister.record_pings(pings([values.host()])))
        self.fixture.clock.advance(-DAY)
        self.beat(4)
        self.assertEqual(self.silences(), [3])

    def test_silent_restarted(self) -> None:
        """So is one when the clock went back while no broker was there."""
        self.done(self.persister.record_pings(pings([values.host()])))
        self.fixture.clock.advance(-DAY)
        self.beat(4)
        self.assertEqual(self.silences(), [3])

    def beat(self, times: int) -> None:
        """Let a broker be there so many times, a second apart."""
        self.done(self.persister.observe())
        for _ in range(times - 1):
            self.fixture.clock.advance(1)
            self.done(self.persister.observe())

    def silences(self) -> list[float]:
        """Return for how long each host is known to be silent."""
        return [report.silence for report in self.done(self.persister.hosts())]
