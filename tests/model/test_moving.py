"""What a move makes of an instance, its dashboard and its bindings."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.containers import Container
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import ServiceInstance
from dockerbroker.model.moving import (
    as_told,
    copied_paths,
    moved_dashboard,
    on_host,
    outdated,
    stays,
    uncopied,
)
from dockerbroker.model.secrets import Secret
from tests.model.values import EXISTING, binding, instance

THERE = DockerHost(
    key=HostKey(service_host="10.0.0.9", docker_host="d", docker_port=1),
    portbind_min=20000,
    portbind_max=20009,
)


class InstanceTests(SynchronousTestCase):
    """What an instance becomes on another host."""

    def test_ports(self) -> None:
        """It keeps the ports that are free and allowed there, unless it is to have others."""
        ports = {"1/tcp": 20001, "2/tcp": 20002, "3/tcp": 30000}
        former = instance(ports=ports)
        kept = on_host(former, THERE, {20002}, keeps_ports=True)
        self.assertEqual(
            (kept.ports, kept.host, kept.generation, kept.moves), ({"1/tcp": 20001}, THERE.key, 2, 1)
        )
        self.assertIsNone(kept.container_id)
        self.assertEqual(on_host(former, THERE, set(), keeps_ports=False).ports, {})

    def test_what_stays(self) -> None:
        """Containers that are not the broker's are not moved, and it is said who has to."""
        self.assertIsNone(stays(instance()))
        self.assertIn("whoever looks after", stays(instance(EXISTING)) or "")

    def test_uncopied(self) -> None:
        """Volumes that the container does not have, and those that are not on record, are told."""
        row = instance(volumes={"/data": "v-1"})
        container = Container(id="c-1", name="b", image="i", running=True, volumes={"/data": "v-1"})
        self.assertIsNone(uncopied(row, container, ["v-1"]))
        self.assertIn("v-2", uncopied(row, container, ["v-1", "v-2"]) or "")
        more = evolve(container, volumes={"/data": "v-1", "/more": "anonymous"})
        self.assertIn("/more", uncopied(row, more, ["v-1"]) or "")

    def test_copied_paths(self) -> None:
        """What lies within another volume is copied with it; names that begin alike are no folders."""
        volumes = {"/data": "a", "/data/log": "b", "/database": "c", "/var/x": "d"}
        self.assertEqual(copied_paths(volumes), ["/data", "/database", "/var/x"])


class DashboardTests(SynchronousTestCase):
    """The URL of the dashboard after a move."""

    def moved(self, url: str | None, former: str = "10.0.0.1", later: str = "10.0.0.9") -> str | None:
        """Return the URL after the port 20001 became 20005 on another host."""
        here = instance(dashboard_url=url, host=HostKey(service_host=former, docker_host="d", docker_port=1))
        there = evolve(here, host=evolve(THERE.key, service_host=later), ports={"6379/tcp": 20005})
        return moved_dashboard(here, there)

    def test_follows(self) -> None:
        """Host and port are those of now; everything else is as it was."""
        for before, after in (
            ("http://10.0.0.1:20001/a?b=10.0.0.1#c", "http://10.0.0.9:20005/a?b=10.0.0.1#c"),
            ("https://user:secret@10.0.0.1/", "https://user:secret@10.0.0.9/"),
            ("http://10.0.0.1:8080/", "http://10.0.0.9:8080/"),
            ("http://elsewhere:20001/", "http://elsewhere:20001/"),
            ("http://10.0.0.1:port/", "http://10.0.0.1:port/"),
            (None, None),
        ):
            self.assertEqual(self.moved(before), after)

    def test_other_addresses(self) -> None:
        """IPv6 addresses stand in brackets; names are compared without regard to case."""
        self.assertEqual(
            self.moved("http://[fd00::1]:20001/", "fd00::1", "fd00::2"), "http://[fd00::2]:20005/"
        )
        self.assertEqual(self.moved("http://HOST-A/", "Host-a"), "http://10.0.0.9/")


class BindingTests(SynchronousTestCase):
    """Bindings from before a move."""

    def test_told(self) -> None:
        """They have expired with the move; whatever else they say stays."""
        document = Secret({"credentials": {"uri": "redis://10.0.0.1"}, "metadata": {"renew_before": "x"}})
        made = binding(document=document)
        moved: ServiceInstance = instance(moves=1, moved_at=1_000_000_000.7)
        told = as_told(made, moved).document.reveal()
        self.assertEqual(told["credentials"], {"uri": "redis://10.0.0.1"})
        self.assertEqual(told["metadata"], {"renew_before": "x", "expires_at": "2001-09-09T01:46:40Z"})
        self.assertEqual(as_told(made, instance()), made)
        self.assertEqual(outdated([made, binding(id="b-2", moves=1)], moved), ["b-1"])
