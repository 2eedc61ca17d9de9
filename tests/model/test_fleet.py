"""What is known of all hosts at one moment, and what follows from it."""

from __future__ import annotations

import math
from typing import Any, Final

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.fleet import Fleet, HostFacts
from dockerbroker.model.hosts import DockerHost, HostKey, HostState, Observation
from dockerbroker.model.liveness import Guard, silenced

_HOST: Final = DockerHost(key=HostKey(service_host="h", docker_host="d", docker_port=1), keep_alive=5)
_NOW: Final = 1000.0

FACTS: Final = st.builds(
    HostFacts,
    host=st.builds(lambda keep_alive: evolve(_HOST, keep_alive=keep_alive), st.sampled_from([1.0, 5.0])),
    pinged_at=st.none() | st.floats(_NOW - 30, _NOW + 30),
    state=st.sampled_from(HostState),
    contended_at=st.none() | st.floats(_NOW - 30, _NOW + 30),
)
OBSERVATIONS: Final = st.none() | st.builds(
    Observation, since=st.floats(_NOW - 60, _NOW), at=st.floats(_NOW - 4, _NOW + 1)
)


class FleetTests(SynchronousTestCase):
    """Hosts whose interval is 5 seconds."""

    def facts(self, pinged_at: float | None = _NOW, **members: Any) -> HostFacts:
        """Return a host that has pinged then."""
        return HostFacts(host=_HOST, pinged_at=pinged_at, **members)

    def fleet(self, *hosts: HostFacts, now: float = _NOW) -> Fleet:
        """Return a fleet that brokers have heard for long."""
        return Fleet(hosts=hosts, now=now, observation=Observation(since=0, at=now))

    def test_report(self) -> None:
        """A host is reported as it is at the moment."""
        fleet = self.fleet(self.facts(_NOW - 4, contended_at=_NOW - 10, is_cordoned=True))
        report = fleet.report(fleet.hosts[0])
        self.assertEqual((report.age, report.silence), (4, 4))
        self.assertTrue(report.is_contended)
        self.assertTrue(report.is_cordoned)
        later = evolve(fleet, now=_NOW + 6)
        self.assertFalse(later.report(later.hosts[0]).is_contended)

    def test_never_heard(self) -> None:
        """A host that has never pinged is silent as long as brokers are there."""
        fleet = self.fleet(self.facts(None))
        report = fleet.report(fleet.hosts[0])
        self.assertEqual((report.age, report.silence), (math.inf, _NOW))
        self.assertEqual(len(fleet.doubtful()), 1)

    @given(st.lists(FACTS, max_size=6), OBSERVATIONS)
    def test_doubtful(self, hosts: list[HostFacts], observation: Observation | None) -> None:
        """By those that are doubtful, and the number of the others, the same hosts are dead as by all."""
        fleet = Fleet(hosts=hosts, now=_NOW, observation=observation)
        few = fleet.doubtful()
        by_few = silenced(few, Guard(), 0, punctual=len(hosts) - len(few))
        self.assertEqual(by_few, silenced(fleet.lives(), Guard(), 0))
        self.assertEqual(
            [life for life in fleet.lives() if life.is_late or life.state is not HostState.ALIVE], few
        )

    @given(FACTS, OBSERVATIONS, st.floats(-30, 30))
    def test_punctual(self, facts: HostFacts, observation: Observation | None, passed: float) -> None:
        """Of a host that is punctual nothing else is said until then, whatever the clock does."""
        fleet = Fleet(hosts=[facts], now=_NOW, observation=observation)
        before = fleet.report(facts)
        if before.is_late or _NOW + passed > facts.punctual_until:
            return
        after = evolve(fleet, now=_NOW + passed).report(facts)
        self.assertFalse(after.is_late)
        self.assertEqual(
            (before.is_alive, before.is_usable, before.is_contended),
            (after.is_alive, after.is_usable, after.is_contended),
        )
