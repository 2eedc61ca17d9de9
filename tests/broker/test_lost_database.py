"""Databases that are not what they were: a backup, an empty one, that of another deployment."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Final

from attrs import fields

from tests.broker.test_comparing import ALL, ONE, ComparerCase, orphan
from tests.memory_tables import Tables
from tests.stack import Stack

#: How often each way of losing the database is tried.
TRIALS: Final = 100


class LostDatabaseTests(ComparerCase):
    """Databases that are not what they were: nothing is ever removed for them."""

    def trial(self, seed: int, lose: Callable[[Stack, Tables], object]) -> None:
        """Make a copy of the database in the midst of life, lose the database, and compare for long."""
        random = Random(seed)  # noqa: S311 (nothing secret is made of it)
        stack = Stack()
        before = [f"i-{number}" for number in range(random.randrange(5))]
        for instance_id in before:
            stack.provision(instance_id)
        backup = deepcopy(stack.persister.tables)
        for number in range(random.randrange(1, 5)):
            stack.provision(f"j-{number}")
        for instance_id in random.sample(before, random.randrange(len(before) + 1)):
            stack.deprovision(instance_id)
        lose(stack, backup)
        there = set(stack.engine.world)
        stack.comparer.start()
        stack.advance(ALL + ONE)
        self.assertEqual(set(stack.engine.world), there, f"seed {seed}")

    def test_restored_backup(self) -> None:
        """A backup does not know what was made after it: that stays."""
        for seed in range(TRIALS):
            self.trial(seed, lambda stack, backup: replace(stack.persister.tables, backup))

    def test_empty(self) -> None:
        """In an empty database of the same deployment nothing has an owner: everything stays."""

        def empty(stack: Stack, backup: Tables) -> None:
            hosts = stack.persister.tables.hosts
            replace(stack.persister.tables, Tables(cluster_id=backup.cluster_id, hosts=hosts))

        for seed in range(TRIALS):
            self.trial(seed, empty)

    def test_only_instances_lost(self) -> None:
        """A database that has lost its instances, but not their history, contradicts itself."""

        def lose(stack: Stack, _backup: Tables) -> None:
            stack.persister.tables.instances.clear()

        for seed in range(TRIALS):
            self.trial(seed, lose)

    def test_wrong(self) -> None:
        """The database of another deployment has nothing to do with these containers."""

        def exchange(stack: Stack, _backup: Tables) -> None:
            hosts = stack.persister.tables.hosts
            replace(stack.persister.tables, Tables(cluster_id="f" * 32, hosts=hosts))

        for seed in range(TRIALS):
            self.trial(seed, exchange)

    def test_exchanged_while_running(self) -> None:
        """A database that becomes another one under a running broker ends the comparing."""
        stack = self.stack("i-1")
        made = orphan(stack, "i-2")
        stack.advance(ONE)
        stack.persister.tables.cluster_id = "f" * 32
        stack.advance(ALL + ONE)
        self.assertIn(made, stack.engine.world)
        self.assertIsNone(self.condition(stack))


def replace(tables: Tables, others: Tables) -> None:
    """Let the tables hold what the others hold."""
    for one in fields(Tables):
        setattr(tables, one.name, deepcopy(getattr(others, one.name)))
