"""Containers whose records were lost get records again."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from attrs import evolve

from dockerbroker.model.containers import LABEL_OPERATION, container_name
from dockerbroker.model.instances import OperationKind, Phase
from dockerbroker.model.plans import ContainerOptions, Plan
from dockerbroker.model.secrets import Secret
from tests.broker.test_lost_database import replace
from tests.command.adopting import LONG, LOST, AdoptCase
from tests.command.case import WALL
from tests.memory_tables import Tables
from tests.stack import (
    CREDENTIALS,
    HOST,
    REDIS,
    instance_path,
)


class EmptyDatabaseTests(AdoptCase):
    """All records are lost."""

    def test_adopted(self) -> None:
        """An instance is what it was, but for what Docker does not know of it."""
        self.stack.image.scripts["/provision"] = lambda _stdin, _environment: (0, b'{"secret": 1}', b"")
        self.stack.provision("i-2", parameters={"size": 3})
        before = {name: self.instance(name) for name in ("i-1", "i-2")}
        self.empty()
        lines = self.lines()
        self.assertEqual([line[:2] for line in lines], [["adopt", "i-1"], ["adopt", "i-2"]])
        self.assertEqual(
            [line[2:] for line in lines], [[self.container(n).id, "10.0.0.1", ""] for n in before]
        )
        for name, former in before.items():
            expected = evolve(
                former,
                organization_guid="",
                space_guid="",
                parameters=Secret({}),
                provisioned=Secret({}),
                context={},
                created_at=self.instance(name).created_at,
            )
            self.assertEqual(self.instance(name), expected)
        self.well()

    def test_again(self) -> None:
        """What has its record is not adopted again."""
        self.empty()
        self.lines()
        told = self.one_line(self.ask("adopt"), 0)
        self.assertEqual(told, f"Every container of {LOST} has its record.")

    def test_dry_run(self) -> None:
        """A dry run shows the same, and changes nothing."""
        self.empty()
        result = self.ask("adopt", "--dry-run")
        self.assert_said(result, 0, "Nothing was changed.")
        self.assertEqual(self.stack.persister.tables.instances, {})
        self.assertEqual(self.stack.persister.tables.operations, {})
        self.assertEqual(self.ask("adopt").stdout, result.stdout)

    def test_recorded(self) -> None:
        """The record has the operation by which the container was made, as one that has succeeded."""
        made_by = self.container().spec.labels[LABEL_OPERATION]
        self.empty()
        self.lines()
        (operation,) = self.stack.persister.history()
        self.assertEqual((operation.id, operation.kind), (made_by, OperationKind.PROVISION))
        self.assertEqual((operation.phase, operation.owner), (Phase.SUCCEEDED, None))
        self.assertEqual(operation.finished_at, WALL + self.stack.clock.seconds())
        self.assertIsNone(self.instance().operation_id)

    def test_used(self) -> None:
        """It can be bound, unbound, updated and removed, with all that belongs to it."""
        self.empty()
        self.lines()
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual((answer.status, answer.json["credentials"]), (201, CREDENTIALS))
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 200)
        body = {"service_id": REDIS.service_id, "parameters": {"size": 4}}
        self.assertEqual(self.stack.request("PATCH", instance_path("i-1"), body).status, 200)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assertEqual(self.stack.engine.world, {})
        self.assertEqual(self.stack.persister.tables.leases, {})
        self.well()

    def test_old_binding(self) -> None:
        """A binding of before is gone to the platform, and can be made again under its id."""
        self.stack.bind("i-1", "b-1")
        self.empty()
        self.lines()
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 410)
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 201)

    def test_provisioned_again(self) -> None:
        """The platform's own provision is taken for the one that made it, since nobody knows better."""
        self.empty()
        self.lines()
        answer = self.stack.provision("i-1", parameters={"size": 9}, space_guid="another")
        self.assertEqual((answer.status, answer.json), (200, {}))
        self.assertEqual(len(self.stack.engine.world), 1)
        # What is known counts.
        self.stack.add_definition(
            evolve(REDIS, name="other", id="other", plans=(Plan(id="other", name="p"),))
        )
        answer = self.stack.provision("i-1", service_id="other", plan_id="other")
        self.assertEqual(answer.status, 409)

    def test_reaper(self) -> None:
        """Brokers leave everything until it is adopted, and afterwards as well; what is deleted is gone."""
        self.stack.provision("i-2")
        self.empty()
        there = set(self.stack.engine.world)
        self.stack.comparer.start()
        self.addCleanup(self.stack.comparer.stop)
        self.stack.advance(LONG)
        self.assertEqual(set(self.stack.engine.world), there)
        self.lines()
        self.stack.advance(LONG)
        self.assertEqual(set(self.stack.engine.world), there)
        # A container that a late create leaves behind is known again by its label.
        spec = self.container("i-2").spec
        self.stack.deprovision("i-2")
        left = self.value(self.stack.engine.create(spec))
        self.stack.advance(LONG)
        self.assertNotIn(left, self.stack.engine.world)
        self.assertIn(self.instance().container_id, self.stack.engine.world)

    def test_stopped(self) -> None:
        """A container that does not run is adopted with the ports that it will publish."""
        before = self.instance()
        self.stack.engine.crash(self.container().id)
        self.empty()
        self.lines()
        self.assertEqual(self.instance().ports, before.ports)
        self.assertEqual(self.value(self.stack.persister.leased_ports(HOST.key)), set(before.ports.values()))
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 201)


class IdentityTests(AdoptCase):
    """A new database takes the identity of the lost one."""

    def test_cluster(self) -> None:
        """With the identity of the lost database its containers are found and adopted."""
        self.empty("f" * 32)
        self.assertIn("f" * 32, self.one_line(self.ask("adopt"), 0))
        result = self.ask("adopt", "--cluster", LOST)
        self.assert_said(result, 0, "restart every broker")
        self.assertEqual(self.stack.persister.tables.cluster_id, LOST)
        self.assertTrue(result.stdout.startswith("adopt\ti-1\t"))
        self.well()
        # Once more it is the database's own.
        self.assert_said(self.ask("adopt", "--cluster", LOST), 0, "has its record")

    def test_dry_run(self) -> None:
        """A dry run looks for those containers, and the database keeps its identity."""
        self.empty("f" * 32)
        result = self.ask("adopt", "--cluster", LOST, "--dry-run")
        self.assertTrue(result.stdout.startswith("adopt\ti-1\t"))
        self.assertEqual(self.stack.persister.tables.cluster_id, "f" * 32)

    def test_not_new(self) -> None:
        """A database that has instances, or had some, keeps its identity."""
        for words in ((), ("--dry-run",)):
            told = self.one_line(self.ask("adopt", "--cluster", "e" * 32, *words), 1)
            self.assertIn("holds instances", told)
        self.stack.deprovision("i-1")
        self.one_line(self.ask("adopt", "--cluster", "e" * 32), 1)
        self.assertEqual(self.stack.persister.tables.cluster_id, LOST)

    def test_no_hosts(self) -> None:
        """Where no agent has reached a broker yet, the identity is taken, and that is told."""
        replace(self.stack.persister.tables, Tables(cluster_id="f" * 32))
        result = self.ask("adopt", "--cluster", LOST)
        self.assert_said(result, 0, "No Docker host is known yet")
        self.assertNotIn("has its record", result.stderr)
        self.assertEqual(self.stack.persister.tables.cluster_id, LOST)


class BackupTests(AdoptCase):
    """The database is yesterday's."""

    def backup(self) -> Tables:
        """Return a copy of the database."""
        return deepcopy(self.stack.persister.tables)

    def restore(self, backup: Tables) -> None:
        """Let the database be the copy."""
        replace(self.stack.persister.tables, backup)

    def test_made_since(self) -> None:
        """What was made since gets a record, what was there keeps its own."""
        backup = self.backup()
        self.stack.provision("i-2")
        before = self.instance()
        self.restore(backup)
        self.assertEqual([line[:2] for line in self.lines()], [["adopt", "i-2"]])
        self.assertEqual(self.instance(), before)
        self.assertEqual(self.stack.bind("i-2", "b-1").status, 201)
        self.well()

    def test_replaced_since(self) -> None:
        """An instance that was moved to another plan since gets a record that fits its container."""
        large = evolve(REDIS.plans[0], id="large", name="large", options=ContainerOptions(memory=1 << 30))
        self.stack.add_definition(evolve(REDIS, plans=(*REDIS.plans, large), plan_updateable=True))
        backup = self.backup()
        body = {"service_id": REDIS.service_id, "plan_id": "large"}
        self.assertEqual(self.stack.request("PATCH", instance_path("i-1"), body).status, 200)
        updated = self.instance()
        self.restore(backup)
        (line,) = self.lines()
        self.assertEqual(line[:2], ["renew", "i-1"])
        renewed = self.instance()
        self.assertEqual(renewed, updated)
        self.assertEqual((renewed.generation, renewed.organization_guid), (2, updated.organization_guid))
        self.assertEqual(self.stack.persister.history()[-1].kind, OperationKind.UPDATE)
        self.well()
        self.assertEqual(self.stack.bind("i-1", "b-1", plan_id="large").status, 201)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assertEqual(self.stack.engine.world, {})

    def test_removed_since(self) -> None:
        """An instance that was removed since is put on record as missing, and can be removed again."""
        backup = self.backup()
        self.stack.deprovision("i-1")
        self.restore(backup)
        self.assert_said(self.ask("adopt"), 0, "has its record")
        self.assertEqual(self.stack.deprovision("i-1").status, 200)

    def test_left_over(self) -> None:
        """What was removed, and is still there, is brokers' to remove."""
        spec = self.container().spec
        self.stack.deprovision("i-1")
        self.value(self.stack.engine.create(spec))
        (line,) = self.lines()
        self.assertEqual(
            (line[0], line[4]), ("leave", "belonged to an instance that was deleted; brokers remove it")
        )
        self.assertEqual(self.stack.persister.tables.instances, {})

    def test_same_id_again(self) -> None:
        """An instance that was removed before the backup and made again after it is adopted."""
        self.stack.deprovision("i-1")
        backup = self.backup()
        self.stack.provision("i-1")
        self.restore(backup)
        self.assertEqual([line[:2] for line in self.lines()], [["adopt", "i-1"]])
        self.well()

    def test_operation_known(self) -> None:
        """When only the instance's row was lost, its record gets an operation of its own."""
        self.stack.persister.tables.instances.clear()
        self.stack.persister.tables.leases.clear()
        self.assertEqual([line[:2] for line in self.lines()], [["adopt", "i-1"]])
        self.assertEqual(len(self.stack.persister.history()), 2)
        self.well()

    def test_busy(self) -> None:
        """What an operation is at work on is left to that."""
        backup = self.backup()
        backup.instances["i-1"]["operation_id"] = "o-1"
        (row,) = backup.operations.values()
        backup.operations["o-1"] = row | {
            "id": "o-1",
            "phase": "in progress",
            "is_over": False,
            "lease_until": 1e9,
            "finished_at": None,
        }
        self.value(self.stack.engine.remove(self.container().id, grace=0))
        self.value(self.stack.engine.create(self.another()))
        self.restore(backup)
        (line,) = self.lines(status=1)
        self.assertEqual(line[0], "leave")
        self.assertIn("an operation is at work", line[4])

    def test_at_work(self) -> None:
        """What an operation is just making is nobody's business."""
        tables = self.stack.persister.tables
        document = json.loads(tables.instances["i-1"]["document"])
        document |= {"container_id": None, "state": "provisioning"}
        tables.instances["i-1"].update(
            operation_id=self.spec.labels[LABEL_OPERATION], document=json.dumps(document)
        )
        self.assert_said(self.ask("adopt"), 0, "has its record")

    def another(self, **changes: Any) -> Any:
        """Return the second generation of the container of `i-1`."""
        spec = self.spec
        labels = {**spec.labels, "dockerbroker.generation": "2"}
        return evolve(spec, name=container_name(LOST, "i-1", 2), labels=labels, **changes)

    def setUp(self) -> None:
        """Remember the container."""
        super().setUp()
        self.spec = self.container().spec
