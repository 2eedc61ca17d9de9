"""All Docker hosts at one moment, as the database knows them."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from attrs import frozen

from dockerbroker.model.hosts import (
    INTERVALS_UNTIL_LATE,
    DockerHost,
    HostReport,
    HostState,
    Observation,
    silence,
)
from dockerbroker.model.liveness import Life, is_contended
from dockerbroker.model.reservations import NOTHING, Reserved
from dockerbroker.model.vitals import Vitals

#: Before any time.
LONG_AGO: Final = -math.inf


@frozen(kw_only=True)
class HostFacts:
    """What the database knows of a host, whatever time it is; times are by the persister's clock.

    `reserved` is what all instances there reserve, `contended_at` when two agents last claimed to be it,
    and `contended_for` how long that holds at least.
    """

    host: DockerHost
    vitals: Vitals | None = None
    pinged_at: float | None = None
    state: HostState = HostState.ALIVE
    state_at: float | None = None
    is_cordoned: bool = False
    is_draining: bool = False
    complaint: str = ""
    contended_at: float | None = None
    contended_for: float | None = None
    reserved: Reserved = NOTHING

    @property
    def punctual_until(self) -> float:
        """Until when a host of which no ping is missing now is certainly judged as it is now."""
        if self.pinged_at is None or self.contended_at is not None:
            return LONG_AGO
        return self.pinged_at + INTERVALS_UNTIL_LATE * self.host.keep_alive


@frozen(kw_only=True)
class Fleet:
    """All hosts, in any order, and since when brokers were there to hear them, at the time `now`."""

    hosts: Sequence[HostFacts]
    now: float
    observation: Observation | None = None

    def report(self, facts: HostFacts) -> HostReport:
        """Return how one of the hosts is now."""
        age, silent = silence(facts.pinged_at, self.observation, self.now)
        return HostReport(
            host=facts.host,
            age=age,
            silence=silent,
            vitals=facts.vitals,
            state=facts.state,
            is_cordoned=facts.is_cordoned,
            is_draining=facts.is_draining,
            complaint=facts.complaint,
            is_contended=is_contended(
                facts.contended_at, facts.host.keep_alive, self.now, facts.contended_for
            ),
        )

    def lives(self, hosts: Iterable[HostFacts] | None = None) -> list[Life]:
        """Return what these hosts are judged by, or all of them."""
        return [self._life(facts) for facts in (self.hosts if hosts is None else hosts)]

    def doubtful(self) -> list[Life]:
        """Return what those hosts are judged by that are not alive or of which a ping is missing.

        Of many hosts they are few, and this is asked for often.
        """
        now, observation = self.now, self.observation
        # When brokers may not have heard what was said nobody is late.
        is_heard = observation is not None and observation.reaches(now)
        since = observation.since if observation is not None and is_heard else math.inf
        return self.lives(
            facts
            for facts in self.hosts
            if facts.state is not HostState.ALIVE
            or now - max(since, facts.pinged_at or LONG_AGO) > INTERVALS_UNTIL_LATE * facts.host.keep_alive
        )

    def _life(self, facts: HostFacts) -> Life:
        age, silent = silence(facts.pinged_at, self.observation, self.now)
        return Life(
            key=facts.host.key,
            keep_alive=facts.host.keep_alive,
            silence=silent,
            age=age,
            state=facts.state,
            state_at=facts.state_at,
            pinged_at=facts.pinged_at,
        )
