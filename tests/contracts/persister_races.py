"""What every persister promises when several brokers want the same at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve

from dockerbroker.errors import AlreadyExists, Busy, LostLease, PortLeased
from dockerbroker.model.instances import Change, Phase
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.persisters.values import HERE


class RaceContract(PersisterTestCase):
    """Eight brokers that want the same at once."""

    def race(self, change: Callable[[int], Change]) -> list[Any]:
        """Begin eight changes, each by a broker of its own; returns the outcomes, the winner's first."""
        persisters = [self.fixture.persister() for _ in range(8)]
        calls = [
            partial(persister.begin, change(number), owner=f"owner{number}", ttl=15, within=60)
            for number, persister in enumerate(persisters)
        ]
        return sorted(self.fixture.race(calls), key=lambda outcome: isinstance(outcome, Exception))

    def assert_one_winner(self, outcomes: list[Any], kind: type[Exception]) -> str:
        """Check that one won and the others were refused in that way; returns the winner's operation."""
        winner, *losers = outcomes
        self.assertEqual([type(loser) for loser in losers], [kind] * 7)
        self.assertEqual(self.done(self.persister.operation(winner.id)), winner)
        others = [self.done(self.persister.operation(f"o{n}")) for n in range(8)]
        self.assertEqual([other for other in others if other is not None], [winner])
        return str(winner.id)

    def test_one_instance(self) -> None:
        """Of eight provisions of one identifier one wins."""
        outcomes = self.race(lambda n: values.provision(f"o{n}", values.instance("i1", 20000 + n)))
        winner = self.assert_one_winner(outcomes, AlreadyExists)
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        self.assertEqual(stored.operation_id, winner)
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), set(stored.ports.values()))

    def test_one_port(self) -> None:
        """Of eight instances that want one port one gets it."""
        outcomes = self.race(lambda n: values.provision(f"o{n}", values.instance(f"i{n}", 20001)))
        self.assert_one_winner(outcomes, PortLeased)

    def test_one_binding(self) -> None:
        """Of eight binds of one identifier one wins; the instance is busy for the others."""
        self.provisioned(values.instance())
        outcomes = self.race(lambda n: values.bind(f"o{n}", values.binding(app_guid=f"app{n}")))
        self.assert_one_winner(outcomes, Busy)

    def test_one_operation(self) -> None:
        """Of eight deprovisions of one instance one begins."""
        self.provisioned(values.instance())
        winner = self.assert_one_winner(self.race(lambda n: values.deprovision(f"o{n}")), Busy)
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        self.assertEqual(stored.operation_id, winner)

    def test_all_different(self) -> None:
        """Eight provisions that have nothing in common all begin."""
        outcomes = self.race(lambda n: values.provision(f"o{n}", values.instance(f"i{n}", 20000 + n)))
        self.assertEqual(sorted(outcome.id for outcome in outcomes), [f"o{n}" for n in range(8)])

    def test_one_outcome(self) -> None:
        """Of eight commits of an outcome one is written."""
        begun = self.begin(values.provision("o1", values.instance()))
        persisters = [self.fixture.persister() for _ in range(8)]
        ends = [Change(operation=evolve(begun.over(Phase.FAILED, n), description=str(n))) for n in range(8)]
        outcomes = self.fixture.race(
            [partial(persister.commit, end) for persister, end in zip(persisters, ends, strict=True)]
        )
        self.assertEqual([type(loser) for loser in outcomes if loser is not None], [LostLease] * 7)
        stored = self.done(self.persister.operation("o1"))
        assert stored is not None
        self.assertEqual(int(stored.description), outcomes.index(None))
