"""Whatever a database holds is moved from any kind of database to any kind."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, permutations
from typing import Final

from hypothesis import HealthCheck, given, settings

from dockerbroker.persisters.archive import Closed, Kind, Row
from tests.command.moving import MoveCase
from tests.persisters.archives import MAKERS
from tests.persisters.wholes import wholes

#: Hypothesis runs a test's examples with one setUp; each makes databases of its own.
_SETTINGS = settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))


class PairCase(MoveCase):
    """One kind of database and another one."""

    def assert_same_to_brokers(self) -> None:
        """Check that what brokers look up is the same in both databases."""
        one, other = self.source.persister, self.target.persister
        instances = self.done(one.instances("", 1000))
        self.assertEqual(self.done(other.instances("", 1000)), instances)
        for instance in instances:
            self.assertEqual(self.done(other.bindings(instance.id)), self.done(one.bindings(instance.id)))
            ports = self.done(one.leased_ports(instance.host))
            self.assertEqual(self.done(other.leased_ports(instance.host)), ports)
        self.assertEqual(self.done(other.images()), self.done(one.images()))
        self.assertEqual(self.done(other.conditions()), self.done(one.conditions()))
        hosts, moved = (
            [(report.host, report.state, report.is_cordoned) for report in self.done(each.hosts())]
            for each in (one, other)
        )
        self.assertEqual(moved, hosts)
        for unfinished in (False, True):
            found = [
                [operation.id for operation in self.done(each.operations(unfinished=unfinished, limit=1000))]
                for each in (one, other)
            ]
            self.assertEqual(found[0], found[1])


class LifeCase(PairCase):
    """A database in the midst of life."""

    def test_life(self) -> None:
        """It is moved, and a broker goes on with what was unfinished."""
        self.assertEqual(self.move(), 0)
        self.assert_moved()
        self.assert_same_to_brokers()
        self.assertEqual(len(self.done(self.target.persister.claim("new", ttl=15))), 6)


class AnythingCase(PairCase):
    """Whatever can be on record."""

    def setUp(self) -> None:
        """Make nothing: each example makes databases of its own."""

    @_SETTINGS
    @given(wholes())
    def test_anything(self, rows: dict[Kind, list[Row]]) -> None:
        """Whatever records a database holds are moved, and brokers read the same of both."""
        self.prepare()
        archive = self.source.archive
        self.done(archive.close(Closed.FILLING, ""))
        for kind, some in rows.items():
            if some:
                self.done(archive.write(kind, some))
        self.done(archive.close(Closed.NO, ""))
        self.assertEqual(self.rows(self.source), rows)
        self.assertEqual(self.move(forced=True), 0)
        self.assert_moved()
        self.assert_same_to_brokers()


_DRIVERS: Final = ("sqlite", "mysql", "postgresql", "redis")


def _cases(case: type[PairCase], pairs: Iterable[tuple[str, str]]) -> dict[str, type[PairCase]]:
    cases: dict[str, type[PairCase]] = {}
    for source, target in pairs:
        name = f"{source.capitalize()}To{target.capitalize()}{case.__name__.removesuffix('Case')}Tests"
        makers = (MAKERS[source], MAKERS[target])
        members = {"makers": makers, "__module__": __name__, "__doc__": f"From {source} to {target}."}
        cases[name] = type(name, (case,), members)
    return cases


globals().update(_cases(LifeCase, [*permutations(_DRIVERS, 2), ("sqlite", "sqlite")]))
# What is read of a database, and what is written to it, does not depend on the other one.
globals().update(_cases(AnythingCase, pairwise([*_DRIVERS, _DRIVERS[0]])))
for _case in ("PairCase", "LifeCase", "AnythingCase"):
    # They are no tests by themselves.
    del globals()[_case]
