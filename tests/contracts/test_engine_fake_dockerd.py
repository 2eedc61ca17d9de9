"""What an engine that answers wrongly, half, late or never does to the calls of `IEngine`."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from dockerbroker.engines.docker import DockerEngine, DockerEngines
from dockerbroker.engines.executors import DockerApiExecutor
from dockerbroker.engines.pool import DaemonThreadPool
from dockerbroker.errors import (
    BadCommand,
    EngineError,
    EngineUnreachable,
    NotRunning,
    NotThere,
    OutcomeUnknown,
)
from dockerbroker.model.containers import ContainerSpec, ExecOutput
from dockerbroker.model.executables import Execution
from dockerbroker.model.secrets import Secret
from tests.contracts.real import host_at
from tests.fake_dockerd import (
    UPGRADED,
    Answer,
    FakeDockerd,
    answer,
    cut,
    frame,
    hang,
    streamed,
    then_cut,
)

VERSION = {"ApiVersion": "1.41"}
SPEC = ContainerSpec(name="some-name", image="image", labels={}, ports={"80/tcp": 20000})
PER_HOST = 2
_reactor: Any = reactor


@define(eq=False)
class _ThreadClock(Clock):
    """A clock for deadlines, while threads are real."""

    def __attrs_post_init__(self) -> None:
        Clock.__init__(self)

    def callFromThread(self, function: Any, *args: Any, **kwargs: Any) -> None:
        _reactor.callFromThread(function, *args, **kwargs)


class _FakeCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        """Have a fake engine, and ours that talks to it."""
        self.clock = _ThreadClock()
        self.threads = DaemonThreadPool(0, 0)
        self.threads.start()
        self.addCleanup(self.threads.stop)
        clock: Any = self.clock
        self.engines = DockerEngines(clock, self.threads, PER_HOST)
        self.dockerd, self.engine = self.host()

    def host(self) -> tuple[FakeDockerd, DockerEngine]:
        """Return one more fake engine, and ours."""
        path = self.path()
        dockerd = FakeDockerd()
        dockerd.on("GET /version", answer(200, VERSION))
        self.listen(dockerd, path)
        return dockerd, self.engines(host_at(f"unix://{path}"))

    def path(self) -> str:
        """Return a path for a socket, short enough for one."""
        folder = tempfile.mkdtemp(prefix="dockerbroker-fake-")
        self.addCleanup(shutil.rmtree, folder)
        return f"{folder}/docker.sock"

    def listen(self, dockerd: FakeDockerd, path: str) -> None:
        """Let the fake engine listen until the end of the test."""
        port = _reactor.listenUNIX(path, dockerd)
        self.addCleanup(port.stopListening)
        self.addCleanup(dockerd.close)

    async def assert_raises(self, error: type[EngineError], call: Any) -> str:
        """Assert that the call raises exactly this error; return its sentence."""
        try:
            result = await call
        except EngineError as raised:
            self.assertIs(type(raised), error, raised.description)
            self.assertLess(len(raised.description), 500)
            self.assertNotIn("Traceback", raised.description)
            return raised.description
        raise self.failureException(f"{error.__name__} was not raised, but returned {result!r}")

    async def until(self, condition: Any) -> None:
        """Wait until the condition holds."""
        for _ in range(1000):
            if condition():
                return
            await deferLater(_reactor, 0.01)
        self.fail("it did not come about")


class AnswerTests(_FakeCase):
    """Answers that are wrong, cut or missing."""

    async def test_lost_create(self) -> None:
        """A create whose answer is lost, cut, empty or garbage may have been done (M14)."""
        whole = answer(201, {"Id": "abc", "Warnings": []})
        faults: list[Answer] = [
            cut,
            then_cut(whole[:-10]),
            then_cut(whole[:30]),
            answer(201, b""),
            answer(201, b"<html>"),
            answer(201, {"Warnings": []}),
            answer(201, {"Id": 5}),
            answer(201, ["Id"]),
            then_cut(b"\x00\xff garbage\r\n\r\n"),
        ]
        for fault in faults:
            self.dockerd.on("POST .*/containers/create", fault)
            await self.assert_raises(OutcomeUnknown, self.engine.create(SPEC))

    async def test_garbage(self) -> None:
        """Answers of wrong types are an error, never another exception (D11)."""
        garbage: list[Any] = [b"not JSON", b"[" * 100_000, None, 5, [], [[]], [None], {}, {"State": 1}, "x"]
        for document in garbage:
            self.dockerd.on("GET", answer(200, document))
            self.dockerd.on("GET /version", answer(200, VERSION))
            await self.assert_raises(OutcomeUnknown, self.engine.inspect("c"))
            await self.assert_raises(OutcomeUnknown, self.engine.image("i"))
            await self.assert_raises(OutcomeUnknown, self.engine.inspect_exec("e"))
            if document not in ([], {}):
                await self.assert_raises(OutcomeUnknown, self.engine.containers("cluster"))

    async def test_too_long(self) -> None:
        """An answer without end is not read to its end (D11)."""
        self.dockerd.on("GET .*/json", answer(200, b'"' + b"x" * 5_000_000 + b'"'))
        await self.assert_raises(OutcomeUnknown, self.engine.inspect("c"))

    async def test_refusals(self) -> None:
        """Errors of the engine carry its words and the host's address, and are told from lost answers."""
        self.dockerd.on("POST .*/start", answer(500, {"message": "devmapper: " + "no space left " * 100}))
        sentence = await self.assert_raises(EngineError, self.engine.start("c"))
        self.assertIn("no space left", sentence)
        self.assertIn("unix://", sentence)

    async def test_redirect(self) -> None:
        """A redirect is not followed."""
        elsewhere = answer(301, b"", "Location: http://192.0.2.1/")
        self.dockerd.on("GET .*/json", elsewhere)
        await self.assert_raises(OutcomeUnknown, self.engine.inspect("c"))

    async def test_not_there_at_first(self) -> None:
        """An engine that cannot be reached has not seen the request, and is tried again at the next call."""
        path = self.path()
        engine = self.engines(host_at(f"unix://{path}"))
        await self.assert_raises(EngineUnreachable, engine.create(SPEC))
        dockerd = FakeDockerd()
        dockerd.on("GET /version", then_cut(b"garbage"), answer(200, {}), cut, answer(500, b"starting"))
        self.listen(dockerd, path)
        for _ in range(4):
            await self.assert_raises(EngineUnreachable, engine.create(SPEC))
        dockerd.on("GET /version", answer(200, VERSION))
        dockerd.on("POST .*/create", answer(201, {"Id": "abc"}))
        self.assertEqual(await engine.create(SPEC), "abc")

    async def test_too_old(self) -> None:
        """An engine that is too old is unreachable, with the reason (D12)."""
        self.dockerd.on("GET /version", answer(200, {"ApiVersion": "1.20"}))
        self.assertIn("too old", await self.assert_raises(EngineUnreachable, self.engine.inspect("c")))

    async def test_other_version(self) -> None:
        """When the engine was replaced by an older one, the version is negotiated anew."""
        self.dockerd.on("GET .*/containers/c/json", answer(404, {"message": "No such container"}))
        self.assertIsNone(await self.engine.inspect("c"))
        sentence = "client version 1.41 is too new. Maximum supported API version is 1.40"
        self.dockerd.on("v1.41/containers", answer(400, {"message": sentence}))
        self.dockerd.on("GET /version", answer(200, {"ApiVersion": "1.40"}))
        await self.assert_raises(EngineUnreachable, self.engine.inspect("c"))
        self.assertIsNone(await self.engine.inspect("c"))
        self.assertEqual(self.dockerd.requests[-1], "GET /v1.40/containers/c/json")

    async def test_removal_in_progress(self) -> None:
        """A removal that another has begun is waited for (D13)."""
        conflict = {"message": "removal of container c is already in progress"}
        self.dockerd.on("DELETE", answer(409, conflict))
        gone = answer(404, {"message": "No such container: c"})
        self.dockerd.on("GET .*/json", answer(200, {"State": {}}), answer(200, {"State": {}}), gone)
        await self.engine.remove("c", grace=0)
        self.assertEqual(sum("GET /v1.41" in request for request in self.dockerd.requests), 3)

    async def test_removal_fails(self) -> None:
        """A removal that fails is an error (D13)."""
        self.dockerd.on("DELETE", answer(500, {"message": "driver failed: device or resource busy"}))
        self.assertIn("busy", await self.assert_raises(EngineError, self.engine.remove("c", grace=0)))

    async def test_closed(self) -> None:
        """After closing, nothing is asked any more."""
        self.dockerd.on("GET .*/json", answer(404, {"message": "No such container"}))
        await self.engine.inspect("c")
        await self.engines.close()
        await self.assert_raises(EngineUnreachable, self.engine.inspect("c"))


class HangTests(_FakeCase):
    """An engine that accepts requests and never answers, as a stopped dockerd does (M19)."""

    def hanging(self, count: int) -> list[Deferred[Any]]:
        """Make calls that hang."""
        self.dockerd.on("GET .*/containers", hang)
        return [ensureDeferred(self.engine.inspect("c")) for _ in range(count)]

    async def hung(self) -> None:
        """Wait until all places are taken by calls that hang."""
        await self.until(lambda: sum("containers" in one for one in self.dockerd.requests) == PER_HOST)

    async def test_deadline(self) -> None:
        """A call past its deadline has an unknown outcome; its place is free once it returns."""
        calls = self.hanging(PER_HOST)
        await self.hung()
        self.clock.advance(10)
        for call in calls:
            await self.assert_raises(OutcomeUnknown, call)
        late = ensureDeferred(self.engine.inspect("c"))
        self.assertNoResult(late)
        self.dockerd.on("GET .*/containers", answer(404, {"message": "No such container"}))
        for conversation in list(self.dockerd.conversations):
            conversation.send(answer(404, {"message": "No such container"}))
        self.assertIsNone(await late)

    async def test_busy(self) -> None:
        """A call that finds no free place before its deadline has not been made."""
        calls = self.hanging(PER_HOST + 1)
        await self.hung()
        self.clock.advance(10)
        outcomes = await gatherResults([call.addErrback(lambda failure: failure.type) for call in calls])
        self.assertEqual(outcomes, [OutcomeUnknown] * PER_HOST + [EngineUnreachable])
        self.assertEqual(sum("containers" in one for one in self.dockerd.requests), PER_HOST)
        self.dockerd.close()

    async def test_other_hosts(self) -> None:
        """A host that hangs takes nothing from the others."""
        calls = self.hanging(PER_HOST * 5)
        await self.hung()
        for _ in range(3):
            dockerd, engine = self.host()
            dockerd.on("GET .*/containers", answer(404, {"message": "No such container"}))
            self.assertIsNone(await engine.inspect("c"))
        self.dockerd.on("GET .*/containers", cut)
        self.dockerd.close()
        await gatherResults([call.addErrback(lambda failure: failure.trap(EngineError)) for call in calls])


class ExecTests(_FakeCase):
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

    async def start(self, limit: int = 100) -> ExecOutput:
        """Start the exec."""
        return await self.engine.start_exec("e1", Secret(b"in"), limit=limit, deadline=30)

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

    async def test_engine_gone(self) -> None:
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

    async def test_words_of_docker(self) -> None:
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

    async def test_lost_race(self) -> None:
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
