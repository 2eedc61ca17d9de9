"""A database is lost while its instances live: nothing is removed, and `adopt` brings their records back."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.containers import LABEL_INSTANCE
from dockerbroker.persisters.sqlite_opening import check_file
from tests.integration import keeper, leftovers
from tests.integration.operator import command, passes
from tests.polling import poll
from tests.real_engine import require_engine
from tests.running import RunningBroker

#: What makes a database the copy of one in which a provision was under way, long after its deadline.
_UNDER_WAY = """
    UPDATE operations SET phase = 'in progress', is_over = 0, finished_at = NULL, lease_until = 0,
    deadline = 0, document = json_set(document, '$.step', 'start')
"""
_PROVISIONING = """
    UPDATE instances SET operation_id = last_operation_id,
    document = json_set(document, '$.state', 'provisioning', '$.container_id', NULL)
"""


class AdoptingTests(SynchronousTestCase):
    """One broker on a file that is exchanged."""

    def setUp(self) -> None:
        """Start the broker."""
        engine = require_engine()
        keeper.make_image(engine)
        self.client: docker.APIClient = engine.client()
        self.addCleanup(self.client.close)
        self.broker = RunningBroker([keeper.SERVICE], engine.unix_url, agent_settings={"keepalive": 5})
        self.addCleanup(self.broker.stop)
        self.broker.start()
        self.config = self.broker.folder / "broker.config"
        self.database = self.broker.folder / "broker.db"
        self.volumes_before = leftovers.volumes(self.client)

    def container(self, instance_id: str) -> Any:
        """Return what Docker tells of the instance's container."""
        label = f"{LABEL_INSTANCE}={instance_id}"
        (found,) = self.client.containers(all=True, filters={"label": label})
        return self.client.inspect_container(found["Id"])

    def ids(self, *instance_ids: str) -> list[str]:
        """Return the ids of the instances' containers."""
        return [self.container(instance_id)["Id"] for instance_id in instance_ids]

    def provision(self, *instance_ids: str) -> None:
        """Make instances."""
        for instance_id in instance_ids:
            self.assertEqual(self.broker.provision(instance_id, keeper.NAME).status, 201)

    def copy(self) -> Path:
        """Return a copy of the database, as it is made while a broker runs."""
        copied = self.broker.folder / "copy.db"
        with closing(sqlite3.connect(self.database)) as one, closing(sqlite3.connect(copied)) as other:
            one.backup(other)
        return copied

    def exchange(self, other: Path) -> None:
        """Put another file into the database's place."""
        for path in self.broker.folder.glob(f"{self.database.name}-*"):
            path.unlink()
        shutil.move(other, self.database)

    def adopt(self, *words: str) -> list[list[str]]:
        """Adopt, and return what and which instances."""
        done = command("adopt", "-c", self.config, *words)
        self.assertEqual(done.returncode, 0, done)
        return [line.split("\t")[:2] for line in done.stdout.splitlines()]

    def assert_untouched(self, count: int) -> None:
        """Passes remove nothing, and say that so many containers have no owner."""
        for told in passes(self.config)[1:]:
            self.assertEqual(told["removed"], [])
            self.assertIn(
                "in the database" if count > 3 else "of which the database knows nothing", told["refusal"]
            )

    def assert_usable(self, *instance_ids: str) -> None:
        """Instances can be bound, and when they are removed nothing is left."""
        for instance_id in instance_ids:
            made = self.container(instance_id)["Id"]
            bound = self.broker.bind(instance_id, f"b-{instance_id}", keeper.NAME)
            self.assertEqual(bound.status, 201, bound)
            passwords = keeper.users(self.client, made)
            self.assertEqual(bound.document["credentials"]["password"], passwords[f"b-{instance_id}"])
        self.assertEqual(self.broker.check_world(), "")
        for instance_id in instance_ids:
            self.assertEqual(self.broker.deprovision(instance_id, keeper.NAME).status, 200)
        self.assertEqual(leftovers.containers(self.client, self.database), [])
        self.assertEqual(leftovers.volumes(self.client) - self.volumes_before, set())
        self.assertEqual(leftovers.rows(self.database), leftovers.nothing())

    def test_backup(self) -> None:
        """Of yesterday's copy nothing is removed; what was made and updated since gets its records."""
        self.provision("adopt-1")
        backup = self.copy()
        self.provision("adopt-2", "adopt-3")
        body = {"service_id": keeper.NAME, "plan_id": keeper.LARGE}
        answer = self.broker.request("PATCH", "/v2/service_instances/adopt-1", body)
        self.assertEqual(answer.status, 200, answer)
        there = self.ids("adopt-1", "adopt-2", "adopt-3")
        self.broker.end_broker()
        self.exchange(backup)
        self.broker.start_broker()
        self.assert_untouched(2)
        self.assertEqual(self.adopt(), [["renew", "adopt-1"], ["adopt", "adopt-2"], ["adopt", "adopt-3"]])
        well = {"removed": [], "waiting": 0, "refusal": None}
        self.assertEqual(passes(self.config), [well] * 3)
        self.assertEqual(self.ids("adopt-1", "adopt-2", "adopt-3"), there)
        bound = self.broker.request(
            "PUT", "/v2/service_instances/adopt-1/service_bindings/b-1", {**body, "app_guid": "a"}
        )
        self.assertEqual(bound.status, 201, bound)
        self.assertEqual(self.broker.deprovision("adopt-1", keeper.NAME).status, 200)
        self.assert_usable("adopt-2", "adopt-3")

    def test_under_way(self) -> None:
        """Of a copy in which a provision was under way that has succeeded since, the container stays."""
        self.provision("adopt-1")
        there = self.ids("adopt-1")
        self.broker.end_broker()
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(_UNDER_WAY)
            connection.execute(_PROVISIONING)
        self.broker.start_broker()
        poll(lambda: self.unfinished() == 0, self.broker.log)
        self.assertEqual(self.ids("adopt-1"), there)
        self.assert_usable("adopt-1")

    def unfinished(self) -> int:
        """Return how many operations are not over."""
        with closing(sqlite3.connect(self.database)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM operations WHERE NOT is_over").fetchone()
            return int(count)

    def test_empty(self) -> None:
        """Of an emptied database nothing is removed; a new one can take the identity of the lost one."""
        names = [f"adopt-{number}" for number in range(4)]
        self.provision(*names)
        there = self.ids(*names)
        self.broker.end_broker()
        with closing(sqlite3.connect(self.database)) as connection, connection:
            for table in ("bindings", "port_leases", "reservations", "operations", "instances"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608
        self.assert_untouched(4)
        lost = leftovers.cluster_id(self.database)
        new = self.broker.folder / "new.db"
        check_file(new)
        self.exchange(new)
        self.broker.start_broker()
        poll(lambda: "127.0.0.1" in self.known_hosts(), self.broker.log)
        # Under its own identity the database has nothing to do with them.
        nothing = {"removed": [], "waiting": 0, "refusal": None}
        self.assertEqual(passes(self.config), [nothing] * 3)
        self.client.stop(there[0], timeout=1)
        dry = self.adopt("--cluster", lost, "--dry-run")
        self.assertEqual(leftovers.rows(self.database), leftovers.nothing())
        self.assertEqual(dry, [["adopt", name] for name in names])
        self.assertEqual(self.adopt("--cluster", lost), dry)
        self.broker.end_broker()
        self.broker.start_broker()
        self.assertEqual(passes(self.config), [nothing] * 3)
        self.assertEqual(self.ids(*names), there)
        self.assert_usable(*names)

    def known_hosts(self) -> list[str]:
        """Return the hosts that have pinged."""
        with closing(sqlite3.connect(self.database)) as connection:
            return [row[0] for row in connection.execute("SELECT service_host FROM hosts")]
