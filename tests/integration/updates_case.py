"""A test case with services that are updated, and a slow one that is ready when the test says so."""

from __future__ import annotations

import http.client
import json
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.integration.case import BrokerCase
from tests.polling import PATIENCE, poll
from tests.running import Answer

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
SLOW = {
    "name": "slow",
    "image": "updates/slow",
    "planupdateable": True,
    "plans": [{"name": "100"}, {"name": "200", "environment": {"SIZE": "200"}}],
}
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
        """Ask for an update, of notes unless the body says otherwise."""
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

    def begin_provision(self, instance_id: str) -> Answer:
        """Ask for a slow instance, of which the answer may come later."""
        body = {
            "service_id": "slow",
            "plan_id": "slow_100",
            "organization_guid": "org",
            "space_guid": "space",
        }
        return self.broker.request(
            "PUT", f"/v2/service_instances/{instance_id}?accepts_incomplete=true", body
        )

    def begun(self, instance_id: str) -> str:
        """Return the operation of a provision that waits until its service is opened."""
        return self.waiting(instance_id, self.begin_provision(instance_id))

    def waiting(self, instance_id: str, answer: Answer) -> str:
        """Return the operation that goes on after the answer, when it waits for its service."""
        self.assert_status(answer, 202)
        operation = str(answer.document["operation"])
        poll(lambda: "waiting" in self.poll(instance_id, operation)["description"], self.broker.log)
        return operation

    def open(self, instance_id: str) -> None:
        """Let the slow service that runs be healthy."""
        [found] = self.client.containers(filters={"label": f"dockerbroker.instance={instance_id}"})
        made = self.client.exec_create(found["Id"], ["touch", "/tmp/open"])
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
