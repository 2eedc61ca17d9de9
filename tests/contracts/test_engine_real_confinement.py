"""What a container of a real Docker Engine cannot do to its host, whoever is root in it."""

import contextlib
from typing import Final

from attrs import evolve

from dockerbroker.engines.docker import DockerEngine
from dockerbroker.model.confinement import DEFAULT_PIDS, Confinement
from dockerbroker.model.secrets import Secret
from tests.contracts import engine, real
from tests.ports import free_port

#: Each is tried by root in a container, and fails.
FORBIDDEN: Final = {
    "mount": "mount -t tmpfs none /tmp",
    "device": "mknod /tmp/disk b 8 0",
    "raw socket": "arping -c 1 -w 1 -I eth0 $(ip route | grep default | cut -d ' ' -f 3)",
    "host name": "hostname other",
    "root": "touch /file",
    "kernel": ": >>/proc/sys/kernel/panic",
    "run from memory": "cp /bin/busybox /run/busybox && /run/busybox true",
    "more memory": "head -c 2m /dev/zero >/run/file",
    "socket": "test -e /var/run/docker.sock",
    "port": "nc -w 1 $(ip route | grep default | cut -d ' ' -f 3) $1",
}
#: The bits of `CAPABILITIES` (capabilities(7)).
MASK: Final = "00000000000004fb"


class RealConfinementTests(engine.EngineTestCase):
    """A container whose root is read-only, on a real engine (S45)."""

    def make_world(self) -> engine.World:
        """Reach the engine over its UNIX socket."""
        return real.world(self, "unix")

    async def run_script(self, container_id: str, script: str) -> str:
        """Return what a script in the container prints."""
        exec_id = await self.engine.create_exec(container_id, ["/bin/sh", "-c", script], {})
        output = await self.engine.start_exec(exec_id, Secret(b""), limit=10_000, deadline=60)
        return (output.stdout + output.stderr_tail).decode()

    async def test_confined(self) -> None:
        """Nothing that gets out of containers succeeds, and what the plan allows does."""
        port = real.filled_engine().tls_url.rpartition(":")[2]
        confinement = Confinement(read_only=True, tmpfs={"/run": 2**20})
        container_id = await self.started(
            engine.spec(confinement=confinement, volumes={"/data": engine.name()})
        )
        tries = [
            f"(set -- {port}; {command}) >/dev/null 2>&1 && echo '{what}'"
            for what, command in FORBIDDEN.items()
        ]
        said = await self.run_script(container_id, "; ".join(tries))
        self.assertEqual(said, "")
        allowed = "rm -f /run/*; cd /data && touch file && chown 1234 file && cat file && echo x >/run/file"
        self.assertEqual(await self.run_script(container_id, f"{allowed} && echo done"), "done\n")
        status = await self.run_script(container_id, "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status")
        self.assertEqual(
            dict(line.split() for line in status.splitlines()),
            {"CapBnd:": MASK, "NoNewPrivs:": "1", "Seccomp:": "2"},
        )

    async def test_exec(self) -> None:
        """A command is the words given, not privileged, of the image's user, without terminal (S46)."""
        container_id = await self.shared()
        words = ["/arguments", "--privileged", "-u", "0", "$(id)"]
        exec_id = await self.engine.create_exec(container_id, words, {})
        with contextlib.closing(real.filled_engine().client()) as client:
            process = client.exec_inspect(exec_id)["ProcessConfig"]
        self.assertEqual([process["entrypoint"], *process["arguments"]], words)
        self.assertFalse(process.get("privileged") or process["tty"] or process.get("user"))

    async def test_told(self) -> None:
        """Docker keeps what it was told: limits where the plan has none, and the address of ports."""
        found = self.engine
        assert isinstance(found, DockerEngine)
        found.port_address = "127.0.0.1"
        wanted = engine.spec(ports={"8080/tcp": free_port()})
        container_id = await self.started(evolve(wanted, confinement=Confinement(capabilities=())))
        with contextlib.closing(real.filled_engine().client()) as client:
            inspected = client.inspect_container(container_id)
        config = inspected["HostConfig"]
        self.assertEqual((config["PidsLimit"], config["CapDrop"]), (DEFAULT_PIDS, ["ALL"]))
        self.assertFalse(config["CapAdd"])
        self.assertEqual(inspected["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostIp"], "127.0.0.1")
        container = await self.engine.inspect(container_id)
        assert container is not None
        self.assertEqual(container.ports, wanted.ports)
