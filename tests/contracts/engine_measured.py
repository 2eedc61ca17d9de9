"""What was measured of Docker Engine and the broker relies on, of every `IEngine`: containers (M13, M18)."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred, gatherResults

from dockerbroker.errors import BadCommand, EngineError, HostPortTaken, NameTaken, NoImage, NotRunning
from dockerbroker.model.containers import LABEL_CLUSTER, Container
from tests.contracts import engine
from tests.contracts.images import BROKEN, CRASHING
from tests.ports import free_port

_CREATES = 50


class MeasuredContract(engine.EngineTestCase):
    """The name as a lock, and what containers do that are not well."""

    async def observed(self, container_id: str) -> Container:
        """Return what is observed of a container that exists."""
        container = await self.engine.inspect(container_id)
        assert container is not None
        return container

    async def test_m13_one_name(self) -> None:
        """Of 50 that create a container of one name at once, one gets it, the others `NameTaken` (M13)."""
        crowded = self.world.crowded()
        wanted = engine.spec()

        async def attempt() -> str | None:
            try:
                return await crowded.create(wanted)
            except NameTaken:
                return None

        ids = await gatherResults([ensureDeferred(attempt()) for _ in range(_CREATES)])
        made = [container_id for container_id in ids if container_id is not None]
        self.addCleanup(lambda: ensureDeferred(self.engine.remove(wanted.name, grace=0)))
        self.assertEqual(len(made), 1)
        listed = await self.engine.containers(wanted.labels[LABEL_CLUSTER])
        self.assertEqual([container.id for container in listed], made)

    async def test_m18_port_of_container(self) -> None:
        """A port of another container is `HostPortTaken`, and the container stays created (M18)."""
        port = free_port()
        await self.started(engine.spec(ports={"8080/tcp": port}))
        second = await self.created(engine.spec(ports={"8080/tcp": port}))
        sentence = await self.assert_raises(HostPortTaken, self.engine.start(second))
        self.assertIn(str(port), sentence)
        self.assertFalse((await self.observed(second)).running)

    async def test_m18_port_of_process(self) -> None:
        """A port on which another process of the host listens is `HostPortTaken` (M18)."""
        port = free_port()
        self.world.occupy(port)
        container_id = await self.created(engine.spec(ports={"8080/tcp": port}))
        await self.assert_raises(HostPortTaken, self.engine.start(container_id))
        self.assertFalse((await self.observed(container_id)).running)

    async def test_m18_missing_image(self) -> None:
        """An image that the host does not have is `NoImage`, for a look and for a container (M18)."""
        await self.assert_raises(NoImage, self.engine.image("absent:none"))
        await self.assert_raises(NoImage, self.engine.create(engine.spec("absent:none")))

    async def test_m18_bad_command(self) -> None:
        """A container whose command cannot be run is `BadCommand`, and stays created (M18)."""
        container_id = await self.created(engine.spec(BROKEN))
        await self.assert_raises(BadCommand, self.engine.start(container_id))
        self.assertFalse((await self.observed(container_id)).running)

    async def test_m18_ends_at_once(self) -> None:
        """A container that ends at once is started without an error; then it has an exit code (M18)."""
        container_id = await self.started(engine.spec(CRASHING))
        container = await self.world.until_ended(container_id)
        self.assertEqual(container.exit_code, 3)
        self.assertEqual(container.ports, {})

    async def test_m18_start_of_started(self) -> None:
        """Starting what runs leaves it as it is (M18: 304)."""
        container_id = await self.started(engine.spec())
        before = await self.observed(container_id)
        await self.engine.start(container_id)
        self.assertEqual(await self.observed(container_id), before)
        self.assertTrue(before.running)

    async def test_m18_stop_of_stopped(self) -> None:
        """Stopping what does not run leaves it as it is, whether it ran before or not (M18: 304)."""
        container_id = await self.created(engine.spec())
        await self.engine.stop(container_id, grace=1)
        await self.engine.start(container_id)
        await self.engine.stop(container_id, grace=1)
        before = await self.observed(container_id)
        await self.engine.stop(container_id, grace=1)
        self.assertEqual(await self.observed(container_id), before)
        self.assertFalse(before.running)

    async def test_m18_paused(self) -> None:
        """What is paused runs, executes nothing, is not started, and can be stopped and removed (M18)."""
        container_id = await self.engine.create(engine.spec())
        await self.engine.start(container_id)
        self.world.pause(container_id)
        container = await self.observed(container_id)
        self.assertEqual((container.running, container.paused), (True, True))
        cluster = container.labels[LABEL_CLUSTER]
        self.assertEqual(await self.engine.containers(cluster), [container])
        await self.assert_raises(NotRunning, self.engine.create_exec(container_id, ["/ok"], {}))
        await self.assert_raises(EngineError, self.engine.start(container_id))
        await self.engine.stop(container_id, grace=1)
        container = await self.observed(container_id)
        self.assertEqual((container.running, container.paused), (False, False))
        await self.engine.start(container_id)
        self.world.pause(container_id)
        await self.engine.remove(container_id, grace=1)
        self.assertIsNone(await self.engine.inspect(container_id))

    async def test_m18_one_letter_name(self) -> None:
        """A name of one letter is refused, so that no id may become a name as it is (M18: 400)."""
        await self.assert_raises(EngineError, self.engine.create(engine.spec(name="x")))
