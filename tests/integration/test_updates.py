"""Updates and asynchronous operations as a platform asks for them, on a real engine."""

from __future__ import annotations

import http.client
import json
import signal
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.integration import leftovers
from tests.integration.case import BrokerCase
from tests.polling import PATIENCE, poll
from tests.running import Answer

MEGABYTE = 1024 * 1024
#: It serves what is in its volume, so that a test sees the data as applications do.
SERVER = 'CMD ["sh", "-c", "trap exit TERM; mkdir -p /data; httpd -f -p 8080 -h /data & wait"]'
#: It is healthy when the test says so, which makes a slow start without a clock.
GATED = "HEALTHCHECK CMD test -e /tmp/open"
PRINTS = '#!/bin/sh\necho called >>/data/provisions\necho \'{"made": "once"}\'\n'
UPDATES = """#!/bin/sh
cat >/data/request
if grep -q '"size":"impossible"' /data/request; then
    echo "no such size" >&2
    exit 1
fi
"""
BIND = '#!/bin/sh\necho \'{"credentials": {"user": "u"}}\'\n'
MOUNT = {
    "driver": "nfs",
    "container_dir": "/mnt",
    "mode": "rw",
    "device_type": "shared",
    "device": {"volume_id": "one", "mount_config": {"server": "192.0.2.1"}},
}
WHOLE = {
    "credentials": {"user": "u"},
    "syslog_drain_url": "syslog-tls://192.0.2.1:6514",
    "route_service_url": "https://192.0.2.1/",
    "volume_mounts": [MOUNT],
}
PLANS: list[dict[str, Any]] = [
    {
        "name": "small",
        "environment": {"SIZE": "small"},
        "memory": "64m",
        "volumes": {"data": "/data"},
        "maintenanceinfo": {"version": "1.0.0"},
    },
    {
        "name": "large",
        "environment": {"SIZE": "large", "MORE": "yes"},
        "memory": "96m",
        "pids": 50,
        "volumes": {"data": "/data", "second": "/second"},
        "maintenanceinfo": {"version": "1.0.0"},
    },
    {"name": "deaf", "command": ["sleep", "300"], "volumes": {"data": "/data"}},
    {"name": "ending", "command": ["sh", "-c", "echo the disk is full >&2; exit 3"]},
]
NOTES = {"name": "notes", "image": "updates/notes", "planupdateable": True, "plans": PLANS}
SLOW = {"name": "slow", "plan": "100", "image": "updates/slow"}
REQUIRING = {
    "name": "requiring",
    "plan": "100",
    "image": "updates/whole",
    "requires": ["syslog_drain", "route_forwarding", "volume_mount"],
}
PLAIN = {"name": "plain", "plan": "100", "image": "updates/whole"}


class UpdatesCase(BrokerCase):
    """A broker with a service of several plans, and one that is slow."""

    settings: ClassVar[dict[str, Any]] = {"answerwithin": 1, "readywithin": 12}

    def catalog(self) -> list[dict[str, Any]]:
        """Return the services of these tests."""
        return [NOTES, SLOW, REQUIRING, PLAIN]

    def prepare(self) -> None:
        """Make the images; the notes have two versions, both with a volume of their own."""
        files = {"/provision": PRINTS, "/update": UPDATES, "/bind": BIND}
        served = ["EXPOSE 8080", "VOLUME /of-image", SERVER]
        self.engine.image("updates/notes", files, changes=served)
        self.engine.image("updates/notes:2", files, changes=[*served, "ENV VERSION=2"])
        self.engine.image("updates/slow", {"/bind": BIND}, changes=["EXPOSE 8080", SERVER, GATED])
        whole = f"#!/bin/sh\necho '{json.dumps(WHOLE)}'\n"
        self.engine.image("updates/whole", {"/bind": whole}, changes=["EXPOSE 8080", SERVER])

    def provisioned(self, instance_id: str) -> None:
        """Provision small notes in which one is written."""
        self.assert_status(self.broker.provision(instance_id, "notes", plan_id="notes_small"), 201)
        self.write(instance_id, "/data/note", "kept")

    def updated(self, instance_id: str, *, asynchronous: bool = False, **body: Any) -> Answer:
        """Ask for an update of notes."""
        query = "?accepts_incomplete=true" if asynchronous else ""
        path = f"/v2/service_instances/{instance_id}{query}"
        return self.broker.request("PATCH", path, {"service_id": "notes", **body})

    def gone(self, instance_id: str, service: str, plan: str) -> None:
        """Deprovision, and assert that nothing is left of it, no volume either."""
        query = urlencode({"service_id": service, "plan_id": f"{service}_{plan}"})
        deleted = self.broker.request("DELETE", f"/v2/service_instances/{instance_id}?{query}")
        self.assert_status(deleted, 200)
        self.assert_nothing_left()

    def poll(self, instance_id: str, operation: str) -> dict[str, Any]:
        """Return how the operation stands."""
        query = urlencode({"operation": operation})
        answer = self.broker.request("GET", f"/v2/service_instances/{instance_id}/last_operation?{query}")
        self.assert_status(answer, 200)
        document: dict[str, Any] = answer.document
        return document

    def outcome(self, instance_id: str, operation: str) -> dict[str, Any]:
        """Poll until the operation is over; returns the last answer."""
        poll(lambda: self.poll(instance_id, operation)["state"] != "in progress", self.broker.log)
        return self.poll(instance_id, operation)

    def seen(self, instance_id: str) -> dict[str, Any]:
        """Return what the platform is told of the instance."""
        answer = self.broker.request("GET", f"/v2/service_instances/{instance_id}")
        self.assert_status(answer, 200)
        document: dict[str, Any] = answer.document
        return document

    def container(self, instance_id: str) -> dict[str, Any]:
        """Return what Docker tells of the instance's only container."""
        label = f"dockerbroker.instance={instance_id}"
        [found] = self.client.containers(all=True, filters={"label": label})
        inspected: dict[str, Any] = self.client.inspect_container(found["Id"])
        return inspected

    def write(self, instance_id: str, path: str, text: str) -> None:
        """Write a file in the instance's container."""
        container_id = self.container(instance_id)["Id"]
        made = self.client.exec_create(container_id, ["sh", "-c", f"echo '{text}' >{path}"])
        self.assertEqual(self.client.exec_start(made["Id"]), b"")

    def read(self, instance_id: str, name: str) -> str:
        """Return a file of the volume as applications get it: from the instance's port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port(instance_id), timeout=PATIENCE)
        try:
            connection.request("GET", f"/{name}")
            response = connection.getresponse()
            self.assertEqual(response.status, 200, name)
            return response.read().decode("utf-8").strip()
        finally:
            connection.close()

    def port(self, instance_id: str) -> int:
        """Return the port at which applications reach the instance."""
        bindings = self.container(instance_id)["NetworkSettings"]["Ports"]["8080/tcp"]
        return int(bindings[0]["HostPort"])

    def assert_status(self, answer: Answer, status: int) -> None:
        """Assert the status and show the document when it is another."""
        self.assertEqual(answer.status, status, answer.document)


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


class AsynchronousTests(UpdatesCase):
    """What goes on after its answer."""

    def test_provision(self) -> None:
        """A slow provision is answered with 202, its polls tell what it is doing, and it succeeds."""
        operation = self._begun("late")
        told = self.poll("late", operation)
        self.assertEqual(told["state"], "in progress")
        sentence = r"waiting for slow to become healthy on 127\.0\.0\.1 \(\d+ s\)"
        self.assertRegex(told["description"], sentence)
        again = self._provision("late")
        self.assertEqual((again.status, again.document), (202, {"operation": operation}))
        self.assert_status(self.broker.request("GET", "/v2/service_instances/late"), 404)

        self.write("late", "/tmp/open", "")
        told = self.outcome("late", operation)
        expected = {"state": "succeeded", "description": "the service instance is ready"}
        self.assertEqual(told, expected)
        self.assertEqual(self.seen("late")["plan_id"], "slow_100")
        self.gone("late", "slow", "100")

    def test_delete_during_create(self) -> None:
        """A DELETE of what is being made ends its making, and leaves nothing."""
        operation = self._begun("unwanted")
        self.gone("unwanted", "slow", "100")
        self.assertEqual(self.poll("unwanted", operation)["state"], "failed")

    def _provision(self, instance_id: str) -> Answer:
        body = {
            "service_id": "slow",
            "plan_id": "slow_100",
            "organization_guid": "org",
            "space_guid": "space",
        }
        return self.broker.request(
            "PUT", f"/v2/service_instances/{instance_id}?accepts_incomplete=true", body
        )

    def _begun(self, instance_id: str) -> str:
        """Begin a provision that does not end by itself, and wait until it waits for its service."""
        answer = self._provision(instance_id)
        self.assert_status(answer, 202)
        operation = str(answer.document["operation"])
        poll(lambda: "waiting" in self.poll(instance_id, operation)["description"], self.broker.log)
        return operation


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
