"""Databases that are not what they were: a backup, an empty one, that of another deployment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from copy import deepcopy
from random import Random
from typing import Any, Final, cast

from attrs import fields
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from dockerbroker.model.containers import LABEL_INSTANCE
from tests.broker.test_comparing import ALL, ONE, ComparerCase, orphan, value
from tests.memory_tables import Tables
from tests.persisters.files import SqliteFixture
from tests.pinging import pings
from tests.stack import HOST, REDIS, Stack

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
        """A database that becomes another one under a running broker ends the comparing, and that is told."""
        stack = self.stack("i-1")
        made = orphan(stack, "i-2")
        stack.advance(ONE)
        stack.persister.tables.cluster_id = "f" * 32
        with capturedLogs() as events:
            stack.advance(ALL + ONE)
        self.assertIn(made, stack.engine.world)
        self.assertIsNone(self.condition(stack))
        self.assert_told(events)

    def test_file_exchanged(self) -> None:
        """So it is when a file is put into the place of the one with which the broker was started."""
        fixture, other = SqliteFixture.of(self), SqliteFixture.of(self)
        stack = Stack(clock=fixture.clock, persister=cast("Any", fixture.persister()))
        for one in (fixture, other):
            persister = one.persister()
            value(persister.seed_images([REDIS]))
            value(persister.record_pings(pings([HOST])))
            one.close()
        self.assertEqual(stack.provision("i-1").status, 201)
        made = orphan(stack, "i-2")
        stack.comparer.start()
        self.addCleanup(stack.comparer.stop)
        stack.advance(ONE)
        fixture.close()
        for path in fixture.path.parent.iterdir():
            if path.is_file():
                path.unlink()
        other.path.rename(fixture.path)
        with capturedLogs() as events:
            stack.advance(ALL + ONE)
        self.assertIn(made, stack.engine.world)
        self.assertEqual(len(stack.engine.world), 2)
        self.assert_told(events)

    def test_unreadable(self) -> None:
        """While an instance cannot be read all else goes on; its container stays, and the log tells once."""
        fixture = SqliteFixture.of(self)
        persister = fixture.persister()
        stack = Stack(clock=fixture.clock, persister=cast("Any", persister))
        value(persister.seed_images([REDIS]))
        value(persister.record_pings(pings([HOST])))
        self.assertEqual(stack.provision("i-1").status, 201)
        made = orphan(stack, "i-2")
        stack.comparer.start()
        self.addCleanup(stack.comparer.stop)
        self.assertEqual(stack.provision("i-0").status, 201)
        (other,) = [one for one in stack.engine.world.values() if one.spec.labels[LABEL_INSTANCE] == "i-0"]
        for change in ("'{' || document", "substr(document, 2)"):
            with closing(sqlite3.connect(fixture.path)) as connection, connection:
                connection.execute(f"UPDATE instances SET document = {change} WHERE id = 'i-1'")  # noqa: S608
            stack.engine.crash(other.id)
            with capturedLogs() as events:
                stack.advance(ALL + ONE)
            told = [one for one in map(formatEvent, events) if "not compared" in one]
            self.assertEqual(len(told), 1 if "||" in change else 0)
            self.assertTrue(other.running)
            self.assertNotIn(made, stack.engine.world)
            left = {one.spec.labels[LABEL_INSTANCE] for one in stack.engine.world.values()}
            self.assertEqual(left, {"i-0", "i-1"})

    def assert_told(self, events: Sequence[LogEvent]) -> None:
        """Check that every pass has told that the database is another one."""
        told = [formatEvent(event) for event in events if event["log_level"] is LogLevel.warn]
        self.assertGreater(len(told), 1)
        sentence = "The database is not the one with which the broker was started."
        self.assertEqual(set(told), {f"comparing the database with the Docker hosts: {sentence}"})


def replace(tables: Tables, others: Tables) -> None:
    """Let the tables hold what the others hold."""
    for one in fields(Tables):
        setattr(tables, one.name, deepcopy(getattr(others, one.name)))
