"""What every `IEngine` does, be it in memory or Docker itself.

A suite is made by subclassing `ContainerContract` and `ExecContract` with a `world`; the image `PLAIN` and
the others must exist there, with the executables that `tests.contracts.images` describes.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import (
    BadCommand,
    EngineError,
    ExecutableOverrun,
    HostPortTaken,
    NameTaken,
    NoImage,
    NotRunning,
    NotThere,
)
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    LABEL_INSTANCE,
    Container,
    ContainerSpec,
    DockerImage,
    ExecState,
    HealthCheck,
)
from dockerbroker.model.executables import STDERR_TAIL
from dockerbroker.model.secrets import Secret
from tests.contracts.images import BROKEN, CRASHING, PLAIN

_names = itertools.count()
_shared: dict[tuple[type, str], str] = {}


def name() -> str:
    """Return a name that no other test uses."""
    return f"contract-{os.getpid()}-{next(_names)}"


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.create_server(("", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def spec(image: str = PLAIN, **members: Any) -> ContainerSpec:
    """Return a container to be created, by default without ports and with a cluster of its own."""
    own = name()
    labels: Mapping[str, str] = {LABEL_CLUSTER: own, LABEL_INSTANCE: "instance"}
    return ContainerSpec(**{"name": own, "image": image, "labels": labels, "ports": {}, **members})


@define(eq=False)
class World:
    """An engine under test and its surroundings."""

    engine: IEngine
    reactor: Any
    taken: list[socket.socket] = field(factory=list)

    def occupy(self, port: int) -> None:
        """Let another process of the host listen on the port."""
        self.taken.append(socket.create_server(("", port)))

    def close(self) -> None:
        """Let the ports go."""
        for taken in self.taken:
            taken.close()

    async def until_ended(self, container_id: str) -> Container:
        """Return the container when it has ended."""
        for _ in range(100):
            container = await self.engine.inspect(container_id)
            assert container is not None
            if not container.running:
                return container
            await deferLater(self.reactor, 0.05)
        raise AssertionError("the container did not end")


class EngineTestCase(TestCase):
    """A test with an engine; what it creates is removed afterwards."""

    timeout = 120
    world: World
    engine: IEngine

    def setUp(self) -> None:
        """Take the engine."""
        self.world = self.make_world()
        self.engine = self.world.engine
        self.addCleanup(self.world.close)

    def make_world(self) -> World:
        """Return the engine under test."""
        raise NotImplementedError

    async def created(self, wanted: ContainerSpec) -> str:
        """Create a container that is removed after the test."""
        container_id = await self.engine.create(wanted)
        self.addCleanup(lambda: ensureDeferred(self.engine.remove(container_id, grace=0)))
        return container_id

    async def started(self, wanted: ContainerSpec) -> str:
        """Create and start a container that is removed after the test."""
        container_id = await self.created(wanted)
        await self.engine.start(container_id)
        return container_id

    async def shared(self, image: str = PLAIN) -> str:
        """Return a container that runs, the same one for all tests of a class, which must leave it so."""
        key = (type(self), image)
        if (known := _shared.get(key)) is not None:
            container = await self.engine.inspect(known)
            if container is not None and container.running:
                return known
        _shared[key] = await self.engine.create(spec(image))
        await self.engine.start(_shared[key])
        return _shared[key]

    async def assert_raises(self, error: type[EngineError | ExecutableOverrun], call: Any) -> str:
        """Assert that the call raises exactly this error, with a sentence; return the sentence."""
        try:
            result = await call
        except (EngineError, ExecutableOverrun) as raised:
            self.assertIs(type(raised), error, raised.description)
            self.assertNotIn("Traceback", raised.description)
            self.assertNotIn("\n", raised.description)
            return raised.description
        raise self.failureException(f"{error.__name__} was not raised, but returned {result!r}")


class ContainerContract(EngineTestCase):
    """What an engine does with images and containers."""

    def test_provides_interface(self) -> None:
        """The engine provides `IEngine`."""
        verifyObject(IEngine, self.engine)

    async def test_image(self) -> None:
        """An image tells its ports in numerical order, and its HEALTHCHECK as a command."""
        check = HealthCheck(command=("/bin/sh", "-c", "/ok || exit 1"), timeout=2.0)
        expected = DockerImage(reference=PLAIN, ports=("53/udp", "8080/tcp", "10080/tcp"), health_check=check)
        self.assertEqual(await self.engine.image(PLAIN), expected)

    async def test_image_without_health_check(self) -> None:
        """An image without HEALTHCHECK and EXPOSE has neither."""
        self.assertEqual(await self.engine.image(CRASHING), DockerImage(reference=CRASHING))

    async def test_unknown_image(self) -> None:
        """An image that the host does not have is `NoImage`, for a look and for a container (M18)."""
        await self.assert_raises(NoImage, self.engine.image("absent:none"))
        await self.assert_raises(NoImage, self.engine.create(spec("absent:none")))

    async def test_created(self) -> None:
        """A created container has its name and labels, does not run and publishes nothing."""
        wanted = spec(ports={"8080/tcp": free_port()})
        container_id = await self.created(wanted)
        expected = Container(
            id=container_id, name=wanted.name, image=PLAIN, running=False, labels=wanted.labels, ports={}
        )
        self.assertEqual(await self.engine.inspect(container_id), expected)

    async def test_started(self) -> None:
        """A started container runs and publishes its ports; it is found by its name as well as by its id."""
        wanted = spec(ports={"8080/tcp": free_port(), "53/udp": free_port()})
        container_id = await self.started(wanted)
        container = await self.engine.inspect(wanted.name)
        assert container is not None
        self.assertEqual(container, await self.engine.inspect(container_id))
        self.assertEqual(container.id, container_id)
        self.assertTrue(container.running)
        self.assertEqual(container.ports, wanted.ports)

    async def test_start_again(self) -> None:
        """Starting what runs leaves it as it is (M18: 304)."""
        container_id = await self.started(spec())
        await self.engine.start(container_id)
        container = await self.engine.inspect(container_id)
        self.assertTrue(container is not None and container.running)

    async def test_name_taken(self) -> None:
        """Of many who create a container of one name at once, one gets it, the others `NameTaken` (M13)."""
        wanted = spec()

        async def attempt() -> str | None:
            try:
                return await self.created(wanted)
            except NameTaken:
                return None

        ids = await gatherResults([ensureDeferred(attempt()) for _ in range(12)])
        self.assertEqual(len([container_id for container_id in ids if container_id is not None]), 1)
        self.assertEqual(len(await self.engine.containers(wanted.labels[LABEL_CLUSTER])), 1)

    async def test_port_of_container(self) -> None:
        """A port of another container is `HostPortTaken`, and the container stays created (M18)."""
        port = free_port()
        await self.started(spec(ports={"8080/tcp": port}))
        second = await self.created(spec(ports={"8080/tcp": port}))
        sentence = await self.assert_raises(HostPortTaken, self.engine.start(second))
        self.assertIn(str(port), sentence)
        container = await self.engine.inspect(second)
        self.assertFalse(container is None or container.running)

    async def test_port_of_process(self) -> None:
        """A port on which another process of the host listens is `HostPortTaken` (M18)."""
        port = free_port()
        self.world.occupy(port)
        container_id = await self.created(spec(ports={"8080/tcp": port}))
        await self.assert_raises(HostPortTaken, self.engine.start(container_id))

    async def test_bad_command(self) -> None:
        """A container whose command cannot be run is `BadCommand`, and stays created (M18)."""
        container_id = await self.created(spec(BROKEN))
        await self.assert_raises(BadCommand, self.engine.start(container_id))
        container = await self.engine.inspect(container_id)
        self.assertFalse(container is None or container.running)

    async def test_ends_at_once(self) -> None:
        """A container that ends at once is started without an error; then it has an exit code (M18)."""
        container_id = await self.started(spec(CRASHING))
        container = await self.world.until_ended(container_id)
        self.assertEqual(container.exit_code, 3)
        self.assertEqual(container.ports, {})

    async def test_logs(self) -> None:
        """The last lines of both outputs are told, as many as asked for."""
        container_id = await self.started(spec(CRASHING))
        await self.world.until_ended(container_id)
        self.assertEqual(await self.engine.logs(container_id, 2), "second\nthird\n")

    async def test_containers(self) -> None:
        """Every container of the cluster is listed as it is inspected, whether it runs or not (M18)."""
        running = spec(ports={"8080/tcp": free_port()})
        ids = {
            await self.started(running),
            await self.created(spec(labels=running.labels)),
            await self.started(spec(CRASHING, labels=running.labels)),
        }
        await self.created(spec())
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
            container_id = await self.engine.create(spec())
            await self.engine.start(container_id)
            await self.engine.remove(container_id, grace=grace)
            self.assertIsNone(await self.engine.inspect(container_id))
            await self.engine.remove(container_id, grace=grace)

    async def test_removed_at_once_by_several(self) -> None:
        """Whoever removes what another is removing returns when it is gone."""
        container_id = await self.engine.create(spec())
        await self.engine.start(container_id)

        async def remove() -> None:
            await self.engine.remove(container_id, grace=0)
            self.assertIsNone(await self.engine.inspect(container_id))

        await gatherResults([ensureDeferred(remove()) for _ in range(3)])

    async def test_has_file(self) -> None:
        """A file is found in a container, whether it runs or not."""
        container_id = await self.created(spec())
        self.assertTrue(await self.engine.has_file(container_id, "/echo"))
        self.assertFalse(await self.engine.has_file(container_id, "/absent"))
        await self.engine.start(container_id)
        self.assertTrue(await self.engine.has_file(container_id, "/echo"))

    async def test_absent(self) -> None:
        """A container that does not exist is None when looked at, and `NotThere` for what needs it."""
        absent = name()
        self.assertIsNone(await self.engine.inspect(absent))
        await self.assert_raises(NotThere, self.engine.start(absent))
        await self.assert_raises(NotThere, self.engine.keep_running(absent))
        await self.assert_raises(NotThere, self.engine.logs(absent, 5))
        await self.assert_raises(NotThere, self.engine.has_file(absent, "/echo"))
        await self.assert_raises(NotThere, self.engine.create_exec(absent, ["/echo"], {}))

    async def test_keep_running(self) -> None:
        """A container is made to be restarted."""
        container_id = await self.started(spec())
        await self.engine.keep_running(container_id)

    async def test_exec_needs_running_container(self) -> None:
        """Nothing is executed in a container that does not run."""
        container_id = await self.created(spec())
        await self.assert_raises(NotRunning, self.engine.create_exec(container_id, ["/echo"], {}))


class ExecContract(EngineTestCase):
    """What an engine does with execs, in a container that runs."""

    async def prepared(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """Prepare a command in a container that runs."""
        container_id = await self.shared()
        return await self.engine.create_exec(container_id, command, environment or {})

    async def run_exec(
        self, *command: str, stdin: bytes = b"", limit: int = 65536, **environment: str
    ) -> tuple[int | None, bytes, bytes]:
        """Run a command to its end; return its exit status and output."""
        exec_id = await self.prepared(*command, environment=environment)
        output = await self.engine.start_exec(exec_id, Secret(stdin), limit=limit, deadline=30)
        state = await self.engine.inspect_exec(exec_id)
        self.assertFalse(state.running)
        return state.exit_code, output.stdout, output.stderr_tail

    async def test_input_and_output(self) -> None:
        """The command reads its input to the end, and its output comes back byte for byte."""
        stdin = b'{"password": "\xff\x00caf\xc3\xa9"}\n'
        self.assertEqual(await self.run_exec("/echo", stdin=stdin), (0, stdin, b""))

    async def test_much_input(self) -> None:
        """Input and output larger than every buffer pass at the same time (E13)."""
        stdin = b"0123456789abcdef" * 40_000
        self.assertEqual(await self.run_exec("/echo", stdin=stdin, limit=1 << 20), (0, stdin, b""))

    async def test_input_not_read(self) -> None:
        """A command that ends without reading its input has ended well."""
        self.assertEqual(await self.run_exec("/ok", stdin=b"x" * 500_000), (0, b"", b""))

    async def test_failure(self) -> None:
        """Exit status and standard error are told (E2)."""
        self.assertEqual(await self.run_exec("/fail"), (7, b"partly", b"no luck\n"))

    async def test_environment(self) -> None:
        """The command sees the given environment."""
        self.assertEqual(await self.run_exec("/environment", BROKER_WORD="wo rd"), (0, b"wo rd", b""))

    async def test_end_of_log(self) -> None:
        """Of standard error the end is kept, however long it is."""
        code, stdout, tail = await self.run_exec("/chatter")
        self.assertEqual((code, stdout, len(tail)), (0, b"", STDERR_TAIL))
        self.assertTrue(tail.endswith(b"the end\n"))

    async def test_output_limit(self) -> None:
        """Output beyond the limit is an overrun (E5, M16); exactly the limit is not."""
        self.assertEqual(await self.run_exec("/echo", stdin=b"12345", limit=5), (0, b"12345", b""))
        exec_id = await self.prepared("/flood")
        started = self.engine.start_exec(exec_id, Secret(b""), limit=1000, deadline=30)
        await self.assert_raises(ExecutableOverrun, started)

    async def test_deadline(self) -> None:
        """A command that goes on past its deadline is an overrun, and still runs (E1)."""
        exec_id = await self.prepared("/hang")
        started = self.engine.start_exec(exec_id, Secret(b""), limit=1000, deadline=0.5)
        await self.assert_raises(ExecutableOverrun, started)
        self.assertEqual(await self.engine.inspect_exec(exec_id), ExecState(running=True))

    async def test_once(self) -> None:
        """An exec is run at most once: its second start is refused, and no output (E14, M15)."""
        exec_id = await self.prepared("/echo")
        self.assertEqual(await self.engine.inspect_exec(exec_id), ExecState(running=False))
        await self.engine.start_exec(exec_id, Secret(b"x"), limit=10, deadline=30)
        second = self.engine.start_exec(exec_id, Secret(b"x"), limit=1000, deadline=30)
        await self.assert_raises(BadCommand, second)

    async def test_command_not_found(self) -> None:
        """A command that the image lacks is `BadCommand`, and Docker's words about it are no output (E7)."""
        exec_id = await self.prepared("/absent")
        started = self.engine.start_exec(exec_id, Secret(b"x"), limit=1000, deadline=30)
        self.assertIn("/absent", await self.assert_raises(BadCommand, started))

    async def test_absent(self) -> None:
        """An exec that the engine does not know is `NotThere` (E11)."""
        absent = "0" * 64
        await self.assert_raises(NotThere, self.engine.inspect_exec(absent))
        started = self.engine.start_exec(absent, Secret(b""), limit=1000, deadline=30)
        await self.assert_raises(NotThere, started)

    async def test_container_removed(self) -> None:
        """A command whose container is removed has ended, or its outcome is unknown (E10)."""
        container_id = await self.started(spec())
        exec_id = await self.engine.create_exec(container_id, ["/hang"], {})
        running = ensureDeferred(self.engine.start_exec(exec_id, Secret(b""), limit=1000, deadline=60))
        for _ in range(100):
            if (await self.engine.inspect_exec(exec_id)).running:
                break
            await deferLater(self.world.reactor, 0.05)
        await self.engine.remove(container_id, grace=0)
        try:
            output = await running
        except EngineError:
            return
        self.assertEqual(output.stdout, b"")
