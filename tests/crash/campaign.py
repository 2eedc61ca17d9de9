"""Many trials: in each a broker dies where few have died so far, and then all that must hold is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from attrs import define, evolve, field
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import provider

from dockerbroker.crashpoints import names, without_place
from dockerbroker.engines.interfaces import IEngine, IExecutor
from dockerbroker.persisters.interfaces import IPersister
from tests.crash.databases import Databases
from tests.crash.trial import Outcome, Trial, run
from tests.crash.world import Death

#: All points, without places.
POINTS: Final = frozenset(
    [*names(IPersister, "persister"), *names(IEngine, "engine"), *names(IExecutor, "executor")]
)
#: More failures than these tell nothing new.
_MOST_FAILURES: Final = 20
#: So many scenarios are looked at at least before a point is taken for one that is hardly ever reached.
_MOST_SCENARIOS: Final = 300
#: How many trials each scenario gets.
DEATHS: Final = 5
#: How often brokers die at least at each point, in whatever places.
OFTEN: Final = 20


@define
class Tally:
    """What a campaign has seen so far: how often brokers died at each point, and what was wrong."""

    trials: int = 0
    deaths: Counter[str] = field(factory=Counter)
    reached: Counter[str] = field(factory=Counter)
    failures: list[str] = field(factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count a trial."""
        self.trials += 1
        self.deaths.update(outcome.died_at)
        for reached in outcome.reached:
            self.reached.update(reached)
        if outcome.complaints:
            self.failures.append(outcome.report())

    def merge(self, other: Tally) -> None:
        """Count what another process has seen."""
        self.trials += other.trials
        self.deaths.update(other.deaths)
        self.reached.update(other.reached)
        self.failures += other.failures

    def as_json(self) -> dict[str, Any]:
        """Return it for another process."""
        return {
            "trials": self.trials,
            "deaths": self.deaths,
            "reached": self.reached,
            "failures": self.failures[:_MOST_FAILURES],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Tally:
        """Return what another process has seen."""
        return cls(
            trials=document["trials"],
            deaths=Counter(document["deaths"]),
            reached=Counter(document["reached"]),
            failures=document["failures"],
        )

    def calls(self) -> Counter[str]:
        """Return how often brokers died at each point, whatever the place."""
        total: Counter[str] = Counter()
        for name, count in self.deaths.items():
            total[without_place(name)] += count
        return total

    def coverage(self) -> str:
        """Return a table of all points that were reached."""
        lines = [f"{self.deaths[name]:6}  {name}" for name in sorted(self.reached)]
        hit = sum(1 for name in self.reached if self.deaths[name])
        return "\n".join(
            [*lines, f"{self.trials} trials, {self.deaths.total()} deaths, {hit} of {len(lines)} points"]
        )


@define
class Campaign:
    """What is to be tried: `trials` trials, a few for each scenario, which are of the seeds from `seed` on.

    `point` is a point at which brokers die, by its name with or without a place; without it that point of a
    scenario is taken at which the fewest brokers have died. With `double` the broker that takes over dies,
    too, and the point is where that one does. `often` is how many brokers are to die at each call before
    places count.
    """

    seed: int
    trials: int
    double: bool = False
    point: str | None = None
    database: str = "sqlite"
    often: int = OFTEN
    tally: Tally = field(factory=Tally)
    _databases: Databases = field(factory=Databases, init=False)

    def run(self) -> Tally:
        """Run all trials; a point that is hardly ever reached is not looked for without end."""
        seed, last = self.seed, self.seed + max(self.trials, _MOST_SCENARIOS)
        try:
            while (
                self.tally.trials < self.trials and len(self.tally.failures) < _MOST_FAILURES and seed < last
            ):
                self._scenario(seed)
                seed += 1
        finally:
            self._databases.close()
        return self.tally

    def _scenario(self, seed: int) -> None:
        undisturbed = observed(Trial(seed=seed), self._databases)
        if undisturbed.complaints:
            self.tally.add(undisturbed)
            return
        for number in range(min(DEATHS, self.trials - self.tally.trials)):
            chance = Random(f"{seed} {number}")  # noqa: S311 - it must be repeatable
            self._deaths(Trial(seed=seed, database=self.database), undisturbed, chance)

    def _deaths(self, trial: Trial, undisturbed: Outcome, chance: Random) -> None:
        first = self._death(undisturbed.reached[0], chance, None if self.double else self.point)
        if first is None:
            return
        deaths: tuple[Death, ...] = (first,)
        if self.double:
            # Where the second one comes to is the same on every database.
            outcome = observed(evolve(trial, deaths=deaths, database="memory"), self._databases)
            following = outcome.reached[1] if len(outcome.reached) > 1 else Counter[str]()
            second = self._death(following, chance, self.point)
            if second is None:
                return
            deaths += (second,)
        self.tally.add(observed(evolve(trial, deaths=deaths), self._databases))

    def _death(self, reached: Counter[str], chance: Random, point: str | None) -> Death | None:
        candidates = [name for name in sorted(reached) if point in {None, name, without_place(name)}]
        if not candidates:
            return None
        chance.shuffle(candidates)
        calls = self.tally.calls()
        # First every call often enough, then every call in every place.
        name = min(
            candidates, key=lambda one: (min(calls[without_place(one)], self.often), self.tally.deaths[one])
        )
        return Death(name, chance.randint(1, reached[name]))


def observed(trial: Trial, databases: Databases) -> Outcome:
    """Run a trial; what is logged as an error is a complaint."""
    with _errors() as logged:
        outcome = run(trial, databases)
    outcome.complaints += logged
    return outcome


@contextmanager
def _errors() -> Iterator[list[str]]:
    found: list[str] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("log_level") in {LogLevel.error, LogLevel.critical}:
            trace = event["log_failure"].getTraceback() if "log_failure" in event else ""
            found.append(f"logged: {formatEvent(event)} {trace}")

    globalLogPublisher.addObserver(observe)
    try:
        yield found
    finally:
        globalLogPublisher.removeObserver(observe)
