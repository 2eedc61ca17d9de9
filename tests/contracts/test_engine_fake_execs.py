"""What broken streams and refusals do to execs."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor

from dockerbroker.engines.executors import DockerApiExecutor
from dockerbroker.errors import (
    BadCommand,
    EngineError,
    ExecutableOverrun,
    NotRunning,
    NotThere,
    OutcomeUnknown,
)
from dockerbroker.model.containers import ExecOutput
from dockerbroker.model.executables import Execution
from dockerbroker.model.secrets import Secret
from tests.contracts.fake import FakeCase
from tests.fake_dockerd import (
    UPGRADED,
    Answer,
    answer,
    cut,
    frame,
    hang,
    streamed,
    then_cut,
)

_reactor: Any = reactor


class ExecTests(FakeCase):
    """Execs whose stream is not what it should be."""

    def script(self, start: Answer, *states: tuple[bool, int | None, int]) -> None:
        """Answer the start of the exec; and inspections first with a fresh exec, then with the states."""
        fresh = (False, None, 0)
        answers = [
            answer(200, {"Running": running, "ExitCode": code, "Pid": pid})
            for running, code, pid in (fresh, *states)
        ]
        self.dockerd.on("GET .*/exec/e1/json", *answers)
        self.dockerd.on("POST .*/exec/e1/start", start)

    async def start(self, deadline: float = 30) -> ExecOutput:
        """Start the exec."""
        return await self.engine.start_exec("e1", Secret(b"in"), limit=100, deadline=deadline)

    async def test_whole(self) -> None:
        """Frames of both streams are put together."""
        parts = (frame(1, b"ab"), frame(2, b"log"), frame(1, b""), frame(1, b"c"))
        self.script(streamed(*parts), (True, None, 9), (False, 0, 9))
        self.assertEqual(await self.start(), ExecOutput(stdout=b"abc", stderr_tail=b"log"))

    async def test_old_status(self) -> None:
        """An old engine answers 200 instead of 101."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
        self.script(then_cut(head + frame(1, b"x")), (False, 0, 9))
        self.assertEqual((await self.start()).stdout, b"x")

    async def test_broken_streams(self) -> None:
        """A stream that is cut or garbage leaves the outcome unknown, whatever was read."""
        broken: list[Answer] = [
            cut,
            then_cut(b"HTTP/1.1 101 UPGR"),
            then_cut(b"SSH-2.0-x\r\n\r\n"),
            then_cut(b"X" * 20_000),
            answer(200, {"ordinary": "answer"}),
            streamed(frame(1, b"abc")[:-1]),
            streamed(frame(1, b"abc")[:5]),
            streamed(frame(1, b"abc"), b"HTTP/1.1 400 Bad Request\r\n"),
            streamed(frame(0, b"abc")),
            streamed(frame(3, b"abc")),
            streamed(b"\x01\x00\x00\x00\xff\xff\xff\xff"),
        ]
        for fault in broken:
            self.script(fault, (False, 0, 9))
            await self.assert_raises(OutcomeUnknown, self.start())

    async def test_cut_while_running(self) -> None:
        """A stream that ends while the command goes on was cut."""
        self.script(streamed(frame(1, b"{}")), (True, None, 9))
        await self.assert_raises(OutcomeUnknown, self.start())

    async def test_m20_engine_gone(self) -> None:
        """When the engine dies while a command runs, the outcome is unknown (D8, M20)."""
        self.script(streamed())
        self.dockerd.on("GET .*/exec/e1/json", answer(200, {"Running": False, "ExitCode": None}), cut)
        await self.assert_raises(OutcomeUnknown, self.start())

    async def test_refused(self) -> None:
        """An exec that the engine refuses to start is a known result."""
        refusals = [
            (404, "No such exec instance: e1", NotThere),
            (409, "Container c is not running", NotRunning),
            (409, "Container c is paused, unpause the container before exec", NotRunning),
            (500, "something else", EngineError),
        ]
        for status, message, error in refusals:
            self.script(answer(status, {"message": message}))
            self.assertIn(message, await self.assert_raises(error, self.start()))

    async def test_refused_with_anything(self) -> None:
        """A refusal whose explanation is nothing that Docker would say is a refusal all the same."""
        deep = b'{"message":' + b"[" * 2000 + b"]" * 2000 + b"}"
        others = (b"[]", b"7", b"null", b'"x"', b"{}", b'{"message": {}}', b"\xff", b"")
        for body in (deep, b"[" * 4000, *others):
            self.script(then_cut(answer(500, body)))
            self.assertIn("refused with status 500", await self.assert_raises(EngineError, self.start()))

    async def test_m15_words_of_docker(self) -> None:
        """Docker's own words on standard output are told from the command's by the exec's process (M15)."""
        text = b'OCI runtime exec failed: exec failed: exec: "/bind": permission denied: unknown\r\n'
        for code in (126, 127):
            self.script(streamed(frame(1, text)), (False, code, 0))
            await self.assert_raises(BadCommand, self.start())
        self.script(streamed(frame(1, text)), (False, 126, 4711))
        self.assertEqual((await self.start()).stdout, text)
        stopped = b"OCI runtime exec failed: exec failed: cannot exec in a stopped container: unknown\r\n"
        self.script(streamed(frame(1, stopped)), (False, 126, 0))
        await self.assert_raises(NotRunning, self.start())

    async def test_m15_lost_race(self) -> None:
        """Of two starts at once, the loser's text on standard output is no output (M15)."""
        for end in (b"is already running", b"has already run"):
            text = b"Error: Exec command e1 " + end + b"\r\n"
            self.script(streamed(frame(1, text)), (False, 0, 9))
            await self.assert_raises(BadCommand, self.start())

    async def test_run_before(self) -> None:
        """An exec that runs or ran is not started again (E14)."""
        for state in ((True, None, 9), (False, 0, 9)):
            self.script(hang)
            running, code, pid = state
            document = {"Running": running, "ExitCode": code, "Pid": pid}
            self.dockerd.on("GET .*/exec/e1/json", answer(200, document))
            await self.assert_raises(BadCommand, self.start())
        self.assertFalse([request for request in self.dockerd.requests if "start" in request])

    async def test_silent(self) -> None:
        """A command of which nothing is heard until its deadline has passed it, as it may have begun (E1)."""
        self.script(hang)
        await self.assert_raises(ExecutableOverrun, self.start(deadline=0.5))

    async def test_still_open(self) -> None:
        """A command that has ended is done, though its stream stays open (E9)."""

        def open_stream(conversation: Any) -> None:
            conversation.send(UPGRADED + frame(1, b"x"))

        self.script(open_stream, (False, 0, 9))
        self.assertEqual((await self.start()).stdout, b"x")

    async def test_executor_looks(self) -> None:
        """After a lost connection the executor looks, and tells what became of the executable."""
        executor = DockerApiExecutor(_reactor, self.engine)
        execution = Execution(
            marker="m", container_id="c", path="/bind", stdin=Secret(b""), environment={}, deadline=30
        )
        self.script(cut, (False, 0, 9))
        sentence = await self.assert_raises(OutcomeUnknown, executor.run("e1", execution))
        self.assertIn("its output is lost", sentence)
        self.script(cut, (False, None, 0))
        sentence = await self.assert_raises(OutcomeUnknown, executor.run("e1", execution))
        self.assertIn("has not been started", sentence)
