"""One trial: a scenario, the deaths of its brokers, and what was wrong afterwards."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dockerbroker.broker.limits import LEASE
from dockerbroker.broker.reconcile import PERIOD
from tests.crash.databases import Databases
from tests.crash.invariants import empty_complaints, settled_complaints
from tests.crash.platform import Deed, Platform
from tests.crash.scenarios import Act, Scenario, scenario
from tests.crash.world import Death, World, result

#: How long anything may take, in seconds of the world.
_PATIENCE: Final = 4000.0
#: What is parked is tried again within a minute, by whoever looks; seconds.
_SETTLING: Final = 600.0
#: How long a host is lost that leaves in the middle of a step; seconds.
_ABSENCE: Final = 40.0


@frozen(kw_only=True)
class Trial:
    """What a trial is made of: whoever has these values can repeat it."""

    seed: int
    deaths: tuple[Death, ...] = ()
    database: str = "memory"

    def command(self) -> str:
        """Return the command that repeats it."""
        points = " ".join(f"--point {death.name}#{death.count}" for death in self.deaths)
        return (
            f"python -m tests.crash --seed {self.seed} --trials 1 --database {self.database} {points}".strip()
        )


@define
class Outcome:
    """What came of a trial: what each broker reached, where each died, and what was wrong."""

    trial: Trial
    reached: list[Counter[str]] = field(factory=list)
    died_at: list[str] = field(factory=list)
    complaints: list[str] = field(factory=list)
    history: list[str] = field(factory=list)

    def report(self) -> str:
        """Return what a person needs to understand it."""
        lines = [*self.complaints, "", *self.history, "", self.trial.command()]
        return "\n".join(lines)


@define(eq=False)
class _Leaving:
    """Lets the host be lost for a while when a broker begins to talk to it in a place."""

    world: World
    place: str
    _is_gone: bool = False

    async def __call__(self, name: str) -> None:
        """Leave, once."""
        if not self._is_gone and name.startswith(f"{self.place}/engine."):
            self._is_gone = True
            self.world.engine.reachable = False
            self.world.clock.callLater(_ABSENCE, setattr, self.world.engine, "reachable", True)


@define(eq=False)
class _Run:
    """A trial under way."""

    trial: Trial
    scenario: Scenario
    world: World
    platform: Platform

    def play(self) -> list[str]:
        """Send all requests, wait, and look; returns complaints."""
        self._arrange()
        deeds: list[Deferred[Deed]] = []
        for act in self.scenario.acts:
            self._wait_for(deeds) if act.after is None else self.world.advance(act.after)
            deeds.append(self.platform.perform(act))
        self._wait_for(deeds)
        self._settle()
        found = settled_complaints(self.world, self.platform)
        found += self._failures()
        return found or self._clean_up()

    def _failures(self) -> list[str]:
        """Return what failed although nothing but one death stood in its way."""
        if not self.scenario.is_calm or len(self.trial.deaths) > 1:
            return []
        failed = [deed for deed in self.platform.deeds if deed.outcome != "done"]
        return [f"should have succeeded: {deed}" for deed in failed if self.scenario.has_time(deed.act)]

    def _arrange(self) -> None:
        service, world, engine = self.world.service, self.world, self.world.engine
        for _ in range(1, self.scenario.brokers):
            world.begin()
        service.slow, service.failing = self.scenario.slow, dict(self.scenario.failing)
        image = engine.images["redis"]
        image.exit_code = self.scenario.ends
        if self.scenario.taken_ports:
            engine.taken_ports = {49153, 49154}
        if self.scenario.away is not None:
            start, duration = self.scenario.away
            world.clock.callLater(start, setattr, engine, "reachable", False)
            world.clock.callLater(start + duration, setattr, engine, "reachable", True)
        if self.scenario.leaves is not None:
            world.also = _Leaving(world, self.scenario.leaves)

    def _wait_for(self, deeds: list[Deferred[Deed]]) -> None:
        for deed in deeds:
            if not self.world.wait(deed, _PATIENCE):
                raise AssertionError("a request has no end: " + "; ".join(map(str, self.platform.deeds)))
        for deed in deeds:
            deed.addErrback(self._defect)
        deeds.clear()

    def _defect(self, failure: object) -> None:
        self.world.complaints.append(f"the platform choked: {failure}")

    def _settle(self) -> None:
        """Let time pass until nothing is under way any more, within bounds."""
        end = self.world.clock.seconds() + _SETTLING
        self.world.advance(LEASE + 2 * PERIOD)
        while self.world.clock.seconds() < end and self._unfinished():
            self.world.advance(PERIOD)

    def _unfinished(self) -> bool:
        return bool(result(self.world.reader.operations(unfinished=True, limit=1)))

    def _clean_up(self) -> list[str]:
        """Delete everything as a user would, with nothing in the way; returns what is left."""
        service, engine = self.world.service, self.world.engine
        service.failing, engine.reachable = {}, True
        for instance_id in sorted({act.instance_id for act in self.scenario.acts}):
            self._delete(instance_id)
        self._settle()
        return empty_complaints(self.world)

    def _delete(self, instance_id: str) -> None:
        """Delete an instance, once more when the brokers died that were asked."""
        for _ in range(2):
            deed = self.platform.perform(Act(kind="deprovision", instance_id=instance_id))
            self._wait_for([deed])
            if self.platform.deeds[-1].outcome != "unknown":
                return


def run(trial: Trial, databases: Databases) -> Outcome:
    """Run a trial in a world of its own."""
    clock = Clock()
    world = World(databases.new(trial.database, clock.seconds), clock, list(trial.deaths))
    chance = Random(trial.seed)  # noqa: S311 - it must be repeatable
    played = _Run(trial, scenario(chance), world, Platform(world))
    outcome = Outcome(trial)
    try:
        outcome.complaints = played.play()
    except AssertionError as error:
        outcome.complaints = [str(error)]
    outcome.reached = [life.counts for life in world.lives]
    outcome.died_at = [life.died_at for life in world.lives if life.died_at is not None]
    deeds = map(str, played.platform.deeds)
    outcome.history = [repr(played.scenario), *deeds, f"died at: {outcome.died_at}"]
    return outcome
