"""Pings are stored together, and each is acknowledged when it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.pings import MOST, MOST_WRITTEN, PACE, Pings
from dockerbroker.errors import Conflict, Forbidden, Unavailable
from dockerbroker.model.audit import AuditEntry
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.registrations import CHANGES_WITHIN, HostLimits
from dockerbroker.model.vitals import Ping
from tests.persisters import values
from tests.pinging import ping


def host(number: int, **members: Any) -> DockerHost:
    """Return a host."""
    name = f"host{number}"
    return values.host(HostKey(service_host=name, docker_host=name, docker_port=1), **members)


@define(eq=False)
class Slow:
    """Stores hosts when the test says so; `writes` are those under way, and what they write."""

    writes: list[tuple[list[Ping], Deferred[None]]] = field(factory=list)
    refused: dict[HostKey, str] = field(factory=dict)
    sizes: list[int] = field(factory=list)
    told: list[str] = field(factory=list)
    is_away: bool = False
    stored: dict[HostKey, DockerHost] = field(factory=dict)

    async def write_audit(self, entry: AuditEntry) -> None:
        """Write a record, unless the database is away."""
        if self.is_away:
            raise Unavailable("It is away.")
        self.told.append(entry.subject)

    async def record_pings(self, pings: Iterable[Ping], limits: HostLimits) -> Mapping[HostKey, str]:
        """Store the hosts when `finish` is called."""
        del limits
        group, done = list(pings), Deferred[None]()
        self.writes.append((group, done))
        self.sizes.append(len(group))
        await done
        self.stored.update({one.host.key: one.host for one in group})
        return self.refused

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
        self.clock = Clock()
        self.pings = Pings(persister, self.clock, pace=0)

    def ping(self, number: int, **members: Any) -> Deferred[None]:
        """Let a host ping."""
        return self.pings.record(ping(host(number, **members)))

    def session(self, number: int, session: str) -> Deferred[None]:
        """Let a session of a host's agent ping."""
        return self.pings.record(ping(host(number), session=session))

    def test_alone(self) -> None:
        """A ping is written at once, and acknowledged when it is stored."""
        one = self.ping(1)
        self.assertNoResult(one)
        self.database.finish()
        self.assertIsNone(self.successResultOf(one))
        self.assertEqual(self.database.stored, {host(1).key: host(1)})

    def test_together(self) -> None:
        """Pings that come while one is written are written together; none is acknowledged before."""
        first, *others = [self.ping(number) for number in range(5)]
        self.database.finish()
        self.successResultOf(first)
        for one in others:
            self.assertNoResult(one)
        self.database.finish()
        for one in others:
            self.successResultOf(one)
        self.assertEqual(self.database.sizes, [1, 4])
        self.assertEqual(self.database.writes, [])

    def test_settled(self) -> None:
        """Who asks is told when all that have come until then are stored, refused, or have failed."""
        self.successResultOf(Deferred.fromCoroutine(self.pings.settled()))
        self.ping(1)
        self.ping(2)
        settled = Deferred.fromCoroutine(self.pings.settled())
        self.database.finish()
        self.assertNoResult(settled)
        failed = self.ping(3)
        self.database.finish()
        self.successResultOf(settled)
        settled = Deferred.fromCoroutine(self.pings.settled())
        self.assertNoResult(settled)
        self.database.finish(Unavailable("It is away."))
        self.successResultOf(settled)
        self.failureResultOf(failed, Unavailable)
        self.successResultOf(Deferred.fromCoroutine(self.pings.settled()))

    def refuse(self, number: int) -> None:
        """Refuse a ping of a host."""
        refused = Deferred.fromCoroutine(self.pings.refuse(ping(host(number)), "It is another's."))
        self.successResultOf(refused)

    def test_refused_without_database(self) -> None:
        """A refusal that could not be written down takes no room and is written later, and only that one."""
        self.refuse(0)
        self.database.is_away = True
        for number in range(1, 2 * MOST_WRITTEN):
            self.refuse(number)
        self.database.is_away = False
        for number in range(2 * MOST_WRITTEN):
            self.refuse(number)
        self.assertEqual(len(self.database.told), MOST_WRITTEN)
        self.assertEqual(self.database.told, [f"host{n},host{n},1" for n in range(MOST_WRITTEN)])

    def test_pace(self) -> None:
        """One that comes soon after another waits for more; one that comes alone is written at once."""
        persister: Any = self.database
        self.pings = Pings(persister, self.clock)
        first = self.ping(1)
        self.database.finish()
        self.successResultOf(first)
        soon = [self.ping(number) for number in (2, 3)]
        self.assertEqual(self.database.writes, [])
        self.clock.advance(PACE)
        self.database.finish()
        for one in soon:
            self.successResultOf(one)
        self.clock.advance(PACE)
        alone = self.ping(4)
        self.database.finish()
        self.successResultOf(alone)
        self.assertEqual(self.database.sizes, [1, 2, 1])

    def test_pace_of_many(self) -> None:
        """So many that one write cannot take them are written without a pause."""
        persister: Any = self.database
        self.pings = Pings(persister, self.clock)
        pings = [self.ping(number) for number in range(MOST + 2)]
        self.database.finish()
        self.database.finish()
        self.assertEqual(self.database.sizes, [1, MOST])
        self.clock.advance(PACE)
        self.database.finish()
        for one in pings:
            self.successResultOf(one)

    def test_newest(self) -> None:
        """Of several pings of one host the last is written, and all are acknowledged."""
        pings = [self.ping(1, perf_factor=factor) for factor in (1.0, 2.0, 3.0)]
        self.database.finish()
        self.database.finish()
        for one in pings:
            self.successResultOf(one)
        self.assertEqual(self.database.stored, {host(1).key: host(1, perf_factor=3.0)})
        self.assertEqual(self.database.sizes, [1, 1])

    def test_overtaken(self) -> None:
        """Of several pings of one session the last one is that with the highest number, whenever it came."""
        waiting = self.ping(2)
        for sequence, factor in ((1, 1.0), (3, 3.0), (2, 2.0)):
            told = ping(host(1, perf_factor=factor), session="s", sequence=sequence)
            self.pings.record(told)
        self.database.finish()
        self.successResultOf(waiting)
        self.database.finish()
        self.assertEqual(self.database.stored[host(1).key].perf_factor, 3.0)

    def test_bounded(self) -> None:
        """So many that one write would be long are written by several."""
        pings = [self.ping(number) for number in range(2 * MOST + 2)]
        while self.database.writes:
            self.database.finish()
        for one in pings:
            self.successResultOf(one)
        self.assertEqual(self.database.sizes, [1, MOST, MOST, 1])
        self.assertEqual(len(self.database.stored), 2 * MOST + 2)

    def test_sessions(self) -> None:
        """Of two sessions of one host that ping at once each is stored, one after the other."""
        first = self.ping(2)
        pings = [self.session(1, session) for session in ("a", "b", "a")]
        self.database.finish()
        self.successResultOf(first)
        self.database.finish()
        self.assertEqual([one.called for one in pings], [True, False, True])
        self.database.finish()
        self.successResultOf(pings[1])
        self.assertEqual(self.database.sizes, [1, 1, 1])

    def test_refused(self) -> None:
        """A ping that is refused says why, in words for whoever runs the agent; the others are stored."""
        for refusal, word in (("session", "another agent"), ("engine", "forget the host")):
            self.database.refused = {host(1).key: refusal}
            first, *pings = [self.ping(0), self.ping(1), self.ping(2)]
            with capturedLogs() as events:
                self.database.finish()
                self.database.finish()
            self.successResultOf(first)
            self.assertIn(word, self.failureResultOf(pings[0], Conflict).value.description)
            self.successResultOf(pings[1])
            self.assertEqual([event["host"] for event in events], ["host1"])

    def test_refused_again(self) -> None:
        """The log is told once of an agent that goes on pinging."""
        self.database.refused = {host(1).key: "session"}
        with capturedLogs() as events:
            for _ in range(5):
                again = self.session(1, "a")
                self.database.finish()
                self.failureResultOf(again, Conflict)
        self.assertEqual(len(events), 1)

    def test_no_room(self) -> None:
        """S31: what is one host too many is told what the operator does; the log is told once."""
        for refusal, told in (("room", 1), ("many", 3)):
            with capturedLogs() as events:
                for number in (1, 2, 3, 1):
                    self.database.refused = {host(number).key: refusal}
                    refused = self.ping(number)
                    self.database.finish()
                    error = self.failureResultOf(refused, Forbidden).value
                    self.assertIn("dockerbroker hosts forget", error.description)
            self.assertEqual(len(events), told)

    def test_failure(self) -> None:
        """When a write fails nobody is acknowledged who waits; the next ping is written."""
        pings = [self.ping(number) for number in range(3)]
        self.database.finish(Unavailable("Down."))
        for one in pings:
            self.assertEqual(self.failureResultOf(one, Unavailable).value.args, ("Down.",))
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
                # Seldom enough for a change of settings each time.
                self.clock.advance(CHANGES_WITHIN)
                pings.append(self.ping(move, portbind_min=version).addCallback(self.check, move, version))
            elif self.database.writes:
                self.database.finish(None if move == -1 else Unavailable("Down."))
            self.assertLessEqual(len(self.database.writes), 1)
        while self.database.writes:
            self.database.finish()
        for one in pings:
            self.successResultOf(one.addErrback(lambda failure: failure.trap(Unavailable)))

    def check(self, _: None, number: int, version: int) -> None:
        """Check that this version of a host is stored, or a later one."""
        self.assertGreaterEqual(self.database.stored[host(number).key].portbind_min, version)
