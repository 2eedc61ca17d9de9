"""What happens to instances when ports are scarce, requests come together, and brokers end."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from tests.integration import leftovers
from tests.integration.case import BrokerCase
from tests.polling import poll
from tests.ports import free_ports
from tests.real_engine import require_engine
from tests.running import Answer

ECHO_SERVER = 'CMD ["sh", "-c", "trap exit TERM; httpd -f -p 8080 & wait"]'
BIND = '#!/bin/sh\necho \'{"credentials": {"user": "u"}}\'\n'
SERVICE = {"name": "echo", "plan": "100", "image": "life/echo", "numinstances": 1}
#: It is healthy when the test says so.
GATED = {"name": "gated", "plan": "100", "image": "life/gated", "numinstances": 1}
DEAF = {"name": "deaf", "plan": "100", "image": "life/deaf", "numinstances": 1}
SHARED = {
    "name": "shared",
    "plan": "100",
    "numinstances": 0,
    "containername": "life-shared",
    "credentials": {"uri": "tcp://$HOST:$PORT/", "again": [{"port": "$PORT_8080"}]},
    "dashboardurl": {"dashboard_url": "http://$HOST:$PORT_8080/"},
}
TENANTS = {"name": "tenants", "plan": "100", "numinstances": 0, "containername": "life-shared"}


def make_images() -> None:
    """Make the images of these tests on the engine."""
    engine = require_engine()
    engine.image("life/echo", {"/bind": BIND}, changes=["EXPOSE 8080", ECHO_SERVER])
    gate = "HEALTHCHECK CMD test -e /tmp/open"
    engine.image("life/gated", {}, changes=["EXPOSE 8080", ECHO_SERVER, gate])
    engine.image("life/deaf", {}, changes=["EXPOSE 8080", 'CMD ["sleep", "300"]'])


class LifeTests(BrokerCase):
    """One broker and its database."""

    settings: ClassVar[dict[str, Any]] = {"readywithin": 20, "portaddress": "servicehost"}

    def catalog(self) -> list[dict[str, Any]]:
        """Return a service, one that never gets ready, and two on a container that exists."""
        return [SERVICE, DEAF, SHARED, TENANTS]

    def prepare(self) -> None:
        """Make the images."""
        make_images()

    def test_eight_at_once(self) -> None:
        """Eight simultaneous provisions all succeed, each with ports of its own; so do eight deletes."""
        ids = [f"many-{number}" for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda id_: self.broker.provision(id_, "echo"), ids))
            self.assertEqual([answer.status for answer in made], [201] * 8, made)
            self.assertEqual(leftovers.rows(self.database)["port_leases"], 8)
            gone = list(pool.map(lambda id_: self.broker.deprovision(id_, "echo"), ids))
        self.assertEqual([answer.status for answer in gone], [200] * 8, gone)
        self.assert_nothing_left()

    def test_same_request_at_once(self) -> None:
        """Eight identical PUTs make one container and get the same answer; a differing one gets 409."""
        with ThreadPoolExecutor(9) as pool:
            same = [pool.submit(self.broker.provision, "one", "echo") for _ in range(8)]
            statuses = [future.result().status for future in same]
        self.assertEqual(set(statuses) - {200, 201}, set())
        self.assertEqual(self.broker.provision("one", "echo", space_guid="other").status, 409)
        self.assertEqual(len(leftovers.containers(self.client, self.database)), 1)
        self.assertEqual(self.broker.deprovision("one", "echo").status, 200)
        self.assert_nothing_left()

    def test_existing_container(self) -> None:
        """An existing container is used by all its instances, and neither made, stopped nor removed."""
        host = self.client.create_host_config(port_bindings={"8080/tcp": None})
        made = self.client.create_container(
            "life/echo", name="life-shared", ports=["8080/tcp"], host_config=host
        )
        self.addCleanup(self.client.remove_container, made["Id"], force=True, v=True)
        self.client.start(made["Id"])
        port = self.client.port(made["Id"], 8080)[0]["HostPort"]
        provisioned = [self.broker.provision(f"shared-{number}", "shared") for number in (1, 2)]
        self.assertEqual([answer.status for answer in provisioned], [201, 201], provisioned)
        self.assertEqual(provisioned[0].document["dashboard_url"], f"http://127.0.0.1:{port}/")
        bound = self.broker.bind("shared-1", "b", "shared")
        expected = {"uri": f"tcp://127.0.0.1:{port}/", "again": [{"port": port}]}
        self.assertEqual(bound.document, {"credentials": expected})
        self.assertEqual(self.broker.provision("tenant", "tenants").status, 201)
        self.assertEqual(self.broker.bind("tenant", "b", "tenants").document["credentials"], {"user": "u"})
        for instance, service in (("shared-1", "shared"), ("shared-2", "shared"), ("tenant", "tenants")):
            self.assertEqual(self.broker.deprovision(instance, service).status, 200)
        self.assertTrue(self.client.inspect_container(made["Id"])["State"]["Running"])
        self.assertEqual(leftovers.rows(self.database), leftovers.nothing())

    def test_missing_existing_container(self) -> None:
        """When no host has the named container, the message names it."""
        answer = self.broker.provision("nowhere", "shared")
        self.assertEqual(answer.status, 503)
        self.assertIn("life-shared", answer.description)
        self.assert_nothing_left()

    def test_readme_formats(self) -> None:
        """The README's ping and image definitions are accepted as they are written there."""
        ping = (
            b'{"ServiceHost":"localhost", "DockerHost":"localhost", "DockerPort":1234, '
            b'"LastPing":"2014-09-02T20:38:21.734559269-07:00", "IsActive":false, "PerfFactor":1, '
            b'"KeepAlive":1, "ExecCommand":"", "ExecArgs":"", "Portbind_min":0, "Portbind_max":0, '
            b'"Portbindings":null}'
        )
        self.assertEqual(self.broker.request("POST", "/ping", raw=ping).status, 200)
        image = b'{"Name":"mysql", "Plan":"100", "Numinstances":1}'
        self.assertEqual(self.broker.request("PUT", "/docker/image/mysql", raw=image).status, 201)
        names = [
            service["name"] for service in self.broker.request("GET", "/v2/catalog").document["services"]
        ]
        self.assertIn("mysql", names)
        self.assertEqual(self.broker.request("DELETE", "/docker/image/mysql").document, {})

    @property
    def database(self) -> Path:
        """The broker's database."""
        return self.broker.folder / "broker.db"


class EndingTests(BrokerCase):
    """Brokers that end while they work."""

    settings: ClassVar[dict[str, Any]] = {"readywithin": 20}

    def catalog(self) -> list[dict[str, Any]]:
        """Return a service, one that waits to be opened, and one that never gets ready."""
        return [SERVICE, GATED, DEAF]

    def prepare(self) -> None:
        """Make the images."""
        make_images()

    def test_killed(self) -> None:
        """What a killed broker was making is taken up at once by the next one; what was there works on.

        Nobody waits for the lease of a broker that is certainly dead: here it would last an hour. What never
        gets ready is undone by the broker that goes on with it.
        """
        database = self.broker.folder / "broker.db"
        self.assertEqual(self.broker.provision("kept", "echo").status, 201)
        with ThreadPoolExecutor(1) as pool:
            lost = pool.submit(self._provision_unanswered)
            poll(lambda: len(leftovers.containers(self.client, database)) == 2, lambda: "no container")
            self.broker.kill_broker()
            self.assertIsNone(lost.result())
        leftovers.prolong_leases(database, 3600)
        self.broker.start_broker()
        poll(lambda: leftovers.taken_over(database) == 1, lambda: "the operation is not taken over")
        poll(lambda: leftovers.unfinished(database) == 0, lambda: "the operation stays unfinished")
        self.assertEqual(len(leftovers.containers(self.client, database)), 1)
        self.assertEqual(self.broker.deprovision("lost", "deaf").status, 410)
        self.assertEqual(self.broker.bind("kept", "b", "echo").status, 201)
        self.assertEqual(self.broker.deprovision("kept", "echo").status, 200)
        self.assert_nothing_left()

    def test_terminated(self) -> None:
        """On SIGTERM a request in flight still gets its answer, and the broker ends with status 143."""
        assert self.broker.broker is not None
        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(self.broker.provision, "last", "gated")
            running = {"label": "dockerbroker.instance=last"}
            poll(lambda: bool(self.client.containers(filters=running)), lambda: "no container runs")
            self.broker.broker.terminate()
            [container] = self.client.containers(filters=running)
            opened = self.client.exec_create(container["Id"], ["touch", "/tmp/open"])
            self.client.exec_start(opened["Id"])
            self.assertEqual(working.result().status, 201)
        self.assertEqual(self.broker.broker.wait(60), -signal.SIGTERM)
        self.broker.start_broker()
        self.assertEqual(self.broker.deprovision("last", "gated").status, 200)
        self.assert_nothing_left()

    def _provision_unanswered(self) -> Answer | None:
        try:
            return self.broker.provision("lost", "deaf")
        except OSError:
            return None


class TwoPortsCase(BrokerCase):
    """A host with two ports."""

    def catalog(self) -> list[dict[str, Any]]:
        """Return a service with one port."""
        return [SERVICE]

    def prepare(self) -> None:
        """Make the image."""
        make_images()

    def agent_settings(self) -> dict[str, Any]:
        """Return two neighbouring ports as the host's range."""
        low, high = free_ports(2)
        return {"portbind_min": low, "portbind_max": high}


class PortTests(TwoPortsCase):
    """All ports are leased."""

    def test_both_ends(self) -> None:
        """Both ends of the range are used; one more instance is refused, and works when a port is back."""
        for number in (1, 2):
            made = self.broker.provision(f"p{number}", "echo")
            self.assertEqual(made.status, 201, made)
        refused = self.broker.provision("p3", "echo")
        self.assertEqual(refused.status, 503)
        self.assertIn("no free port", refused.description)
        self.assertEqual(self.broker.deprovision("p1", "echo").status, 200)
        self.assertEqual(self.broker.provision("p3", "echo").status, 201)
        for number in (2, 3):
            self.assertEqual(self.broker.deprovision(f"p{number}", "echo").status, 200)
        self.assert_nothing_left()


class StrangerTests(TwoPortsCase):
    """A foreign process takes a port, which this broker then avoids for a while."""

    def test_stranger(self) -> None:
        """When a foreign process listens on one of the ports, the other one is used."""
        with socket.create_server(("0.0.0.0", int(self.broker.agent_settings["portbind_min"]))):
            self.assertEqual(self.broker.provision("s", "echo").status, 201)
            self.assertEqual(leftovers.rows(self.broker.folder / "broker.db")["port_leases"], 1)
            self.assertEqual(self.broker.deprovision("s", "echo").status, 200)
        self.assert_nothing_left()


class CommandTests(BrokerCase):
    """A host whose executables are run by a command."""

    def catalog(self) -> list[dict[str, Any]]:
        """Return a service."""
        return [SERVICE]

    def prepare(self) -> None:
        """Make the image, and allow the command."""
        make_images()
        type(self).settings = {"execcommands": [self.agent_settings()["ExecArgs"]]}

    def agent_settings(self) -> dict[str, Any]:
        """Return a command that ends in docker-enter, which is found on a path of its own."""
        path = f"{Path(__file__).parents[2] / 'bin'}:{os.environ['PATH']}"
        words = ("env", f"DOCKER_HOST={self.engine.unix_url}", f"PATH={path}", "")
        return {"ExecCommand": "DockerCommandExec", "ExecArgs": ",".join(words)}

    def test_bind(self) -> None:
        """The executable runs through docker-enter."""
        self.assertEqual(self.broker.provision("c", "echo").status, 201)
        bound = self.broker.bind("c", "b", "echo")
        self.assertEqual((bound.status, bound.document), (201, {"credentials": {"user": "u"}}))
        self.assertEqual(self.broker.deprovision("c", "echo").status, 200)
        self.assert_nothing_left()
