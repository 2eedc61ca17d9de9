"""docker-py and our own streams keep the contract of `IEngine` on a real Docker Engine, however reached."""

from dockerbroker.errors import BadCommand, NotRunning
from dockerbroker.model.containers import LABEL_CLUSTER
from dockerbroker.model.secrets import Secret
from tests.contracts import engine, engine_containers, engine_execs, real
from tests.contracts.images import PLAIN
from tests.polling import free_port


class RealContainerTests(engine_containers.ContainerContract):
    """Images and containers of a real engine."""

    def make_world(self) -> engine.World:
        """Reach the engine over its UNIX socket."""
        return real.world(self, "unix")

    async def test_what_docker_is_told(self) -> None:
        """A container is confined, its log bounded; Docker restarts it once `keep_running` was called."""
        container_id = await self.started(engine.spec(ports={"8080/tcp": free_port()}))
        client = real.filled_engine().client()
        self.addCleanup(client.close)
        config = client.inspect_container(container_id)["HostConfig"]
        self.assertEqual(config["SecurityOpt"], ["no-new-privileges"])
        log = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
        self.assertEqual(config["LogConfig"], log)
        self.assertIn(config["RestartPolicy"]["Name"], {"", "no"})
        self.assertIn(config["PortBindings"]["8080/tcp"][0]["HostIp"], {"", "0.0.0.0"})
        await self.engine.keep_running(container_id)
        config = client.inspect_container(container_id)["HostConfig"]
        self.assertEqual(config["RestartPolicy"]["Name"], "unless-stopped")

    async def test_paused(self) -> None:
        """Nothing is executed in a paused container (M18), and it can be removed."""
        container_id = await self.engine.create(engine.spec())
        await self.engine.start(container_id)
        client = real.filled_engine().client()
        self.addCleanup(client.close)
        client.pause(container_id)
        await self.assert_raises(NotRunning, self.engine.create_exec(container_id, ["/ok"], {}))
        await self.engine.remove(container_id, grace=1)
        self.assertIsNone(await self.engine.inspect(container_id))

    async def test_volumes(self) -> None:
        """The anonymous volumes of a container go with it."""
        changes = ["VOLUME /data", 'CMD ["/bin/sleep", "9999"]']
        image = real.filled_engine().image("dockerbroker-contract:volume", {}, changes=changes)
        client = real.filled_engine().client()
        self.addCleanup(client.close)
        container_id = await self.engine.create(engine.spec(image))
        await self.engine.start(container_id)
        volume = client.inspect_container(container_id)["Mounts"][0]["Name"]
        await self.engine.remove(container_id, grace=0)
        names = [item["Name"] for item in client.volumes()["Volumes"] or []]
        self.assertNotIn(volume, names)

    async def test_stopping_gracefully(self) -> None:
        """A container has its grace to end by itself, and none with a grace of 0."""
        container_id = await self.engine.create(engine.spec(PLAIN))
        await self.engine.start(container_id)
        await self.engine.remove(container_id, grace=30)
        self.assertIsNone(await self.engine.inspect(container_id))


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
