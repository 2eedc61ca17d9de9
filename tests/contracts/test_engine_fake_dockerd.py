"""What an engine that answers wrongly, half, late or never does to the calls of `IEngine`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults

from dockerbroker.engines.versions import NEWEST
from dockerbroker.errors import (
    EngineError,
    EngineUnreachable,
    OutcomeUnknown,
)
from tests.contracts.fake import PER_HOST, SPEC, VERSION, FakeCase
from tests.contracts.real import host_at
from tests.fake_dockerd import (
    Answer,
    FakeDockerd,
    answer,
    cut,
    hang,
    then_cut,
)


class AnswerTests(FakeCase):
    """Answers that are wrong, cut or missing."""

    async def test_m14_lost_create(self) -> None:
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
            await self.assert_raises(OutcomeUnknown, self.engine.volumes("cluster"))
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
        for version in ("1.9", "1.20", "1.40"):
            self.dockerd.on("GET /version", answer(200, {"ApiVersion": version}))
            sentence = await self.assert_raises(EngineUnreachable, self.engine.inspect("c"))
            self.assertIn(f"too old: it speaks version {version}", sentence)

    async def test_newer(self) -> None:
        """With an engine that is newer than the broker a version is spoken that both know."""
        self.dockerd.on("GET .*/containers/c/json", answer(404, {"message": "No such container"}))
        self.dockerd.on("GET /version", answer(200, {"ApiVersion": "1.99", "MinAPIVersion": "1.24"}))
        self.assertIsNone(await self.engine.inspect("c"))
        self.assertEqual(self.dockerd.requests[-1], f"GET /v{NEWEST}/containers/c/json")

    async def test_no_version(self) -> None:
        """An engine that names no version is unreachable, with a sentence."""
        wrong: list[Any] = [{}, {"ApiVersion": "new"}, {"ApiVersion": 1.41}, {"ApiVersion": None}, []]
        for body in wrong:
            self.dockerd.on("GET /version", answer(200, body))
            await self.assert_raises(EngineUnreachable, self.engine.inspect("c"))

    async def test_other_version(self) -> None:
        """When the engine was replaced by an older one, the version is negotiated anew."""
        self.dockerd.on("GET /version", answer(200, {"ApiVersion": "1.42"}))
        self.dockerd.on("GET .*/containers/c/json", answer(404, {"message": "No such container"}))
        self.assertIsNone(await self.engine.inspect("c"))
        sentence = "client version 1.42 is too new. Maximum supported API version is 1.41"
        self.dockerd.on("v1.42/containers", answer(400, {"message": sentence}))
        self.dockerd.on("GET /version", answer(200, {"ApiVersion": "1.41"}))
        await self.assert_raises(EngineUnreachable, self.engine.inspect("c"))
        self.assertIsNone(await self.engine.inspect("c"))
        self.assertEqual(self.dockerd.requests[-1], "GET /v1.41/containers/c/json")

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

    async def test_volume_removal(self) -> None:
        """A volume that is gone is no error; one that is in use, or cannot be unmounted, is (D13)."""
        self.dockerd.on("DELETE .*/volumes", answer(404, {"message": "get v: no such volume"}))
        await self.engine.remove_volume("v")
        for status, reason in ((409, "remove v: volume is in use - [4f]"), (500, "device or resource busy")):
            self.dockerd.on("DELETE .*/volumes", answer(status, {"message": reason}))
            self.assertIn(reason, await self.assert_raises(EngineError, self.engine.remove_volume("v")))
        self.dockerd.on("DELETE .*/volumes", cut)
        await self.assert_raises(OutcomeUnknown, self.engine.remove_volume("v"))

    async def test_stop(self) -> None:
        """A container is kept from being restarted before it is stopped; one that is stopped is no error."""
        self.dockerd.on("POST .*/containers/c/update", answer(200, {"Warnings": None}))
        self.dockerd.on("POST .*/containers/c/stop", answer(304, b""))
        await self.engine.stop("c", grace=1.5)
        asked = [request for request in self.dockerd.requests if request.startswith("POST")]
        self.assertEqual(asked, ["POST /v1.41/containers/c/update", "POST /v1.41/containers/c/stop?t=2"])

    async def test_lost_stop(self) -> None:
        """A stop whose answer is lost may have been done."""
        self.dockerd.on("POST .*/containers/c/update", answer(200, {"Warnings": None}))
        self.dockerd.on("POST .*/containers/c/stop", cut)
        await self.assert_raises(OutcomeUnknown, self.engine.stop("c", grace=1))

    async def test_closed(self) -> None:
        """After closing, nothing is asked any more."""
        self.dockerd.on("GET .*/json", answer(404, {"message": "No such container"}))
        await self.engine.inspect("c")
        await self.engines.close()
        await self.assert_raises(EngineUnreachable, self.engine.inspect("c"))


class HangTests(FakeCase):
    """An engine that accepts requests and never answers, as a stopped dockerd does (M19)."""

    def hanging(self, count: int) -> list[Deferred[Any]]:
        """Make calls that hang."""
        self.dockerd.on("GET .*/containers", hang)
        return [ensureDeferred(self.engine.inspect("c")) for _ in range(count)]

    async def hung(self) -> None:
        """Wait until all places are taken by calls that hang."""
        await self.until(lambda: sum("containers" in one for one in self.dockerd.requests) == PER_HOST)

    async def test_m19_deadline(self) -> None:
        """A call past its deadline has an unknown outcome; its place is free once it returns (M19)."""
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

    async def test_m19_busy(self) -> None:
        """A call that finds no free place before its deadline has not been made (M19)."""
        calls = self.hanging(PER_HOST + 1)
        await self.hung()
        self.clock.advance(10)
        outcomes = await gatherResults([call.addErrback(lambda failure: failure.type) for call in calls])
        self.assertEqual(outcomes, [OutcomeUnknown] * PER_HOST + [EngineUnreachable])
        self.assertEqual(sum("containers" in one for one in self.dockerd.requests), PER_HOST)
        self.dockerd.close()

    async def test_m19_other_hosts(self) -> None:
        """A host that hangs takes nothing from the others (M19)."""
        calls = self.hanging(PER_HOST * 5)
        await self.hung()
        for _ in range(3):
            dockerd, engine = self.host()
            dockerd.on("GET .*/containers", answer(404, {"message": "No such container"}))
            self.assertIsNone(await engine.inspect("c"))
        self.dockerd.on("GET .*/containers", cut)
        self.dockerd.close()
        await gatherResults([call.addErrback(lambda failure: failure.trap(EngineError)) for call in calls])
