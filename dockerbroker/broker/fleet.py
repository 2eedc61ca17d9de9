"""What a broker has last seen of all Docker hosts: to read all of them for each placement takes too long."""

from collections.abc import Sequence
from typing import Final

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from dockerbroker.model.fleet import LONG_AGO, Fleet, HostFacts
from dockerbroker.model.hosts import HostKey, HostReport
from dockerbroker.model.placement import Overcommit, Place, place_at
from dockerbroker.model.reservations import Reserved
from dockerbroker.persisters.interfaces import IPersister

#: For so many seconds something is placed by what was seen: the judge looks twice a second.
YOUTH: Final = 1.0


@define(eq=False)
class _Seen:
    """A host as it was seen, what place it is, and until when it is that unless something else is seen."""

    facts: HostFacts
    report: HostReport
    place: Place
    until: float


@frozen(eq=False)
class _Added:
    """What this broker has placed on a host."""

    key: HostKey
    reserved: Reserved


@define(eq=False)
class FleetView:
    """All hosts as this broker has last seen them, with what it has placed since.

    Whatever is decided by it the database decides once more when it is written, so that a view that is a
    little old costs another look at most. Only what has changed is made anew at a look.
    """

    persister: IPersister
    clock: IReactorTime
    overcommit: Overcommit = field(factory=Overcommit)
    youth: float = YOUTH
    _seen: dict[HostKey, _Seen] = field(factory=dict, init=False)
    _looked_at: float = field(default=LONG_AGO, init=False)
    _added: list[_Added] = field(factory=list, init=False)

    @property
    def is_young(self) -> bool:
        """Whether something may be placed by what was seen last."""
        return self.clock.seconds() - self._looked_at < self.youth

    def places(self) -> Sequence[Place]:
        """Return all hosts as they were seen last."""
        return [one.place for one in self._seen.values()]

    async def look(self) -> Fleet:
        """Read all hosts, and remember them."""
        began, before = self.clock.seconds(), list(self._added)
        fleet = await self.persister.fleet()
        for one in self._added:
            self._seen.pop(one.key, None)
        # What was placed before is among what was read, or will be at the next look, or was never written.
        self._added = [one for one in self._added if one not in before]
        self._seen = {facts.host.key: self._as_seen(fleet, facts) for facts in fleet.hosts}
        for one in self._added:
            self._add(one)
        self._looked_at = began
        return fleet

    def add(self, key: HostKey, reserved: Reserved) -> None:
        """Remember that this broker is about to reserve that on a host."""
        added = _Added(key, reserved)
        self._added.append(added)
        self._add(added)

    def distrust(self) -> None:
        """Let nothing be placed by what was seen, since the database has refused what was decided by it."""
        self._looked_at = LONG_AGO

    def _as_seen(self, fleet: Fleet, facts: HostFacts) -> _Seen:
        seen = self._seen.get(facts.host.key)
        if seen is not None and seen.facts is facts and fleet.now <= seen.until:
            return seen
        report = fleet.report(facts)
        until = facts.punctual_until if report.is_alive and not report.is_late else LONG_AGO
        return _Seen(facts, report, place_at(report, facts.reserved, self.overcommit), until)

    def _add(self, added: _Added) -> None:
        if (seen := self._seen.get(added.key)) is not None:
            more = seen.place.candidate.reserved + added.reserved
            seen.place = place_at(seen.report, more, self.overcommit)
