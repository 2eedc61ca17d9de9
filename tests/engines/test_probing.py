"""What the agent's look at its own engine finds."""

from typing import Any

from hypothesis import given
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker import wire
from dockerbroker.engines.connections import Connections
from dockerbroker.engines.pool import Lane
from dockerbroker.engines.probing import LOOK_WITHIN, EngineProbe, vitals_of
from dockerbroker.errors import EngineError, EngineUnreachable, OutcomeUnknown
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.pings import decode_ping, encode_ping
from dockerbroker.model.vitals import Ping, Vitals
from tests.contracts.fake import FakeCase
from tests.contracts.real import host_at
from tests.fake_dockerd import FakeDockerd, answer, cut, hang
from tests.model.values import HOST, documents

INFO: dict[str, Any] = {
    "ID": "1b1f:2c",
    "NCPU": 4,
    "MemTotal": 8_000_000_000,
    "Containers": 20,
    "ContainersRunning": 12,
    "DockerRootDir": "/",
}
VERSION: dict[str, Any] = {
    "Version": "28.0.1",
    "ApiVersion": "1.48",
    "MinAPIVersion": "1.24",
    "Components": [{"Name": "Engine", "Version": "28.0.1"}, {"Name": "runc", "Version": "1.2.5"}],
}


async def _no_certificate(_host: DockerHost) -> HostCertificate | None:
    return None


class VitalsTests(SynchronousTestCase):
    """What Docker's answers say."""

    def test_known(self) -> None:
        """Engine, size and running containers are told by Docker."""
        expected = Vitals(
            engine_id="1b1f:2c",
            engine_version="28.0.1",
            api_version="1.48",
            runc_version="1.2.5",
            memory_total=8_000_000_000,
            cpus=4.0,
            containers=12,
        )
        self.assertEqual(vitals_of(INFO, VERSION, None), expected)

    def test_silent(self) -> None:
        """What Docker does not tell is not known."""
        self.assertEqual(vitals_of({}, {}, None), Vitals())

    def test_nonsense(self) -> None:
        """Figures that are none are an error, and absurd texts are not told."""
        cases: tuple[tuple[str, Any], ...] = (
            ("NCPU", "many"),
            ("NCPU", float("nan")),
            ("MemTotal", []),
            ("MemTotal", float("inf")),
        )
        for key, value in cases:
            expected = (TypeError, ValueError, OverflowError)
            self.assertRaises(expected, vitals_of, {**INFO, key: value}, VERSION, None)
        for text in (5, "", "a\n", "\ud800"):
            self.assertIsNone(vitals_of({"ID": text}, {}, None).engine_id)
        self.assertEqual(len(vitals_of({"ID": "x" * 1000}, {}, None).engine_id or ""), 255)

    @given(documents, documents)
    def test_a_ping_can_say_it(self, one: Any, other: Any) -> None:
        """Whatever Docker answers, a broker takes the ping that tells of it."""
        try:
            found = vitals_of(dict.fromkeys(INFO, one), dict.fromkeys(VERSION, other), None)
        except (TypeError, ValueError, OverflowError):
            return
        ping = Ping(host=HOST, vitals=found)
        self.assertEqual(decode_ping(wire.decode_object(wire.encode(encode_ping(ping, "now")))), ping)


class ProbeTests(FakeCase):
    """A look at a fake engine."""

    def setUp(self) -> None:
        """Have a fake engine, and a probe of it."""
        super().setUp()
        self.docker = FakeDockerd()
        path = self.path()
        self.listen(self.docker, path)
        self.threads.adjustPoolsize(0, 2)
        self.docker.on("GET /version", answer(200, {"ApiVersion": "1.48"}))
        self.docker.on("GET .*/version", answer(200, VERSION))
        self.docker.on("GET .*/info", answer(200, INFO))
        clock: Any = self.clock
        self.probe = EngineProbe(
            connections=Connections(host_at(f"unix://{path}"), _no_certificate, allows_plain=True),
            lane=Lane(clock, self.threads, 1, "d"),
        )
        self.addCleanup(lambda: ensureDeferred(self.probe.close()))

    async def test_well(self) -> None:
        """Of an engine on this machine all is known, but at first not how busy it is."""
        found = await self.probe.look()
        self.assertEqual((found.engine_id, found.containers, found.trouble), ("1b1f:2c", 12, ""))
        for known in (found.memory_free, found.disk_total, found.disk_free):
            self.assertIsNotNone(known)
        self.assertIsNone(found.load)

    async def test_hanging(self) -> None:
        """An engine that hangs is trouble when the deadline has passed, and the next look waits for it."""
        self.docker.on("GET .*/info", hang)
        looking = ensureDeferred(self.probe.look())
        await self.until(lambda: "info" in str(self.docker.requests))
        self.assertNoResult(looking)
        self.clock.advance(LOOK_WITHIN)
        self.failureResultOf(looking, OutcomeUnknown)
        again = ensureDeferred(self.probe.look())
        self.clock.advance(LOOK_WITHIN)
        self.failureResultOf(again, EngineUnreachable)

    async def test_session(self) -> None:
        """The engine's session is the same as long as the connection lasts, and then another one."""
        first = (await self.probe.look()).engine_session
        self.assertTrue(first)
        self.assertEqual((await self.probe.look()).engine_session, first)
        self.docker.close()
        ended: list[Any] = [one.transport for one in self.docker.conversations]
        await self.until(lambda: not any(one.connected for one in ended))
        later = (await self.probe.look()).engine_session
        self.assertNotIn(later, (first, None, ""))

    async def test_back(self) -> None:
        """An engine that answers badly is trouble, and well as soon as it answers well."""
        for bad, error in (
            (cut, OutcomeUnknown),
            (answer(500, {"message": "broken"}), EngineError),
            (answer(200, []), OutcomeUnknown),
            (answer(200, {"NCPU": {}}), OutcomeUnknown),
        ):
            self.docker.on("GET .*/info", bad)
            await self.assert_raises(error, self.probe.look())
            self.docker.rules.pop(0)
            self.assertEqual((await self.probe.look()).engine_id, "1b1f:2c")
