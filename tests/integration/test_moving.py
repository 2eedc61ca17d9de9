"""A deployment with real instances is moved from SQLite to PostgreSQL, and goes on there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.containers import LABEL_INSTANCE
from tests.integration import keeper, leftovers
from tests.integration.operator import command, passes
from tests.polling import poll
from tests.programs import environment
from tests.real_engine import require_engine
from tests.running import Answer, RunningBroker, persister_section
from tests.servers import server


class MovingTests(SynchronousTestCase):
    """One broker, first on a file and then on a server."""

    def setUp(self) -> None:
        """Start the broker on its file."""
        engine = require_engine()
        keeper.make_image(engine)
        self.client: docker.APIClient = engine.client()
        self.addCleanup(self.client.close)
        self.broker = RunningBroker(
            [keeper.SERVICE], engine.unix_url, {"answerwithin": 0}, agent_settings={"keepalive": 5}
        )
        self.addCleanup(self.broker.stop)
        self.broker.start()
        self.database = self.broker.folder / "broker.db"
        self.here = self.broker.folder / "broker.config"
        self.there = self.broker.folder / "postgresql.config"
        self.server = server("postgresql").new_database()
        document = json.loads(self.here.read_text("utf-8"))
        document["persister"] = persister_section(self.server)
        self.there.write_text(json.dumps(document), "utf-8")
        self.there.chmod(0o600)

    def container(self, instance_id: str) -> Any:
        """Return what Docker tells of the instance's container."""
        label = f"{LABEL_INSTANCE}={instance_id}"
        (found,) = self.client.containers(all=True, filters={"label": label})
        return self.client.inspect_container(found["Id"])

    def ask(self, method: str, instance_id: str, **body: Any) -> Answer:
        """Ask for something that goes on after the answer."""
        path = f"/v2/service_instances/{instance_id}?accepts_incomplete=true"
        ids = {
            "service_id": keeper.NAME,
            "plan_id": keeper.SMALL,
            "organization_guid": "o",
            "space_guid": "s",
        }
        return self.broker.request(method, path, {**ids, **body})

    def check(self, status: int, answer: Answer) -> None:
        """Check the status of an answer; a failure tells all of it."""
        self.assertEqual(answer.status, status, answer)

    def test_moved(self) -> None:
        """Instances, bindings and what a killed broker has not finished go on; no container is touched."""
        for number in range(4):
            self.check(201, self.broker.provision(f"moved-{number}", keeper.NAME))
        bound = self.broker.bind("moved-0", "b-1", keeper.NAME)
        self.check(201, bound)
        before = [self.container(f"moved-{number}")["Id"] for number in range(4)]
        self.check(202, self.ask("PUT", "moved-4", parameters={"size": 4}))
        self.broker.kill_broker()
        self.move()
        self.old_broker_is_refused()
        self.broker.persister = self.server
        self.broker.restart_broker()
        self.broker.wait_for_host()
        poll(lambda: self.poll_of("moved-4") == "succeeded", self.broker.log)
        self.assertEqual(keeper.served(self.container("moved-4")), {"size": 4})
        self.assertEqual([self.container(f"moved-{number}")["Id"] for number in range(4)], before)
        self.nothing_is_removed()
        self.assertEqual(self.broker.bind("moved-0", "b-1", keeper.NAME).document, bound.document)
        self.check(201, self.broker.bind("moved-1", "b-2", keeper.NAME))
        self.check(200, self.broker.unbind("moved-0", "b-1", keeper.NAME))
        self.check(201, self.broker.provision("moved-5", keeper.NAME))
        for number in range(6):
            self.check(200, self.broker.deprovision(f"moved-{number}", keeper.NAME))
        self.assertEqual(self.broker.check_world(), "")
        self.assertEqual(leftovers.containers(self.client, self.database), [])

    def move(self) -> None:
        """Move the records; without force that is refused while the killed broker's lease has not lapsed."""
        # So that it cannot have lapsed, however slow this machine is.
        leftovers.prolong_leases(self.database, 3600)
        done = command("migrate-state", self.here, self.there)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertIn("stop all brokers", done.stderr)
        done = command("migrate-state", self.here, self.there, "--force")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("instances\t5\nbindings\t1\nport leases\t5\n", done.stdout)
        self.assertIn("the PostgreSQL database", done.stderr)
        again = command("migrate-state", self.here, self.there)
        self.assertEqual((again.returncode, again.stderr.count("\n")), (1, 1), again)

    def old_broker_is_refused(self) -> None:
        """A broker that is started on the file says in one sentence where the records are."""
        twistd = str(Path(sys.executable).with_name("twistd"))
        ended = subprocess.run(
            [twistd, "-n", "--pidfile=", "dockerbroker", "--config", str(self.here)],
            cwd=self.broker.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(ended.returncode, 1, ended)
        self.assertIn(f"was moved to the PostgreSQL database {self.server.database} at", ended.stderr)
        self.assertEqual(command("check-world", "-c", self.here).returncode, 1)

    def nothing_is_removed(self) -> None:
        """No pass of the new broker finds anything without an owner."""
        well = {"removed": [], "waiting": 0, "refusal": None}
        self.assertEqual(passes(self.there), [well] * 3)

    def poll_of(self, instance_id: str) -> str:
        """Return how the operation on the instance stands."""
        answer = self.broker.request("GET", f"/v2/service_instances/{instance_id}/last_operation")
        return str((answer.document or {}).get("state"))
