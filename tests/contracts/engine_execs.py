"""What every `IEngine` does with execs."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater

from dockerbroker.errors import (
    BadCommand,
    EngineError,
    ExecutableOverrun,
    NotThere,
)
from dockerbroker.model.containers import (
    ExecState,
)
from dockerbroker.model.executables import STDERR_TAIL
from dockerbroker.model.secrets import Secret
from tests.contracts import engine
from tests.contracts.images import MEGABYTES


class ExecContract(engine.EngineTestCase):
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
        """Exactly the limit of output is not too much (E5)."""
        self.assertEqual(await self.run_exec("/echo", stdin=b"12345", limit=5), (0, b"12345", b""))
        exec_id = await self.prepared("/echo")
        started = self.engine.start_exec(exec_id, Secret(b"123456"), limit=5, deadline=30)
        await self.assert_raises(ExecutableOverrun, started)

    async def test_m16_ten_megabytes(self) -> None:
        """10 MB of output are read to their end where that is allowed; the exit status is right (M16)."""
        code, stdout, _stderr = await self.run_exec("/flood", limit=MEGABYTES)
        self.assertEqual((code, len(stdout)), (0, MEGABYTES))

    async def test_m16_too_much(self) -> None:
        """10 MB where little is allowed are an overrun, since a command that is not read blocks (E5, M16)."""
        exec_id = await self.prepared("/flood")
        started = self.engine.start_exec(exec_id, Secret(b""), limit=1000, deadline=30)
        await self.assert_raises(ExecutableOverrun, started)

    async def test_deadline(self) -> None:
        """A command that goes on past its deadline is an overrun, and still runs (E1)."""
        exec_id = await self.prepared("/hang")
        started = self.engine.start_exec(exec_id, Secret(b""), limit=1000, deadline=4)
        await self.assert_raises(ExecutableOverrun, started)
        self.assertEqual(await self.engine.inspect_exec(exec_id), ExecState(running=True))

    async def test_m15_goes_on(self) -> None:
        """A command goes on when nobody listens any more; its exit status can be read later (M15)."""
        exec_id = await self.prepared("/wait")
        started = self.engine.start_exec(exec_id, Secret(b""), limit=1000, deadline=4)
        await self.assert_raises(ExecutableOverrun, started)
        self.assertEqual(await self.engine.inspect_exec(exec_id), ExecState(running=True))
        await self.run_exec("/go")
        for _ in range(200):
            state = await self.engine.inspect_exec(exec_id)
            if not state.running:
                break
            await deferLater(self.world.reactor, 0.05)
        self.assertEqual(state, ExecState(running=False, exit_code=5))

    async def test_m15_second_start(self) -> None:
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
        container_id = await self.started(engine.spec())
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
