"""Who is heard as a host, and who is dead."""

from __future__ import annotations

from typing import Final

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.hosts import DockerHost, HostKey, HostReport, HostState
from dockerbroker.model.liveness import (
    INTERVALS_HELD,
    MOST_FORMER,
    Guard,
    HostRecord,
    Life,
    heard,
    is_contended,
    silenced,
)
from dockerbroker.model.standing import hindrance, host_id
from dockerbroker.model.vitals import Vitals
from tests.pinging import ping

_KEY: Final = HostKey(service_host="h", docker_host="d", docker_port=1)
_HOST: Final = DockerHost(key=_KEY, keep_alive=5)


def life(silence: float, *, number: int = 0, state: HostState = HostState.ALIVE) -> Life:
    """Return a host of an interval of a second that is silent for so long."""
    key = evolve(_KEY, docker_port=number)
    return Life(key=key, keep_alive=1, silence=silence, age=silence, state=state, pinged_at=1.0)


def lives(*silences: float) -> list[Life]:
    """Return hosts that are silent for so long."""
    return [life(silence, number=number) for number, silence in enumerate(silences, 1)]


class HeardTests(SynchronousTestCase):
    """Pings, one after the other."""

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.floats(0, 20)), max_size=40))
    def test_sessions(self, steps: list[tuple[str, int, float]]) -> None:
        """Whatever sessions ping, one that is heard is the present one, and few others are remembered."""
        record, now = HostRecord(), 1000.0
        for session, sequence, pause in steps:
            now += pause
            before = record
            record, refusal = heard(before, ping(_HOST, session=session, sequence=sequence), now)
            if refusal is None:
                self.assertEqual((record.pinged_at, record.sessions.session), (now, session))
            else:
                self.assertEqual(record.pinged_at, before.pinged_at)
                self.assertEqual(record.sessions.session, before.sessions.session)
                # Whoever is refused is either late, or not alone.
                is_late = session == before.sessions.session
                self.assertTrue(is_late or is_contended(record.sessions.contended_at, 5, now))
            self.assertNotIn(record.sessions.session, record.sessions.former)
            self.assertLessEqual(len(record.sessions.former), MOST_FORMER)

    @given(st.lists(st.floats(0, 14.9), max_size=30))
    def test_alone(self, pauses: list[float]) -> None:
        """An agent that is alone is always heard, and never contended."""
        record, now = HostRecord(), 1000.0
        for sequence, pause in enumerate(pauses):
            now += pause
            record, refusal = heard(record, ping(_HOST, session="s", sequence=sequence), now)
            self.assertIsNone(refusal)
            self.assertFalse(is_contended(record.sessions.contended_at, 5, now))

    @given(st.floats(-1e6, 1e6))
    def test_any_time(self, step: float) -> None:
        """An agent that is started again is heard, however the database's clock was set."""
        record, _ = heard(None, ping(_HOST, session="one", sequence=9), 1e6)
        record, refusal = heard(record, ping(_HOST, session="other", sequence=1), 1e6 + step)
        self.assertIsNone(refusal)
        self.assertFalse(is_contended(record.sessions.contended_at, 5, 1e6 + step))

    def test_contention_of_the_future(self) -> None:
        """What was seen before the clock went back does not count."""
        self.assertFalse(is_contended(100.0, 5, 50))
        self.assertTrue(is_contended(100.0, 5, 115))
        self.assertFalse(is_contended(None, 5, 50))


class SilencedTests(SynchronousTestCase):
    """Which hosts are called dead."""

    def dead(self, found: list[Life], guard: Guard, now: float) -> tuple[set[int], Guard]:
        """Return the numbers of the hosts that are called dead, and what is held back."""
        verdicts, after = silenced(found, guard, now)
        self.assertLessEqual({verdict.state for verdict in verdicts}, {HostState.DEAD})
        return {verdict.life.key.docker_port for verdict in verdicts}, after

    def test_few(self) -> None:
        """Hosts that are silent for three intervals are dead."""
        found = lives(3, 2.99, 0, 0, 0)
        self.assertEqual(self.dead(found, Guard(), 100), ({1}, Guard()))

    def test_dead_already(self) -> None:
        """One that is dead is not called so again, and counts for nothing; one that returns may die."""
        found = [
            life(9, number=1, state=HostState.DEAD),
            life(9, number=2, state=HostState.DEAD),
            life(9, number=3, state=HostState.RETURNING),
            *lives(0, 0, 0),
        ]
        self.assertEqual(self.dead(found[:3], Guard(), 100)[0], {3})

    def test_mass(self) -> None:
        """When more than half are late none is dead for three more intervals, and then all that are."""
        found = lives(3, 2, 1.6, 0, 0)
        dead, guard = self.dead(found, Guard(), 100)
        self.assertEqual((dead, guard), (set(), Guard(until=100 + INTERVALS_HELD)))
        later = lives(5.9, 4.9, 4.5, 0, 0)
        self.assertEqual(self.dead(later, guard, 102.9), (set(), guard))
        self.assertEqual(self.dead(later, guard, 103)[0], {1, 2, 3})

    def test_mass_ends(self) -> None:
        """As soon as less than half are late, those that are silent are dead."""
        found = lives(4, 1, 1, 0, 0)
        self.assertEqual(self.dead(found, Guard(until=200), 100), ({1}, Guard()))

    def test_half(self) -> None:
        """Half of them are no mass, nor are two hosts."""
        self.assertEqual(self.dead(lives(3, 3, 0, 0), Guard(), 100)[0], {1, 2})
        self.assertEqual(self.dead(lives(3, 3), Guard(), 100)[0], {1, 2})

    @given(st.lists(st.floats(0, 6), max_size=12), st.none() | st.floats(90, 110))
    def test_never_early(self, silences: list[float], until: float | None) -> None:
        """Nobody is called dead who was heard within three intervals."""
        dead, _ = self.dead(lives(*silences), Guard(until=until), 100)
        for number in dead:
            self.assertGreaterEqual(silences[number - 1], 3)


class StandingTests(SynchronousTestCase):
    """What administrators are told of a host."""

    def test_hindrance(self) -> None:
        """Exactly of a host that may not be used it is told why."""
        well = HostReport(host=_HOST, age=0, silence=0)
        reports = [
            well,
            evolve(well, silence=16),
            evolve(well, state=HostState.DEAD),
            evolve(well, state=HostState.RETURNING),
            evolve(well, is_cordoned=True),
            evolve(well, is_contended=True),
            evolve(well, vitals=Vitals(trouble="It hangs.")),
            evolve(well, host=evolve(_HOST, is_active=False)),
        ]
        for report in reports:
            self.assertIs(report.is_usable, not hindrance(report))
        self.assertEqual(len({hindrance(report) for report in reports}), len(reports) - 1)

    def test_late(self) -> None:
        """A host is late when a ping of it is missing; it may be used if there is no other."""
        self.assertFalse(HostReport(host=_HOST, age=7.5, silence=7.5).is_late)
        late = HostReport(host=_HOST, age=7.6, silence=7.6)
        self.assertTrue(late.is_late and late.is_usable)

    def test_id(self) -> None:
        """The name of a host tells it from all others."""
        self.assertEqual(host_id(_KEY), "h,d,1")
