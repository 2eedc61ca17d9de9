"""What can happen between brokers and a database server."""

from __future__ import annotations

import re
from typing import Any, Final

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import deferLater

from dockerbroker.errors import AlreadyExists, LostLease
from dockerbroker.model.instances import Change, Phase, Step
from tests.faults.case import LONG, PATIENT, FaultTestCase, begin
from tests.persisters import values
from tests.pinging import pings
from tests.servers.proxy import Proxy

#: What makes a change durable, as the server is told; not the "autocommit" of a session's settings.
_COMMITS: Final = {
    "mysql": re.compile(rb"(?<![a-z])commit", re.IGNORECASE),
    "postgresql": re.compile(rb"(?<![a-z])commit", re.IGNORECASE),
    "redis": re.compile(rb"\r\n(evalsha|eval|fcall)\r\n", re.IGNORECASE),
}
_BURST = 16


class NetworkTestCase(FaultTestCase):
    """A persister behind a proxy."""

    def setUp(self) -> None:
        """Make a database behind a proxy."""
        self.direct = self.shared(pool_size=2)
        self.proxy = self.proxied()

    def proxied(self) -> Proxy:
        """Return another proxy of the same server."""
        return Proxy(self, self.direct.port)

    async def open_behind(self, proxy: Proxy) -> Any:
        """Return a persister behind that proxy."""
        return await self.open(evolve(self.direct, port=proxy.port))


class SilenceFaults(NetworkTestCase):
    """Servers that do not answer, or not soon."""

    async def test_unreachable(self) -> None:
        """A server that is slow, silent or out of reach keeps no call longer; then all goes on."""
        proxies = [self.proxied() for _ in range(3)]
        persisters = [await self.open_behind(proxy) for proxy in proxies]
        for number, persister in enumerate(persisters):
            await self.work(persister, f"before {number}")
        slow, silent, shut = proxies
        slow.delay(5)
        silent.hang()
        shut.refuse()
        calls = [
            call
            for number, persister in enumerate(persisters)
            for call in (
                begin(persister, f"late {number}"),
                persister.instance("i1"),
                persister.claim("two", ttl=9),
            )
        ]
        await self.unavailable(*calls)
        for number, (proxy, persister) in enumerate(zip(proxies, persisters, strict=True)):
            proxy.heal()
            await self.work(persister, f"after {number}")


class NetworkFaults(NetworkTestCase):
    """Torn, stalled and crumbling connections."""

    patience = PATIENT

    async def test_reset(self) -> None:
        """No call fails when all connections are reset again and again; each has done what it says."""
        persister = await self.open_behind(self.proxy)
        for turn in range(5):
            names = [f"{turn} {number}" for number in range(_BURST)]
            calls = self.outcomes([begin(persister, name) for name in names])
            for _ in range(3):
                await deferLater(reactor, turn / 2000)
                self.proxy.reset_all()
            found = await calls
            self.assertEqual(found, await self.all([persister.operation(name) for name in names]))

    async def test_stalled(self) -> None:
        """No call fails when a connection hangs for ever: those on it go on over another one."""
        persister = await self.open_behind(self.proxy)
        await self.all([begin(persister, f"before {number}") for number in range(_BURST)])
        self.proxy.stall(1)
        begun = await self.all([begin(persister, f"after {number}") for number in range(_BURST)])
        found = await self.all([persister.operation(operation.id) for operation in begun])
        self.assertEqual(begun, found)

    async def test_sliced(self) -> None:
        """It does not matter in which pieces requests and answers arrive."""
        persister = await self.open_behind(self.proxy)
        self.proxy.slice()
        await self.all([persister.put_image(values.STATIC), self.work(persister, "sliced")])
        self.assertEqual(await self.call(persister.images()), [values.STATIC])


class LostReplyFaults(NetworkTestCase):
    """Connections that end when a change was sent and no reply has come: it was done, or it was not."""

    patience = PATIENT

    def lose(self, *, done: bool, times: int = 1) -> None:
        """Let the next changes have no reply."""
        pattern = _COMMITS[self.driver]
        self.lost_before = self.proxy.lost
        self.proxy.drop_replies_after(lambda data: bool(pattern.search(data)), times=times, forward=done)

    def check_lost(self, times: int = 1) -> None:
        """Check that so many replies were lost, so that the test shows something."""
        self.assertEqual(self.proxy.lost - self.lost_before, times)

    async def test_begin(self) -> None:
        """A beginning whose reply is lost is answered as if it were not: with what is stored."""
        persister = await self.open_behind(self.proxy)
        for done in (True, False):
            self.lose(done=done)
            begun = await self.call(begin(persister, f"{done}"))
            self.check_lost()
            self.assertEqual((begun.epoch, begun.owner), (1, "one"))
            self.assertEqual(await self.call(persister.operation(f"{done}")), begun)

    async def test_begin_refused(self) -> None:
        """A beginning that is refused is refused, though a reply is lost."""
        persister = await self.open_behind(self.proxy)
        await self.provisioned(persister, "i1")
        self.lose(done=True)
        [outcome] = await self.outcomes([begin(persister, "another", "i1")])
        self.assertIsInstance(outcome, AlreadyExists)
        self.assertIsNone(await self.call(persister.operation("another")))

    async def test_commit(self) -> None:
        """Progress and outcomes whose replies are lost are stored once, and nobody hears of it."""
        persister = await self.open_behind(self.proxy)
        for done in (True, False):
            operation = await self.call(begin(persister, f"{done}"))
            self.lose(done=done)
            for later in (operation.at(Step.START), operation.over(Phase.SUCCEEDED, 1.0)):
                self.lose(done=done)
                await self.call(persister.commit(Change(operation=later)))
                self.check_lost()
            found = await self.call(persister.operation(f"{done}"))
            self.assertEqual((found.phase, found.owner), (Phase.SUCCEEDED, None))

    async def test_commit_refused(self) -> None:
        """Who has lost the lease hears of it, though a reply is lost."""
        persister = await self.open_behind(self.proxy)
        operation = await self.call(begin(persister, "o1"))
        await self.call(persister.release(operation, delay=0))
        [taken] = await self.call(persister.claim("two", ttl=LONG))
        self.lose(done=True)
        late = Change(operation=operation.over(Phase.SUCCEEDED, 1.0))
        [outcome] = await self.outcomes([persister.commit(late)])
        self.assertIsInstance(outcome, LostLease)
        self.assertEqual(await self.call(persister.operation("o1")), taken)

    async def test_removal(self) -> None:
        """An outcome that removes its instance is settled as well."""
        persister = await self.open_behind(self.proxy)
        for done in (True, False):
            name = f"i {done}"
            await self.provisioned(persister, name)
            gone = values.deprovision(f"gone {done}", name)
            begun = await self.call(persister.begin(gone, owner="one", ttl=LONG, within=LONG))
            self.lose(done=done)
            change = Change(operation=begun.over(Phase.SUCCEEDED, 1.0), remove_instance=True)
            await self.call(persister.commit(change))
            self.check_lost()
            self.assertIsNone(await self.call(persister.instance(name)))

    async def test_others(self) -> None:
        """What can be done twice is done, whether or not it was done before its reply was lost."""
        persister = await self.open_behind(self.proxy)
        operation = await self.call(begin(persister, "o1"))
        for done in (True, False):
            for call in (
                persister.put_image(values.REDIS),
                persister.record_pings(pings([values.host()])),
                persister.set_condition(operation.instance_id, f"{done}"),
                persister.cancel("o1"),
                persister.renew("one", ttl=LONG),
                persister.release(operation, delay=LONG),
                persister.hasten("o1"),
            ):
                self.lose(done=done)
                await self.call(call)
                self.check_lost()
        self.assertEqual(await self.call(persister.images()), [values.REDIS])
        self.assertEqual(await self.call(persister.conditions()), {operation.instance_id: "False"})
        [taken] = await self.call(persister.claim("two", ttl=LONG))
        self.assertEqual((taken.id, taken.is_cancelled), ("o1", True))


KINDS = (SilenceFaults, NetworkFaults, LostReplyFaults)
