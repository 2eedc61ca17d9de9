"""What every `IExecutor` does, whichever way it runs an executable."""

from __future__ import annotations

import itertools
from typing import Any

from attrs import define
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from dockerbroker.engines.interfaces import IExecutor
from dockerbroker.errors import BadCommand, ExecutableOverrun, NotRunning, NotThere
from dockerbroker.model.executables import MARKER, OUTPUT_LIMIT, STDERR_TAIL, Execution, ExecutionResult
from dockerbroker.model.secrets import Secret
from tests.contracts import engine, real
from tests.contracts.images import PLAIN, WITHOUT_SHELL

_numbers = itertools.count()


@define(eq=False)
class World(engine.World):
    """An executor under test, and the engine of its containers."""

    executor: Any = None


class ExecutorContract(engine.EngineTestCase):
    """What an executor does."""

    executor: IExecutor
    #: A deadline, in seconds, that passes after an executable was started.
    soon = 0.5

    def setUp(self) -> None:
        """Take the executor."""
        super().setUp()
        world: Any = self.world
        self.executor = world.executor

    async def execution(self, path: str, *, image: str = PLAIN, **members: Any) -> Execution:
        """Return an execution in a container that runs."""
        if "container_id" not in members:
            members["container_id"] = await self.shared(image)
        marker = f"{engine.name()}-{next(_numbers)}"
        environment = {**members.pop("environment", {}), MARKER: marker}
        defaults = {"stdin": Secret(b""), "deadline": 30.0}
        return Execution(
            **{**defaults, **members, "path": path, "marker": marker, "environment": environment}
        )

    async def run_path(self, path: str, **members: Any) -> ExecutionResult:
        """Prepare and run an executable."""
        execution = await self.execution(path, **members)
        return await self.executor.run(await self.executor.prepare(execution), execution)

    async def overrun(self, path: str, **members: Any) -> ExecutableOverrun:
        """Run an executable that passes a limit; return the error."""
        try:
            result = await self.run_path(path, **members)
        except ExecutableOverrun as error:
            return error
        raise self.failureException(f"no overrun, but {result!r}")

    def test_provides_interface(self) -> None:
        """The executor provides `IExecutor`."""
        verifyObject(IExecutor, self.executor)

    async def test_success(self) -> None:
        """Input is written and closed; exit status and output come back."""
        result = await self.run_path("/echo", stdin=Secret(b'{"a": "\xc3\xa9"}\n'))
        expected = ExecutionResult(exit_code=0, stdout=b'{"a": "\xc3\xa9"}\n', stderr_tail=b"")
        self.assertEqual(result, expected)

    async def test_failure(self) -> None:
        """A failure is a result as well, with its exit status and standard error (E2)."""
        expected = ExecutionResult(exit_code=7, stdout=b"partly", stderr_tail=b"no luck\n")
        self.assertEqual(await self.run_path("/fail"), expected)

    async def test_environment(self) -> None:
        """The execution's environment reaches the executable."""
        result = await self.run_path("/environment", environment={"BROKER_WORD": "$(wo) 'rd"})
        self.assertEqual(result.stdout, b"$(wo) 'rd")

    async def test_binary_output(self) -> None:
        """Output is bytes: invalid UTF-8 comes back as it is (E3)."""
        self.assertEqual((await self.run_path("/binary")).stdout, b"\xff\xfe\x00\x01")

    async def test_slow_output(self) -> None:
        """Output in pieces, split inside a character, comes back whole (E6)."""
        self.assertEqual((await self.run_path("/slow")).stdout, '{"é":1}'.encode())

    async def test_much_log(self) -> None:
        """Of standard error the end is kept."""
        result = await self.run_path("/chatter")
        self.assertEqual(len(result.stderr_tail), STDERR_TAIL)
        self.assertTrue(result.stderr_tail.endswith(b"the end\n"))

    async def test_input_not_read(self) -> None:
        """An executable that ends without reading its input has ended well."""
        self.assertEqual((await self.run_path("/ok", stdin=Secret(b"x" * 300_000))).exit_code, 0)

    async def test_largest_output(self) -> None:
        """Output of exactly the limit is read whole."""
        stdin = Secret(b"x" * OUTPUT_LIMIT)
        self.assertEqual(len((await self.run_path("/echo", stdin=stdin)).stdout), OUTPUT_LIMIT)

    async def test_too_much_output(self) -> None:
        """More output than the limit is an overrun, and the executable is ended (E5, M16)."""
        error = await self.overrun("/flood")
        self.assertIn(str(OUTPUT_LIMIT), error.description)

    async def test_deadline(self) -> None:
        """What ignores signals and has children is killed at its deadline, all of it (E1)."""
        error = await self.overrun("/hang", deadline=self.soon)
        self.assertTrue(error.ended)

    async def test_end(self) -> None:
        """A run that somebody else began is ended by its marker."""
        execution = await self.execution("/hang")
        running = ensureDeferred(self.executor.run(await self.executor.prepare(execution), execution))
        for _ in range(100):
            # It must have been started before it can be found.
            if await self.executor.end(execution.container_id, execution.marker) and running.called:
                break
            await deferLater(self.world.reactor, 0.05)
        self.assertNotEqual((await running).exit_code, 0)

    async def test_end_without_shell(self) -> None:
        """Without a shell in the image it is not certain that a run has ended."""
        execution = await self.execution("/ok", image=WITHOUT_SHELL)
        self.assertFalse(await self.executor.end(execution.container_id, execution.marker))

    async def test_no_shell(self) -> None:
        """In an image without a shell an overrun cannot be ended, which is told."""
        error = await self.overrun("/sleep", image=WITHOUT_SHELL, deadline=self.soon, arguments=("9990",))
        self.assertFalse(error.ended)

    async def test_once(self) -> None:
        """What was prepared is run at most once (E14, M15)."""
        execution = await self.execution("/ok")
        prepared = await self.executor.prepare(execution)
        await self.executor.run(prepared, execution)
        await self.assert_raises(BadCommand, self.executor.run(prepared, execution))

    async def test_not_found(self) -> None:
        """An executable that the image lacks is `BadCommand` (E7)."""
        await self.assert_raises(BadCommand, self.run_path("/absent"))

    async def test_no_container(self) -> None:
        """Nothing is prepared in a container that does not exist or does not run."""
        absent = await self.execution("/ok", container_id=engine.name())
        await self.assert_raises(NotThere, self.executor.prepare(absent))
        stopped = await self.execution("/ok", container_id=await self.created(engine.spec()))
        await self.assert_raises(NotRunning, self.executor.prepare(stopped))


class RealExecutorContract(ExecutorContract):
    """What an executor does to real processes."""

    soon = 1.5

    def processes(self, container_id: str) -> list[str]:
        """Return the commands of the container's processes, as Docker tells."""
        client = real.filled_engine().client()
        try:
            rows = client.top(container_id)["Processes"]
        finally:
            client.close()
        return sorted(row[-1] for row in rows)

    async def assert_gone(self, container_id: str, word: str) -> None:
        """Assert that no process with the word in its command is left; the engine needs a moment."""
        for _ in range(40):
            if not any(word in command for command in self.processes(container_id)):
                return
            await deferLater(self.world.reactor, 0.05)
        self.fail(f"{self.processes(container_id)} are left")

    async def test_nothing_left(self) -> None:
        """After an overrun neither the executable nor a child of it is left, and the service is (E1)."""
        container_id = await self.shared()
        before = self.processes(container_id)
        await self.overrun("/hang", deadline=self.soon, container_id=container_id)
        await self.assert_gone(container_id, "999")
        self.assertEqual(self.processes(container_id), before)

    async def test_endless_output(self) -> None:
        """Endless output is cut, and its source is killed (E5)."""
        container_id = await self.shared()
        await self.overrun("/endless", container_id=container_id)
        await self.assert_gone(container_id, "yes")

    async def test_other_user(self) -> None:
        """Children that became another user, whose environment cannot be read, are killed as well."""
        container_id = await self.shared()
        error = await self.overrun("/other-user", deadline=1.0 + self.soon, container_id=container_id)
        self.assertTrue(error.ended)
        await self.assert_gone(container_id, "999")

    async def test_others_live(self) -> None:
        """An overrun ends nothing but its own processes."""
        container_id = await self.shared()
        other = await self.engine.create_exec(container_id, ["/bin/sleep", "777"], {MARKER: "other"})
        client = self.engine.start_exec(other, Secret(b""), limit=10, deadline=3)
        running: Any = ensureDeferred(client)
        await self.overrun("/hang", deadline=self.soon, container_id=container_id)
        self.assertTrue(any("sleep 777" in command for command in self.processes(container_id)))
        await self.assert_raises(ExecutableOverrun, running)

    async def test_daemon_left_behind(self) -> None:
        """An executable is done when it ends, though what it left behind keeps its output open (E9)."""
        result = await self.run_path("/daemon")
        self.assertEqual((result.exit_code, result.stdout), (0, b"done"))

    async def test_arguments(self) -> None:
        """Arguments arrive as they are, without a shell (E13)."""
        arguments = ("--help", "$(reboot)", "a b\nc", "")
        result = await self.run_path("/arguments", arguments=arguments)
        self.assertEqual(result.stdout, b"--help|$(reboot)|a b\nc||")
