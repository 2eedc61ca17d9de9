"""Who is let in by which password, how fast that is known, and what wrong ones do (S25, S26, S27, S35)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.authentication import (
    KNOWN_FOR,
    MOST_OF_ONE,
    MOST_WAITING,
    Authenticator,
    Claim,
    Realm,
)
from dockerbroker.errors import TooManyRequests, Unauthenticated, Unavailable
from dockerbroker.model.attempts import MOST, MOST_IN_ALL, WITHIN
from dockerbroker.model.credentials import Credential, Login
from dockerbroker.model.roles import Principal, Role
from dockerbroker.model.secrets import Secret
from tests.credentials import CHEAP, credential

PLATFORM = Realm.of(Role.PLATFORM)
CF = Principal(role=Role.PLATFORM, name="cf")


def claim(password: str = "one", user: str = "cf", peer: str = "192.0.2.1", **changes: Any) -> Claim:
    """Return what a request says of who asks."""
    pair = f"{user}:{password}".encode()
    header = b"Basic " + b64encode(pair)
    plain = Claim(realm=PLATFORM, header=header, user=user.encode(), password=password.encode(), peer=peer)
    return evolve(plain, **changes)


class Threads:
    """Threads that do what they are given when they are told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.hashed = 0

    def __call__(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Take work."""
        done: Deferred[Any] = Deferred()
        self.waiting.append((function, done))
        return done

    def work(self, count: int = 10_000) -> None:
        """Do so much of it."""
        while self.waiting and count:
            function, done = self.waiting.pop(0)
            self.hashed += 1
            count -= 1
            maybeDeferred(function).chainDeferred(done)


class AuthenticationCase(SynchronousTestCase):
    """An authenticator with threads."""

    def setUp(self) -> None:
        """Know two passwords of a platform, and one of an agent."""
        self.clock = Clock()
        self.threads = Threads()
        self.authenticator = Authenticator(self.clock, self.threads, b"key", cost=CHEAP)
        self.one = credential(Role.PLATFORM, "cf", "one")
        self.two = credential(Role.PLATFORM, "cf", "two", name="two")
        self.agent = credential(Role.AGENT, "agent", "one", host="h")
        self.learn(self.one, self.two, self.agent)

    def learn(self, *credentials: Credential) -> None:
        """Let in by these."""
        self.authenticator.learn(credentials)

    def ask(self, one: Claim) -> Deferred[Principal]:
        """Ask, and do not let the threads work yet."""
        return self.authenticator.authenticate(one)

    def let_in(self, one: Claim) -> Principal:
        """Ask, and be let in."""
        asked = self.ask(one)
        self.threads.work()
        return self.successResultOf(asked)

    def refused(self, kind: type[Exception], one: Claim) -> Any:
        """Ask, and be refused."""
        asked = self.ask(one)
        self.threads.work()
        return self.failureResultOf(asked, kind).value

    def known(self, one: Claim) -> Principal | None:
        """Return who that is, if nothing must be hashed for it."""
        return self.authenticator.known(one.realm, one.header)


class KnownTests(AuthenticationCase):
    """What is remembered."""

    def test_off_the_reactor(self) -> None:
        """S26: nothing is hashed but in a thread; after that nothing is, for a minute from the last use."""
        asked = self.ask(claim())
        self.assertNoResult(asked)
        self.threads.work()
        self.assertEqual(self.successResultOf(asked), CF)
        for _ in range(3):
            self.clock.advance(KNOWN_FOR - 1)
            self.assertEqual(self.known(claim()), CF)
        self.assertEqual(self.threads.hashed, 1)
        self.clock.advance(KNOWN_FOR)
        self.assertIsNone(self.known(claim()))
        self.assertEqual(self.let_in(claim()), CF)
        self.assertEqual(self.threads.hashed, 2)

    def test_nothing_readable(self) -> None:
        """What is remembered holds neither a password nor a plain hash of one."""
        self.let_in(claim("two"))
        held = repr(vars(type(self.authenticator))) + repr(list(self.authenticator._known.items()))
        self.assertNotIn("two:", held)
        self.assertNotIn(b64encode(b"cf:two").decode(), held)

    def test_other_key(self) -> None:
        """What one process remembers is of no use to another one."""
        other = Authenticator(self.clock, self.threads, b"another", cost=CHEAP)
        self.assertNotEqual(self.authenticator._tag(PLATFORM, b"x"), other._tag(PLATFORM, b"x"))

    def test_roles(self) -> None:
        """What is known of one role is not known of another, nor are wrong passwords or other headers."""
        self.let_in(claim())
        for unknown in (claim(realm=Realm.of(Role.AGENT)), claim("on"), claim("one "), claim(header=b"")):
            self.assertIsNone(self.known(unknown))
        self.refused(Unauthenticated, claim(realm=Realm.of(Role.ADMINISTRATOR)))

    def test_first_role(self) -> None:
        """Where several roles may ask, who is found is the first one, with the host that it speaks for."""
        both = claim("one", "agent", realm=Realm.of(Role.AGENT, Role.ADMINISTRATOR))
        self.assertEqual(self.let_in(both), Principal(role=Role.AGENT, name="agent", host="h"))

    def test_two_passwords(self) -> None:
        """S27: two passwords of one user are valid at once; one that is removed is refused from then on."""
        self.assertEqual((self.let_in(claim("one")), self.let_in(claim("two"))), (CF, CF))
        self.learn(self.two)
        self.assertIsNone(self.known(claim("one")))
        self.refused(Unauthenticated, claim("one"))
        self.assertEqual(self.known(claim("two")), CF)
        self.learn()
        self.assertIsNone(self.known(claim("two")))

    def test_removed_meanwhile(self) -> None:
        """A password that is removed while it is being hashed does not let anybody in."""
        asked = self.ask(claim("one"))
        self.learn(self.two)
        self.threads.work()
        self.failureResultOf(asked, Unauthenticated)
        self.assertIsNone(self.known(claim("one")))

    def test_not_yet(self) -> None:
        """As long as no credentials are known nobody can be refused or let in."""
        empty = Authenticator(self.clock, self.threads, b"key", cost=CHEAP)
        self.failureResultOf(empty.authenticate(claim()), Unavailable)

    def test_unreadable_hash(self) -> None:
        """A credential whose hash cannot be read lets nobody in, and keeps nobody out."""
        self.learn(evolve(self.one, hash=Secret("none")), self.two)
        self.refused(Unauthenticated, claim("one"))
        self.assertEqual(self.let_in(claim("two")), CF)
        self.flushLoggedErrors()

    def test_welcome(self) -> None:
        """A login that is known to be right needs no hash."""
        self.authenticator.welcome(Login(role=Role.PLATFORM, user="cf", password=Secret("one")), self.one)
        self.assertEqual(self.known(claim()), CF)

    def test_failing_thread(self) -> None:
        """What fails in a thread is nobody's password, and no hash is lost for it."""
        asked = self.ask(claim())
        _, done = self.threads.waiting.pop()
        done.errback(MemoryError())
        self.failureResultOf(asked, MemoryError)
        self.assertEqual(self.let_in(claim()), CF)


class WrongTests(AuthenticationCase):
    """Wrong passwords."""

    def exhaust(self, peer: str = "192.0.2.1") -> None:
        """Try as many wrong ones as may be tried."""
        for number in range(MOST):
            self.refused(Unauthenticated, claim(f"wrong {number}", peer=peer))

    def test_slowed(self) -> None:
        """S25: of a hundred wrong ones in ten seconds ten are compared; the others are told to wait."""
        self.exhaust()
        for number in range(90):
            self.clock.advance(0.1)
            error = self.refused(TooManyRequests, claim(f"more {number}"))
            self.assertLessEqual(error.retry_after, WITHIN)
            self.assertGreater(error.retry_after, 0)
        self.assertEqual(self.threads.hashed, MOST)
        self.clock.advance(1.1)
        self.refused(Unauthenticated, claim("later"))

    def test_others(self) -> None:
        """S25: a good one of another address is let in at once."""
        self.exhaust()
        self.assertEqual(self.let_in(claim(peer="192.0.2.2")), CF)

    def test_same_address(self) -> None:
        """One that was right before is let in also from an address that many wrong ones come from."""
        self.let_in(claim())
        self.exhaust()
        self.assertEqual(self.known(claim()), CF)
        self.clock.advance(KNOWN_FOR)
        self.exhaust()
        self.assertIsNone(self.known(claim()))
        self.assertEqual(self.let_in(claim()), CF)

    def test_same_address_new(self) -> None:
        """Who guesses as one user does not keep others out that are new here, at the same address."""
        self.exhaust()
        self.refused(TooManyRequests, claim("one"))
        agent = claim("one", "agent", realm=Realm.of(Role.AGENT))
        self.assertEqual(self.let_in(agent), Principal(role=Role.AGENT, name="agent", host="h"))

    def test_nobody_known(self) -> None:
        """Who guesses is not told by waiting which users there are: every name has as many attempts."""
        answers = []
        for user in ("cf", "nobody"):
            self.setUp()
            self.refused(Unauthenticated, claim("x", "somebody"))
            asked = [self.ask(claim(str(number), user)) for number in range(MOST + 5)]
            self.threads.work()
            kinds = [self.failureResultOf(one, Unauthenticated, TooManyRequests).type for one in asked]
            answers.append((kinds, self.threads.hashed))
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[0][0].count(TooManyRequests), 5)

    def test_any_users(self) -> None:
        """S25: who guesses as ever other users has so many attempts from one address, and no more hashes."""
        for number in range(MOST_IN_ALL):
            self.refused(Unauthenticated, claim("x", f"user {number}"))
        self.refused(TooManyRequests, claim("x", "cf"))
        self.assertEqual(self.threads.hashed, MOST_IN_ALL)
        self.assertEqual(self.let_in(claim(peer="192.0.2.2")), CF)

    def test_networks(self) -> None:
        """Whoever has a network of IPv6 has one address."""
        for number in range(MOST):
            self.refused(Unauthenticated, claim(f"wrong {number}", peer=f"2001:db8::{number:x}"))
        self.refused(TooManyRequests, claim("next", peer="2001:db8::ffff:1"))
        self.assertEqual(self.let_in(claim(peer="2001:db8:0:1::1")), CF)

    def test_waiting_are_slowed(self) -> None:
        """Wrong ones that came before it was known are not compared, either."""
        asked = [self.ask(claim(f"wrong {number}")) for number in range(MOST_OF_ONE)]
        self.threads.work()
        kinds = [self.failureResultOf(one).type for one in asked]
        self.assertEqual(kinds, [Unauthenticated] * MOST + [TooManyRequests] * (MOST_OF_ONE - MOST))

    def test_told_once(self) -> None:
        """The log has one line of an address from which too many come."""
        with capturedLogs() as events:
            self.exhaust()
            for number in range(20):
                self.refused(TooManyRequests, claim(f"more {number}"))
        self.assertEqual(len(events), 1)


class BoundsTests(AuthenticationCase):
    """However many come, what is done for them is bounded."""

    def test_at_once(self) -> None:
        """No more are hashed at once than there are threads."""
        wide = Authenticator(self.clock, self.threads, b"key", at_once=3, cost=CHEAP)
        wide.learn([self.one])
        asked = [wide.authenticate(claim(str(number), peer=str(number))) for number in range(20)]
        self.assertEqual(len(self.threads.waiting), 3)
        self.threads.work(1)
        self.assertEqual(len(self.threads.waiting), 3)
        self.threads.work()
        for one in asked:
            self.failureResultOf(one, Unauthenticated)

    def test_hundred_at_once(self) -> None:
        """S35: a hundred requests with one new password wait for one hash, and all are let in."""
        asked = [self.ask(claim()) for _ in range(100)]
        self.threads.work()
        self.assertEqual([self.successResultOf(one) for one in asked], [CF] * 100)
        self.assertEqual(self.threads.hashed, 1)

    def test_queue(self) -> None:
        """A flood from everywhere is refused when too many wait; who was right before goes first."""
        self.let_in(claim())
        self.clock.advance(KNOWN_FOR)
        peers = [f"198.51.{number // 250}.{number % 250}" for number in range(MOST_WAITING + 9)]
        flood = [self.ask(claim("x", peer, peer)) for peer in peers]
        full = [one for one in flood if one.called]
        self.assertEqual(len(full), 8)
        for one in full:
            self.failureResultOf(one, Unavailable)
        good = self.ask(claim())
        self.threads.work(2)
        self.assertEqual(self.successResultOf(good), CF)
        self.threads.work()
        for one in flood:
            if one not in full:
                self.failureResultOf(one, Unauthenticated)
        self.assertFalse(self.authenticator._under_way)
        self.assertFalse(self.authenticator._of_one)

    def test_one_address(self) -> None:
        """One address cannot fill the queue."""
        flood = [self.ask(claim(str(number))) for number in range(MOST_WAITING)]
        good = self.ask(claim(peer="192.0.2.2"))
        self.assertEqual(sum(one.called for one in flood), MOST_WAITING - MOST_OF_ONE - 1)
        for one in flood:
            one.addErrback(lambda failure: failure.trap(Unauthenticated, TooManyRequests, Unavailable))
        self.threads.work()
        self.assertEqual(self.successResultOf(good), CF)
