"""Pings are stored together, and each is acknowledged when it is stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.pings import MOST, Pings
from dockerbroker.errors import Unavailable
from dockerbroker.model.hosts import DockerHost, HostKey
from tests.persisters import values


def host(number: int, **members: Any) -> DockerHost:
    """Return a host."""
    name = f"host{number}"
    return values.host(HostKey(service_host=name, docker_host=name, docker_port=1), **members)


@define(eq=False)
class Slow:
    """Stores hosts when the test says so; `writes` are those under way, and what they write."""

    writes: list[tuple[list[DockerHost], Deferred[None]]] = field(factory=list)
    sizes: list[int] = field(factory=list)
    stored: dict[HostKey, DockerHost] = field(factory=dict)

    async def record_pings(self, hosts: Iterable[DockerHost]) -> None:
        """Store the hosts when `finish` is called."""
        group, done = list(hosts), Deferred[None]()
        self.writes.append((group, done))
        self.sizes.append(len(group))
        await done
        self.stored.update({host.key: host for host in group})

    def finish(self, error: Exception | None = None) -> None:
        """Let the write that is under way succeed, or fail."""
        _, done = self.writes.pop()
        if error is None:
            done.callback(None)
        else:
            done.errback(error)


class PingsTests(SynchronousTestCase):
    """Pings on a database that takes its time."""

    def setUp(self) -> None:
        """Begin with no pings."""
        self.database = Slow()
        persister: Any = self.database
        self.pings = Pings(persister)

    def ping(self, number: int, **members: Any) -> Deferred[None]:
        """Let a host ping."""
        return Deferred.fromCoroutine(self.pings.record(host(number, **members)))

    def test_alone(self) -> None:
        """A ping is written at once, and acknowledged when it is stored."""
        ping = self.ping(1)
        self.assertNoResult(ping)
        self.database.finish()
        self.assertIsNone(self.successResultOf(ping))
        self.assertEqual(self.database.stored, {host(1).key: host(1)})

    def test_together(self) -> None:
        """Pings that come while one is written are written together; none is acknowledged before."""
        first, *others = [self.ping(number) for number in range(5)]
        self.database.finish()
        self.successResultOf(first)
        for ping in others:
            self.assertNoResult(ping)
        self.database.finish()
        for ping in others:
            self.successResultOf(ping)
        self.assertEqual(self.database.sizes, [1, 4])
        self.assertEqual(self.database.writes, [])

    def test_newest(self) -> None:
        """Of several pings of one host the last is written, and all are acknowledged."""
        pings = [self.ping(1, perf_factor=factor) for factor in (1.0, 2.0, 3.0)]
        self.database.finish()
        self.database.finish()
        for ping in pings:
            self.successResultOf(ping)
        self.assertEqual(self.database.stored, {host(1).key: host(1, perf_factor=3.0)})
        self.assertEqual(self.database.sizes, [1, 1])

    def test_bounded(self) -> None:
        """So many that one write would be long are written by several."""
        pings = [self.ping(number) for number in range(2 * MOST + 2)]
        while self.database.writes:
            self.database.finish()
        for ping in pings:
            self.successResultOf(ping)
        self.assertEqual(self.database.sizes, [1, MOST, MOST, 1])
        self.assertEqual(len(self.database.stored), 2 * MOST + 2)

    def test_failure(self) -> None:
        """When a write fails nobody is acknowledged who waits; the next ping is written."""
        pings = [self.ping(number) for number in range(3)]
        self.database.finish(Unavailable("Down."))
        for ping in pings:
            self.assertEqual(self.failureResultOf(ping, Unavailable).value.args, ("Down.",))
        self.assertEqual((self.database.stored, self.database.writes), ({}, []))
        again = self.ping(1)
        self.database.finish()
        self.successResultOf(again)

    def test_at_once(self) -> None:
        """A ping that comes in answer to the outcome of another is written, too."""
        for error in (None, Unavailable("Down.")):
            answered = self.ping(1).addBoth(lambda _: self.ping(2))
            self.database.finish(error)
            self.database.finish()
            self.successResultOf(answered)

    @given(st.lists(st.integers(-2, 3), max_size=40))
    def test_any_order(self, moves: list[int]) -> None:
        """However pings and writes follow each other, all are answered; what is acknowledged is stored."""
        self.setUp()
        pings = []
        for version, move in enumerate(moves, 1):
            if move >= 0:
                pings.append(self.ping(move, portbind_min=version).addCallback(self.check, move, version))
            elif self.database.writes:
                self.database.finish(None if move == -1 else Unavailable("Down."))
            self.assertLessEqual(len(self.database.writes), 1)
        while self.database.writes:
            self.database.finish()
        for ping in pings:
            self.successResultOf(ping.addErrback(lambda failure: failure.trap(Unavailable)))

    def check(self, _: None, number: int, version: int) -> None:
        """Check that this version of a host is stored, or a later one."""
        self.assertGreaterEqual(self.database.stored[host(number).key].portbind_min, version)
