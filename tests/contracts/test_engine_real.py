"""docker-py and our own streams keep the contract of `IEngine` on a real Docker Engine, however reached."""

import contextlib
from typing import Any

from attrs import evolve

from dockerbroker.errors import BadCommand, EngineError
from dockerbroker.model.confinement import DEFAULT_PIDS
from dockerbroker.model.containers import LABEL_CLUSTER, ContainerSpec
from dockerbroker.model.plans import RESTARTS
from dockerbroker.model.secrets import Secret
from tests.contracts import (
    engine,
    engine_containers,
    engine_execs,
    engine_measured,
    engine_operators,
    engine_volumes,
    real,
)
from tests.contracts.images import FIRST, PLAIN
from tests.ports import free_port


class RealContainerTests(engine_containers.ContainerContract):
    """Images and containers of a real engine."""

    def make_world(self) -> engine.World:
        """Reach the engine over its UNIX socket."""
        return real.world(self, "unix")

    async def inspected(self, container_id: str) -> dict[str, Any]:
        """Return what Docker itself tells of the container."""
        with contextlib.closing(real.filled_engine().client()) as client:
            inspected: dict[str, Any] = client.inspect_container(container_id)
            return inspected

    async def test_what_docker_is_told(self) -> None:
        """A container is confined, its log bounded; Docker restarts it once `keep_running` was called."""
        container_id = await self.started(engine.spec(ports={"8080/tcp": free_port()}))
        config = (await self.inspected(container_id))["HostConfig"]
        self.assertEqual(config["SecurityOpt"], ["no-new-privileges"])
        log = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
        self.assertEqual(config["LogConfig"], log)
        self.assertIn(config["RestartPolicy"]["Name"], {"", "no"})
        self.assertIn(config["PortBindings"]["8080/tcp"][0]["HostIp"], {"", "0.0.0.0"})
        self.assertEqual((config["PidsLimit"], config["CapDrop"]), (DEFAULT_PIDS, ["ALL"]))
        for limit in ("Memory", "MemorySwap", "NanoCpus"):
            self.assertIn(config[limit], {0, None})

    async def test_restarts(self) -> None:
        """Docker restarts a container by the policy given, and not at all once it was stopped."""
        container_id = await self.started(engine.spec())
        await self.engine.keep_running(container_id)
        seen = [(await self.inspected(container_id))["HostConfig"]["RestartPolicy"]["Name"]]
        for policy in RESTARTS:
            await self.engine.keep_running(container_id, policy)
            seen.append((await self.inspected(container_id))["HostConfig"]["RestartPolicy"]["Name"])
        self.assertEqual(seen, ["unless-stopped", *RESTARTS])
        await self.engine.keep_running(container_id, "always")
        await self.engine.stop(container_id, grace=30)
        inspected = await self.inspected(container_id)
        self.assertEqual(inspected["HostConfig"]["RestartPolicy"]["Name"], "no")
        self.assertNotEqual(inspected["State"]["ExitCode"], 137)

    async def test_limits(self) -> None:
        """Docker is told the limits, swap included, and sets them for the container's processes."""
        limited = engine.spec(memory=64 << 20, cpus=0.25, pids=30)
        container_id = await self.started(limited)
        config = (await self.inspected(container_id))["HostConfig"]
        limits = [config[name] for name in ("Memory", "MemorySwap", "NanoCpus", "PidsLimit")]
        self.assertEqual(limits, [64 << 20, 64 << 20, 250_000_000, 30])

    async def test_impossible_limits(self) -> None:
        """Limits that the host cannot set are an error with Docker's reason."""
        refused = await self.assert_raises(EngineError, self.engine.create(engine.spec(cpus=4096.0)))
        self.assertIn("CPUs", refused)
        refused = await self.assert_raises(EngineError, self.engine.create(engine.spec(memory=1024)))
        self.assertIn("memory", refused)

    async def test_environment_and_command(self) -> None:
        """A container has the given environment, and the given command instead of its image's."""
        command = ("/bin/sh", "-c", 'echo "$WORD|$1"', "name", "an 'argument'")
        wanted = engine.spec(environment={"WORD": "a=b c", "EMPTY": ""}, command=command)
        container_id = await self.started(wanted)
        await self.world.until_ended(container_id)
        self.assertEqual(await self.engine.logs(container_id, 5), "a=b c|an 'argument'\n")
        self.assertIn("EMPTY=", (await self.inspected(container_id))["Config"]["Env"])

    async def test_m18_out_of_memory(self) -> None:
        """When only a child was killed for lack of memory, the exit status is that of its parent (M18).

        The engine hears of a lack of memory apart from the end, and not at all once the control group is
        gone: the parent outlives its child until the engine knows.
        """
        greedy = ("/bin/sh", "-c", "head -c 100m /dev/zero | tail >/dev/null; sleep 2; exit 0")
        container_id = await self.started(engine.spec(command=greedy, memory=16 << 20))
        container = await self.world.until_ended(container_id)
        self.assertEqual(container.exit_code, 0)
        self.assertTrue((await self.inspected(container_id))["State"]["OOMKilled"])

    async def test_too_many_processes(self) -> None:
        """The limit of processes counts those of execs as well."""
        container_id = await self.started(engine.spec(pids=8))
        forks = "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; echo all"
        exec_id = await self.engine.create_exec(container_id, ["/bin/sh", "-c", forks], {})
        output = await self.engine.start_exec(exec_id, Secret(b""), limit=100, deadline=30)
        self.assertNotIn(b"all", output.stdout)
        self.assertIn(b"fork", output.stderr_tail)

    async def test_stopping_gracefully(self) -> None:
        """A container has its grace to end by itself, and none with a grace of 0."""
        container_id = await self.engine.create(engine.spec(PLAIN))
        await self.engine.start(container_id)
        await self.engine.remove(container_id, grace=30)
        self.assertIsNone(await self.engine.inspect(container_id))


class RealMeasuredTests(engine_measured.MeasuredContract):
    """Containers of a real engine that are not well."""

    def make_world(self) -> engine.World:
        """Reach the engine over its UNIX socket."""
        return real.world(self, "unix")


class RealOperatorTests(engine_operators.OperatorContract):
    """Containers of a real engine with which somebody else does something."""

    def make_world(self) -> engine.World:
        """Reach the engine over its UNIX socket."""
        return real.world(self, "unix")


class RealVolumeTests(engine_volumes.VolumeContract):
    """Volumes of a real engine."""

    def make_world(self) -> engine.World:
        """Reach the engine over its UNIX socket."""
        return real.world(self, "unix")

    async def run_in(self, wanted: ContainerSpec, script: str) -> str:
        """Run a script in a new container, which is then removed, and return what it printed."""
        container_id = await self.engine.create(
            evolve(wanted, name=engine.name(), command=("sh", "-c", script))
        )
        await self.engine.start(container_id)
        await self.world.until_ended(container_id)
        printed = await self.engine.logs(container_id, 10)
        await self.engine.remove(container_id, grace=0)
        return printed

    async def test_data(self) -> None:
        """A new volume begins with what the image has at its path; what is written stays for the next."""
        wanted = self.keeping()
        self.assertEqual(await self.run_in(wanted, "cat /data/first; echo kept >/data/second"), FIRST)
        self.assertEqual(await self.run_in(wanted, "echo >/data/first; cat /data/second"), "kept\n")
        plain = evolve(wanted, image=PLAIN, volumes={"/elsewhere": wanted.volumes["/data"]})
        self.assertEqual(await self.run_in(plain, "cat /elsewhere/first /elsewhere/second"), "\nkept\n")

    async def test_anonymous(self) -> None:
        """The volumes of a container that have no name go with it; those with a name stay."""
        wanted = self.keeping()
        container_id = await self.engine.create(wanted)
        container = await self.engine.inspect(container_id)
        assert container is not None
        await self.engine.remove(container_id, grace=0)
        with contextlib.closing(real.filled_engine().client()) as client:
            names = [item["Name"] for item in client.volumes()["Volumes"] or []]
        self.assertNotIn(container.volumes["/var/log"], names)
        self.assertIn(container.volumes["/data"], names)


class UnixExecTests(engine_execs.ExecContract):
    """Execs over the UNIX socket."""

    def make_world(self) -> engine.World:
        """Reach the engine over its UNIX socket."""
        return real.world(self, "unix")

    async def test_daemon_left_behind(self) -> None:
        """A command is done when it ends, though what it left behind keeps its output open (E9)."""
        self.assertEqual(await self.run_exec("/daemon"), (0, b"done", b""))

    async def test_noisy_daemon_left_behind(self) -> None:
        """A command is done when it ends, though what it left behind goes on printing (E9)."""
        code, _stdout, stderr = await self.run_exec("/noise")
        self.assertEqual((code, stderr), (0, b"done"))

    async def test_directory(self) -> None:
        """A directory is no command (E7)."""
        exec_id = await self.prepared("/tmp")
        started = self.engine.start_exec(exec_id, Secret(b""), limit=1000, deadline=30)
        await self.assert_raises(BadCommand, started)


class TcpExecTests(engine_execs.ExecContract):
    """Execs over plain TCP."""

    def make_world(self) -> engine.World:
        """Reach the engine over TCP."""
        return real.world(self, "tcp")


class TlsExecTests(engine_execs.ExecContract):
    """Execs over TLS with certificates on both sides."""

    def make_world(self) -> engine.World:
        """Reach the engine over TLS."""
        return real.world(self, "tls")

    async def test_containers(self) -> None:
        """docker-py's own calls go over the same TLS."""
        wanted = engine.spec()
        container_id = await self.started(wanted)
        listed = await self.engine.containers(wanted.labels[LABEL_CLUSTER])
        self.assertEqual([item.id for item in listed], [container_id])
