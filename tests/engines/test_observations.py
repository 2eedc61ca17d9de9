"""Docker's JSON is read into what the broker needs of it."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.address import address_of
from dockerbroker.engines.observations import container, exec_state, image, listed, volumes
from dockerbroker.errors import EngineError
from dockerbroker.model.containers import ExecState, HealthCheck, Volume
from dockerbroker.model.hosts import DockerHost, HostKey


class ImageTests(SynchronousTestCase):
    """Images."""

    def health(self, check: Any, **config: Any) -> HealthCheck | None:
        """Return the health check of an image with this one."""
        return image("i", {"Config": {"Healthcheck": check, **config}}).health_check

    def test_ports(self) -> None:
        """Ports are in numerical order, TCP before UDP."""
        exposed: dict[str, Any] = {"10000/tcp": {}, "80/udp": {}, "443/tcp": {}, "80/tcp": {}}
        read = image("i", {"Config": {"ExposedPorts": exposed}})
        self.assertEqual(read.ports, ("80/tcp", "80/udp", "443/tcp", "10000/tcp"))

    def test_volumes(self) -> None:
        """VOLUMEs are in order, and written as Docker tells them of a container."""
        declared: dict[str, Any] = {"/var//log/": {}, "/data": {}, "/data/": {}}
        self.assertEqual(image("i", {"Config": {"Volumes": declared}}).volumes, ("/data", "/var/log"))

    def test_reserved_label(self) -> None:
        """An image with a label of the broker's own is refused; other labels are nobody's business."""
        labels = {"maintainer": "x", "dockerbroker.instance": "i-1"}
        refusal = self.assertRaises(EngineError, image, "redis", {"Config": {"Labels": labels}})
        self.assertIn("redis", refusal.description)
        self.assertIn("dockerbroker.instance", refusal.description)
        image("i", {"Config": {"Labels": {"maintainer": "x"}}})

    def test_nothing(self) -> None:
        """An image may say nothing at all."""
        for config in (None, {}, {"ExposedPorts": None, "Volumes": None, "Labels": None}):
            self.assertEqual(image("i", {"Config": config}), image("i", {"Config": {}}))

    def test_command(self) -> None:
        """A health check is a command, and 30 seconds unless it says otherwise."""
        expected = HealthCheck(command=("redis-cli", "ping"), timeout=30.0)
        self.assertEqual(self.health({"Test": ["CMD", "redis-cli", "ping"]}), expected)
        expected = HealthCheck(command=("redis-cli", "ping"), timeout=1.5)
        self.assertEqual(
            self.health({"Test": ["CMD", "redis-cli", "ping"], "Timeout": 1_500_000_000}), expected
        )

    def test_shell(self) -> None:
        """A health check in the shell form is run by the image's own shell."""
        test = {"Test": ["CMD-SHELL", "a | b"]}
        self.assertEqual(self.health(test), HealthCheck(command=("/bin/sh", "-c", "a | b"), timeout=30.0))
        bash = ["/bin/bash", "-euc"]
        self.assertEqual(
            self.health(test, Shell=bash), HealthCheck(command=("/bin/bash", "-euc", "a | b"), timeout=30.0)
        )

    def test_none(self) -> None:
        """A health check that was switched off, or is empty, is none."""
        checks: list[dict[str, Any]] = [{"Test": ["NONE"]}, {"Test": []}, {"Test": ["CMD"]}, {"Interval": 5}]
        for check in checks:
            self.assertIsNone(self.health(check))


class ContainerTests(SynchronousTestCase):
    """Containers and execs."""

    def inspected(self, **state: Any) -> dict[str, Any]:
        """Return what Docker tells of a container."""
        return {
            "Id": "4f",
            "Name": "/b-1",
            "Config": {"Image": "redis", "Labels": None},
            "State": {"Running": True, "ExitCode": 0, **state},
            "NetworkSettings": {
                "Ports": {
                    "80/tcp": [
                        {"HostIp": "0.0.0.0", "HostPort": "20000"},
                        {"HostIp": "::", "HostPort": "20000"},
                    ],
                    "81/tcp": None,
                }
            },
        }

    def test_ports(self) -> None:
        """Published ports are told once, those that are only exposed not at all."""
        self.assertEqual(container(self.inspected()).ports, {"80/tcp": 20000})

    def test_configured(self) -> None:
        """The ports that a container publishes when it runs are told, but for those of Docker's choice."""
        self.assertEqual(container(self.inspected()).configured, {})
        bindings = {
            "80/tcp": [{"HostIp": "", "HostPort": "20000"}],
            "81/tcp": [{"HostIp": "", "HostPort": ""}],
            "82/tcp": None,
        }
        inspected = {**self.inspected(), "HostConfig": {"PortBindings": bindings}}
        self.assertEqual(container(inspected).configured, {"80/tcp": 20000})

    def test_restarting(self) -> None:
        """A container that Docker is about to restart does not run."""
        self.assertTrue(container(self.inspected()).running)
        self.assertFalse(container(self.inspected(Restarting=True)).running)

    def test_paused(self) -> None:
        """What is paused runs."""
        paused = container(self.inspected(Paused=True))
        self.assertEqual((paused.running, paused.paused), (True, True))
        self.assertFalse(container(self.inspected()).paused)

    def test_created_at(self) -> None:
        """The time of creation is in whole seconds, and 0 when it is not told."""
        for moment, seconds in (
            ("2026-11-22T18:02:56.634996719Z", 1795370576.0),
            ("2026-11-22T18:02:56Z", 1795370576.0),
            ("2026-11-22T19:02:56.6+01:00", 1795370576.0),
            (None, 0.0),
        ):
            self.assertEqual(container({**self.inspected(), "Created": moment}).created_at, seconds)

    def test_volumes(self) -> None:
        """Of what is mounted only volumes are told."""
        mounts = [
            {"Type": "bind", "Source": "/etc", "Destination": "/host"},
            {"Type": "tmpfs", "Destination": "/tmp"},
            {"Type": "volume", "Name": "v-1", "Destination": "/data"},
        ]
        self.assertEqual(container({**self.inspected(), "Mounts": mounts}).volumes, {"/data": "v-1"})
        self.assertEqual(container({**self.inspected(), "Mounts": None}).volumes, {})

    def test_volumes_listed(self) -> None:
        """A list of volumes may be missing, and so may labels."""
        listed_volumes = volumes(
            {"Volumes": [{"Name": "v-1", "Labels": {"a": "b"}}, {"Name": "v-2", "Labels": None}]}
        )
        self.assertEqual(listed_volumes, [Volume(name="v-1", labels={"a": "b"}), Volume(name="v-2")])
        self.assertEqual(volumes({"Volumes": None}), [])

    def test_listed(self) -> None:
        """An element of a list tells the same, its exit code in words."""
        item: dict[str, Any] = {
            "Id": "4f",
            "Names": ["/other/alias", "/b-1"],
            "Image": "redis",
            "State": "exited",
            "Status": "Exited (137) 3 minutes ago",
            "Ports": [{"PrivatePort": 81, "Type": "tcp"}],
        }
        read = listed(item)
        self.assertEqual((read.name, read.running, read.exit_code, read.ports), ("b-1", False, 137, {}))
        read = listed({**item, "State": "restarting", "Status": "Restarting (137) 5 seconds ago"})
        self.assertEqual((read.running, read.exit_code), (False, 137))

    def test_exec(self) -> None:
        """An exec that was not started has no exit status."""
        self.assertEqual(exec_state({"Running": False, "ExitCode": None}), ExecState(running=False))


class AddressTests(SynchronousTestCase):
    """Where Docker is reached."""

    def test_addresses(self) -> None:
        """A host is reached at its socket, or at its name or address and port."""
        for docker_host, port, url in (
            ("unix:///var/run/docker.sock", 0, "unix:///var/run/docker.sock"),
            ("docker.example", 2375, "tcp://docker.example:2375"),
            ("2001:db8::1", 2376, "tcp://[2001:db8::1]:2376"),
            ("[2001:db8::1]", 2376, "tcp://[2001:db8::1]:2376"),
        ):
            key = HostKey(service_host="x", docker_host=docker_host, docker_port=port)
            address = address_of(DockerHost(key=key))
            self.assertEqual(address.url, url)
            self.assertEqual(str(address), url.removeprefix("tcp://"))
