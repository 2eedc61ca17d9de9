"""Updates and asynchronous operations as a platform asks for them, on a real engine."""

from __future__ import annotations

import json
import signal
from typing import Any

from tests.integration import leftovers
from tests.integration.updates_case import NOTES, PLANS, WHOLE, UpdatesCase
from tests.polling import PATIENCE

MEGABYTE = 1024 * 1024


class UpdateTests(UpdatesCase):
    """Updates of a service with several plans."""

    def test_other_plan(self) -> None:
        """Another plan is another container with its limits, at the same port and with the same data."""
        self.provisioned("grows")
        former, port = self.container("grows"), self.port("grows")
        bound = self.broker.bind("grows", "b", "notes", plan_id="notes_small")
        self.assert_status(self.updated("grows", plan_id="notes_large"), 200)

        present = self.container("grows")
        self.assertNotEqual(present["Id"], former["Id"])
        self.assertEqual(self.port("grows"), port)
        self.assertEqual(present["HostConfig"]["Memory"], 96 * MEGABYTE)
        self.assertEqual(present["HostConfig"]["PidsLimit"], 50)
        self.assertEqual(present["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped")
        self.assertLessEqual({"SIZE=large", "MORE=yes"}, set(present["Config"]["Env"]))
        mounts = {mount["Destination"]: mount["Name"] for mount in present["Mounts"]}
        self.assertEqual(set(mounts), {"/data", "/second", "/of-image"})
        for mount in former["Mounts"]:
            self.assertEqual(mounts[mount["Destination"]], mount["Name"])

        self.assertEqual(self.read("grows", "note"), "kept")
        self.assertEqual(self.read("grows", "provisions"), "called")
        request = json.loads(self.read("grows", "request"))
        self.assertEqual((request["plan"]["name"], request["previous"]["plan"]["name"]), ("large", "small"))
        self.assertEqual(self.seen("grows")["plan_id"], "notes_large")
        self.assert_status(self.updated("grows", plan_id="notes_large"), 200)
        self.assertEqual(self.container("grows")["Id"], present["Id"])
        found = self.broker.request("GET", "/v2/service_instances/grows/service_bindings/b")
        self.assertEqual(found.document["credentials"], bound.document["credentials"])
        self.gone("grows", "notes", "large")

    def test_parameters(self) -> None:
        """Parameters go to `/update` with those of before, and leave the container as it is."""
        self.provisioned("tuned")
        former = self.container("tuned")["Id"]
        self.assert_status(self.updated("tuned", parameters={"size": "1"}), 200)
        self.assert_status(self.updated("tuned", parameters={"colour": "red"}), 200)

        request = json.loads(self.read("tuned", "request"))
        plan = {"id": "notes_small", "name": "small"}
        self.assertEqual((request["action"], request["plan"]), ("update", plan))
        self.assertEqual(request["parameters"], {"size": "1", "colour": "red"})
        self.assertEqual(request["previous"], {"plan": plan, "parameters": {"size": "1"}})
        self.assertEqual(request["provision"], {"made": "once"})

        refused = self.updated("tuned", parameters={"size": "impossible"})
        self.assert_status(refused, 500)
        self.assertIn("no such size", refused.description)
        self.assertIs(refused.document["instance_usable"], True)
        self.assertEqual(self.seen("tuned")["parameters"], {"size": "1", "colour": "red"})
        self.assertEqual(self.container("tuned")["Id"], former)
        self.gone("tuned", "notes", "small")

    def test_never_ready(self) -> None:
        """When the new container never becomes ready, the old one runs again with its data."""
        self.provisioned("stays")
        former = self.container("stays")
        answer = self.updated("stays", plan_id="notes_deaf")
        self.assert_status(answer, 500)
        self.assertIn("was not ready within 12 s", answer.description)
        self._assert_restored("stays", answer.document, former)

        running = self.updated("stays", asynchronous=True, plan_id="notes_ending")
        told = running.document
        if running.status == 202:
            told = self.outcome("stays", told["operation"])
            self.assertEqual(told["state"], "failed")
        self.assertIn("the disk is full", told["description"])
        self._assert_restored("stays", told, former)
        self.gone("stays", "notes", "small")

    def _assert_restored(self, instance_id: str, told: dict[str, Any], former: dict[str, Any]) -> None:
        self.assertIs(told["instance_usable"], True)
        present = self.container(instance_id)
        self.assertEqual((present["Id"], present["State"]["Running"]), (former["Id"], True))
        self.assertEqual(present["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped")
        self.assertEqual(self.read(instance_id, "note"), "kept")
        self.assertEqual(self.seen(instance_id)["plan_id"], "notes_small")

    def test_upgrade(self) -> None:
        """A new version in the catalog is another image, which instances get when their owner asks for it."""
        self.provisioned("ages")
        newer = [{**plan, "maintenanceinfo": {"version": "2.0.0"}} for plan in PLANS]
        definition = {**NOTES, "image": "updates/notes:2", "plans": newer}
        self.assert_status(self.broker.request("PUT", "/docker/image/notes", definition), 200)
        self.addCleanup(self.broker.request, "PUT", "/docker/image/notes", NOTES)

        self.assertEqual(self.seen("ages")["maintenance_info"], {"version": "1.0.0"})
        stale = self.updated("ages", maintenance_info={"version": "1.5.0"})
        self.assertEqual((stale.status, stale.document["error"]), (422, "MaintenanceInfoConflict"))
        self.assert_status(self.updated("ages", maintenance_info={"version": "2.0.0"}), 200)
        self.assertEqual(self.container("ages")["Config"]["Image"], "updates/notes:2")
        self.assertEqual(self.seen("ages")["maintenance_info"], {"version": "2.0.0"})
        self.assertEqual(self.read("ages", "note"), "kept")
        self.gone("ages", "notes", "small")


class RestartTests(UpdatesCase):
    """Instances and the end of their broker."""

    def test_broker_restarted(self) -> None:
        """An instance, its volumes included, goes on when the broker ends and comes back."""
        self.provisioned("lasting")
        before = self.container("lasting")
        assert self.broker.broker is not None
        self.broker.broker.send_signal(signal.SIGTERM)
        self.broker.broker.wait(PATIENCE)
        self.assertEqual(self.read("lasting", "note"), "kept")
        self.broker.start_broker()
        self.assertEqual(self.container("lasting")["State"]["StartedAt"], before["State"]["StartedAt"])
        self.assert_status(self.updated("lasting", plan_id="notes_large"), 200)
        self.assertEqual(self.read("lasting", "note"), "kept")
        self.gone("lasting", "notes", "large")

    def test_broker_killed(self) -> None:
        """An update whose broker is killed goes on where it was, and succeeds."""
        operation = self.begun("resumed")
        self.open("resumed")
        self.outcome("resumed", operation)
        answer = self.updated("resumed", asynchronous=True, service_id="slow", plan_id="slow_200")
        operation = self.waiting("resumed", answer)
        self.broker.kill_broker()
        self.broker.start_broker()
        self.open("resumed")
        self.assertEqual(self.outcome("resumed", operation)["state"], "succeeded")
        self.assertIn("SIZE=200", self.container("resumed")["Config"]["Env"])
        self.assertEqual(self.seen("resumed")["plan_id"], "slow_200")
        self.gone("resumed", "slow", "200")


class AsynchronousTests(UpdatesCase):
    """What goes on after its answer."""

    def test_provision(self) -> None:
        """A slow provision is answered with 202, its polls tell what it is doing, and it succeeds."""
        operation = self.begun("late")
        told = self.poll("late", operation)
        self.assertEqual(told["state"], "in progress")
        sentence = r"waiting for slow to become healthy on 127\.0\.0\.1 \(\d+ s\)"
        self.assertRegex(told["description"], sentence)
        again = self.begin_provision("late")
        self.assertEqual((again.status, again.document), (202, {"operation": operation}))
        self.assert_status(self.broker.request("GET", "/v2/service_instances/late"), 404)

        self.open("late")
        told = self.outcome("late", operation)
        expected = {"state": "succeeded", "description": "the service instance is ready"}
        self.assertEqual(told, expected)
        self.assertEqual(self.seen("late")["plan_id"], "slow_100")
        self.gone("late", "slow", "100")

    def test_delete_during_create(self) -> None:
        """A DELETE of what is being made ends its making, and leaves nothing."""
        operation = self.begun("unwanted")
        self.gone("unwanted", "slow", "100")
        self.assertEqual(self.poll("unwanted", operation)["state"], "failed")


class BindingTests(UpdatesCase):
    """What `/bind` may print besides credentials."""

    def test_required(self) -> None:
        """Mounts, drains and route services reach the platform where the service requires them."""
        self.assert_status(self.broker.provision("rich", "requiring"), 201)
        bound = self.broker.bind("rich", "b", "requiring")
        self.assertEqual((bound.status, bound.document), (201, WHOLE))
        self.gone("rich", "requiring", "100")

    def test_not_required(self) -> None:
        """Where the catalog does not say so the bind is refused, since the platform would refuse it later."""
        self.assert_status(self.broker.provision("poor", "plain"), 201)
        refused = self.broker.bind("poor", "b", "plain")
        self.assert_status(refused, 500)
        self.assertIn("does not require", refused.description)
        self.assertEqual(leftovers.rows(self.broker.folder / "broker.db")["bindings"], 0)
        self.gone("poor", "plain", "100")
