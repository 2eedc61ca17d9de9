"""What every `IEngine` does with images and containers."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import ensureDeferred, gatherResults
from zope.interface.verify import verifyObject

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import EngineError, NotRunning, NotThere
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    LABEL_INSTANCE,
    Container,
    DockerImage,
    HealthCheck,
)
from dockerbroker.model.plans import RESTARTS
from tests.contracts import engine
from tests.contracts.images import CRASHING, KEEPING, PLAIN, RESERVED, VOLUMES
from tests.ports import free_port


class ContainerContract(engine.EngineTestCase):
    """What an engine does with images and containers."""

    def test_provides_interface(self) -> None:
        """The engine provides `IEngine`."""
        verifyObject(IEngine, self.engine)

    async def test_image(self) -> None:
        """An image tells its ports and its VOLUMEs in order, and its HEALTHCHECK as a command."""
        check = HealthCheck(command=("/bin/sh", "-c", "/ok || exit 1"), timeout=2.0)
        expected = DockerImage(reference=PLAIN, ports=("53/udp", "8080/tcp", "10080/tcp"), health_check=check)
        self.assertEqual(await self.engine.image(PLAIN), expected)
        self.assertEqual(await self.engine.image(KEEPING), DockerImage(reference=KEEPING, volumes=VOLUMES))

    async def test_image_without_health_check(self) -> None:
        """An image without HEALTHCHECK and EXPOSE has neither."""
        self.assertEqual(await self.engine.image(CRASHING), DockerImage(reference=CRASHING))

    async def test_image_with_reserved_label(self) -> None:
        """An image that bears a label of the broker's own is refused, since containers inherit it (D16)."""
        sentence = await self.assert_raises(EngineError, self.engine.image(RESERVED))
        self.assertIn(LABEL_INSTANCE, sentence)

    async def test_created(self) -> None:
        """A created container has its name and labels, does not run, and is yet to publish its ports."""
        wanted = engine.spec(ports={"8080/tcp": free_port()})
        container_id = await self.created(wanted)
        expected = Container(
            id=container_id, name=wanted.name, image=PLAIN, running=False, labels=wanted.labels, ports={}
        )
        observed = await self.engine.inspect(container_id)
        assert observed is not None
        self.assertEqual(evolve(observed, created_at=0.0), expected)
        self.assertGreater(observed.created_at, 0)
        self.assertEqual(observed.configured, wanted.ports)

    async def test_started(self) -> None:
        """A started container runs and publishes its ports; it is found by its name as well as by its id."""
        wanted = engine.spec(ports={"8080/tcp": free_port(), "53/udp": free_port()})
        container_id = await self.started(wanted)
        container = await self.engine.inspect(wanted.name)
        assert container is not None
        self.assertEqual(container, await self.engine.inspect(container_id))
        self.assertEqual(container.id, container_id)
        self.assertTrue(container.running)
        self.assertEqual(container.ports, wanted.ports)

    async def test_logs(self) -> None:
        """The last lines of both outputs are told, as many as asked for."""
        container_id = await self.started(engine.spec(CRASHING))
        await self.world.until_ended(container_id)
        self.assertEqual(await self.engine.logs(container_id, 2), "second\nthird\n")

    async def test_containers(self) -> None:
        """Every container of the cluster is listed as it is inspected, whether it runs or not (M18)."""
        running = engine.spec(ports={"8080/tcp": free_port()})
        ids = {
            await self.started(running),
            await self.created(engine.spec(labels=running.labels)),
            await self.started(engine.spec(CRASHING, labels=running.labels)),
        }
        await self.created(engine.spec())
        for container_id in ids:
            container = await self.engine.inspect(container_id)
            if container is not None and container.image == CRASHING:
                await self.world.until_ended(container_id)
        inspected = [await self.engine.inspect(container_id) for container_id in ids]
        listed = await self.engine.containers(running.labels[LABEL_CLUSTER])
        self.assertEqual({item.id for item in listed}, ids)
        for item in inspected:
            self.assertIn(item, listed)

    async def test_remove(self) -> None:
        """A removed container is gone, also when it ran; removing it again is no error."""
        for grace in (0.0, 1.0):
            container_id = await self.engine.create(engine.spec())
            await self.engine.start(container_id)
            await self.engine.remove(container_id, grace=grace)
            self.assertIsNone(await self.engine.inspect(container_id))
            await self.engine.remove(container_id, grace=grace)

    async def test_removed_at_once_by_several(self) -> None:
        """Whoever removes what another is removing returns when it is gone."""
        container_id = await self.engine.create(engine.spec())
        await self.engine.start(container_id)

        async def remove() -> None:
            await self.engine.remove(container_id, grace=0)
            self.assertIsNone(await self.engine.inspect(container_id))

        await gatherResults([ensureDeferred(remove()) for _ in range(3)])

    async def test_has_file(self) -> None:
        """A file is found in a container, whether it runs or not."""
        container_id = await self.created(engine.spec())
        self.assertTrue(await self.engine.has_file(container_id, "/echo"))
        self.assertFalse(await self.engine.has_file(container_id, "/absent"))
        await self.engine.start(container_id)
        self.assertTrue(await self.engine.has_file(container_id, "/echo"))

    async def test_absent(self) -> None:
        """A container that does not exist is None when looked at, and `NotThere` for what needs it."""
        absent = engine.name()
        self.assertIsNone(await self.engine.inspect(absent))
        await self.assert_raises(NotThere, self.engine.start(absent))
        await self.assert_raises(NotThere, self.engine.stop(absent, grace=0))
        await self.assert_raises(NotThere, self.engine.keep_running(absent))
        await self.assert_raises(NotThere, self.engine.logs(absent, 5))
        await self.assert_raises(NotThere, self.engine.has_file(absent, "/echo"))
        await self.assert_raises(NotThere, self.engine.create_exec(absent, ["/echo"], {}))

    async def test_keep_running(self) -> None:
        """A container is made to be restarted, by any of Docker's policies."""
        container_id = await self.started(engine.spec())
        await self.assert_kept(container_id, expected=False)
        await self.engine.keep_running(container_id)
        await self.assert_kept(container_id, expected=True)
        for policy in RESTARTS:
            await self.engine.keep_running(container_id, policy)
            await self.assert_kept(container_id, expected=policy != "no")
        await self.engine.keep_running(container_id)
        await self.engine.stop(container_id, grace=5)
        await self.assert_kept(container_id, expected=False)

    async def assert_kept(self, container_id: str, *, expected: bool) -> None:
        """Check what a look at the container says of its being restarted."""
        found = await self.engine.inspect(container_id)
        assert found is not None
        self.assertIs(found.is_kept, expected)

    async def test_stop(self) -> None:
        """A stopped container stays, its ports are free until it is started again."""
        wanted = engine.spec(ports={"8080/tcp": free_port()})
        container_id = await self.started(wanted)
        await self.engine.keep_running(container_id)
        await self.engine.stop(container_id, grace=5)
        stopped = await self.engine.inspect(container_id)
        assert stopped is not None
        self.assertEqual((stopped.running, stopped.ports), (False, {}))
        self.assertEqual(stopped.configured, wanted.ports)
        await self.engine.start(container_id)
        started = await self.engine.inspect(container_id)
        assert started is not None
        self.assertEqual((started.running, started.ports), (True, wanted.ports))

    async def test_exec_needs_running_container(self) -> None:
        """Nothing is executed in a container that does not run."""
        container_id = await self.created(engine.spec())
        await self.assert_raises(NotRunning, self.engine.create_exec(container_id, ["/echo"], {}))
