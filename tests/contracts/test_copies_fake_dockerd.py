"""What engines that answer wrongly, half, late or never do to a copy: it fails and says whose fault it is."""

from __future__ import annotations

from typing import Any, Final

from dockerbroker.engines.copies import DockerCopies
from dockerbroker.errors import EngineError, EngineUnreachable, NotThere, OutcomeUnknown
from dockerbroker.model.containers import VolumePlace
from tests.contracts.fake import FakeCase
from tests.contracts.real import host_at
from tests.engines.test_archives import packed
from tests.fake_dockerd import Answer, Conversation, answer, cut, hang, then_cut

_READ: Final = "GET .*/archive"
_WRITE: Final = "PUT .*/archive"
_SILENCE: Final = 0.3
_FILES: Final = packed({"a": b"x" * 300_000, "b": b""})


def unpacking(status: int = 200) -> Answer:
    """Read the whole archive, and answer then."""

    def act(conversation: Conversation) -> None:
        any_conversation: Any = conversation
        received = bytearray(any_conversation._received)

        def receive(data: bytes) -> None:
            received.extend(data)
            if received.endswith(b"\r\n0\r\n\r\n"):
                conversation.send(answer(status, {"message": "the disk is full"} if status != 200 else b""))

        any_conversation.dataReceived = receive
        receive(b"")

    return act


def swallowing(conversation: Conversation) -> None:
    """Read whatever comes, and never answer."""
    any_conversation: Any = conversation
    any_conversation.dataReceived = lambda _data: None


def begun(conversation: Conversation) -> None:
    """Send the beginning of an archive, and then nothing more."""
    conversation.send(answer(200, _FILES)[:100_000])


class CopyTests(FakeCase):
    """Two engines, of which one is not well."""

    def setUp(self) -> None:
        """Have two engines that are."""
        super().setUp()
        self.other, _ = self.host()
        clock: Any = self.clock
        self.copies = DockerCopies(clock, self.engines, self.threads, silence=_SILENCE)
        hosts = {}
        for host_engine, _ in self.engines._engines:
            hosts[str(host_engine)] = host_at(f"unix://{host_engine.path}")
        here, there = hosts.values()
        self.source = VolumePlace(host=here, container_id="c-1", path="/data")
        self.target = VolumePlace(host=there, container_id="c-2", path="/data")
        self.names = list(hosts)
        self.be_well()

    def be_well(self) -> None:
        """Let both engines do what they are asked for."""
        self.dockerd.on(_READ, answer(200, _FILES))
        self.other.on(_READ, answer(200, _FILES))
        self.other.on(_WRITE, unpacking())

    async def failed(self, error: type[EngineError], *words: str) -> None:
        """Check that the copy fails, and that these words are said."""
        call = self.copies.copy(self.source, self.target, lambda _count: None)
        sentence = await self.assert_raises(error, call)
        for word in words:
            self.assertIn(word, sentence)
        self.be_well()

    async def test_well(self) -> None:
        """A copy between two engines that are well succeeds."""
        await self.copies.copy(self.source, self.target, lambda _count: None)
        self.assertIn("path=%2Fdata", self.dockerd.requests[-1])
        self.assertIn("path=%2F", self.other.requests[-2])

    async def test_source(self) -> None:
        """What the source does wrong is said of the source, and the target gets nothing that looks whole."""
        faults: list[tuple[Answer, type[EngineError]]] = [
            (cut, OutcomeUnknown),
            (hang, OutcomeUnknown),
            (begun, OutcomeUnknown),
            (then_cut(answer(200, _FILES)[:100_000]), OutcomeUnknown),
            (answer(200, b"no archive at all" * 100), OutcomeUnknown),
            (answer(200, _FILES[:512]), OutcomeUnknown),
            (answer(404, {"message": "No such container: c-1"}), NotThere),
            (answer(500, {"message": "it is broken"}), EngineError),
        ]
        for fault, error in faults:
            self.dockerd.on(_READ, fault)
            await self.failed(error, self.names[0])

    async def test_target(self) -> None:
        """So is what the target does."""
        faults: list[tuple[Answer, type[EngineError]]] = [
            (cut, OutcomeUnknown),
            (swallowing, OutcomeUnknown),
            (unpacking(500), EngineError),
            (unpacking(404), NotThere),
        ]
        for fault, error in faults:
            self.other.on(_WRITE, fault)
            await self.failed(error, self.names[1])

    async def test_unlike(self) -> None:
        """What is read back and is something else is told; so is what cannot be read back."""
        self.other.on(_READ, answer(200, packed({"a": b"y" * 300_000, "b": b""})))
        await self.failed(EngineError, "not the same")
        self.other.on(_READ, answer(200, packed({"a": b"x" * 300_000})))
        await self.failed(EngineError, "2 of 3")
        self.other.on(_READ, begun)
        await self.failed(OutcomeUnknown, self.names[1])

    async def test_unreachable(self) -> None:
        """An engine that is not there has not been asked for anything."""
        self.other.on("GET /version", cut)
        await self.failed(EngineUnreachable, self.names[1])
        self.assertEqual([one for one in self.other.requests if "PUT" in one], [])
