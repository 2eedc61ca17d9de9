"""Finds out who asks: at once where that is known, and else by hashing passwords in threads."""

import math
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import ClassVar, Final, Protocol, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from dockerbroker.errors import TooManyRequests, Unauthenticated, Unavailable
from dockerbroker.model.attempts import MOST_IN_ALL, WrongAttempts, origin_of
from dockerbroker.model.credentials import Candidate, Candidates, Cost, Credential, Login, Salt
from dockerbroker.model.roles import Principal, Role

T = TypeVar("T")

#: For how many seconds a password is known after its last use without being hashed again.
KNOWN_FOR: Final = 60.0
#: Of so many passwords that were right it is remembered.
MOST_KNOWN: Final = 10_000
#: So many passwords wait for being hashed at most, and so many of one origin; and of those that were right
#: before.
MOST_WAITING: Final = 256
MOST_OF_ONE: Final = 128

_SOON: Final = 1


@frozen
class Realm:
    """Where somebody asks to be let in: by credentials of any of the `roles`, those of the first one first.

    Its `mark` is a text of its own.
    """

    roles: tuple[Role, ...]
    mark: bytes

    @classmethod
    def of(cls, *roles: Role) -> "Realm":
        """Return that of some roles."""
        return cls(roles, " ".join(role.value for role in roles).encode() + b"\0")


class InThread(Protocol):
    """Calls a function, usually in a thread, and returns a Deferred of what it returns or raises."""

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Call the function."""


@frozen(kw_only=True)
class Claim:
    """What a request says of who asks: its header as it stands, and the user and password in it.

    It asks to be let in to the `realm`, and comes from the address `peer`.
    """

    realm: Realm
    header: bytes = field(repr=False)
    user: bytes
    password: bytes = field(repr=False)
    peer: str


@define(eq=False)
class _Known:
    """That a password was right; when `until` has passed it is only more welcome than others."""

    principal: Principal
    credential: Credential
    until: float


@define(eq=False)
class _Attempt:
    claim: Claim
    tag: bytes
    origin: str
    user: str
    asking: list[Deferred[Principal]] = field(factory=list)


@define(eq=False)
class Authenticator:
    """Compares passwords with the credentials that it was told last.

    At most `at_once` passwords are hashed at once, in threads, however many come; the same one only once.
    Those that were right before go first, and are never made to wait for others' wrong ones. By the random
    `key`, which is this process's alone, they are known again. `cost` is what is done for a user who is not
    known.
    """

    _log: ClassVar[Logger] = Logger()

    clock: IReactorTime
    run: InThread
    key: bytes = field(repr=False)
    at_once: int = 1
    cost: Cost = field(factory=Cost)
    _candidates: list[Candidate] | None = field(default=None, init=False, repr=False)
    _by_realm: dict[bytes, Candidates] = field(factory=dict, init=False, repr=False)
    _valid: frozenset[Credential] = field(default=frozenset(), init=False, repr=False)
    _known: dict[bytes, _Known] = field(factory=dict, init=False, repr=False)
    _wrong: WrongAttempts = field(factory=WrongAttempts, init=False)
    _wrong_in_all: WrongAttempts = field(factory=lambda: WrongAttempts(MOST_IN_ALL), init=False)
    _under_way: dict[bytes, _Attempt] = field(factory=dict, init=False, repr=False)
    _welcome: deque[_Attempt] = field(factory=deque, init=False, repr=False)
    _waiting: deque[_Attempt] = field(factory=deque, init=False, repr=False)
    _of_one: Counter[str] = field(factory=Counter, init=False)
    _busy: int = field(default=0, init=False)

    def learn(self, credentials: Iterable[Credential]) -> None:
        """Let in by these credentials from now on, and by no others."""
        candidates = []
        for one in credentials:
            try:
                candidates.append(Candidate.of(one))
            except ValueError:
                self._log.error("the hash of the credential {id} cannot be read", id=one.id)
        self._candidates = candidates
        self._by_realm.clear()
        self._valid = frozenset(one.credential for one in candidates)
        self._known = {tag: one for tag, one in self._known.items() if one.credential in self._valid}

    def known(self, realm: Realm, header: bytes) -> Principal | None:
        """Return who sends that header, if it was right not long ago."""
        known = self._known.get(self._tag(realm, header))
        if known is None:
            return None
        now = self.clock.seconds()
        if now >= known.until:
            return None
        known.until = now + KNOWN_FOR
        return known.principal

    def welcome(self, login: Login, credential: Credential) -> None:
        """Take the password of that login for one that was right before."""
        pair = f"{login.user}:{login.password.reveal()}".encode()
        self._remember(self._tag(Realm.of(login.role), b"Basic " + b64encode(pair)), credential)

    def authenticate(self, claim: Claim) -> Deferred[Principal]:
        """Return a Deferred of who asks.

        It fails with `Unauthenticated` when the password is wrong, with `TooManyRequests` when too many of
        that address were wrong, and with `Unavailable` when credentials are not known yet or too many wait.
        """
        asking: Deferred[Principal] = Deferred()
        tag = self._tag(claim.realm, claim.header)
        if self._candidates is None:
            asking.errback(Unavailable("The broker's database does not answer yet; try again later."))
        elif tag in self._under_way:
            self._under_way[tag].asking.append(asking)
        else:
            attempt = self._attempt(claim, tag, asking)
            if (refusal := self._refusal(attempt)) is not None:
                asking.errback(refusal)
            else:
                self._queue(attempt)
        return asking

    def _attempt(self, claim: Claim, tag: bytes, asking: Deferred[Principal]) -> _Attempt:
        """Return an attempt; what stands for its user is made of any name alike, be it known or not."""
        origin = origin_of(claim.peer)
        return _Attempt(claim, tag, origin, f"{origin} {self._tag(claim.realm, claim.user).hex()}", [asking])

    def _refusal(self, attempt: _Attempt) -> TooManyRequests | Unavailable | None:
        if attempt.tag in self._known:
            return None
        if (refusal := self._throttled(attempt)) is not None:
            return refusal
        if len(self._waiting) >= MOST_WAITING or self._of_one[attempt.origin] >= MOST_OF_ONE:
            return Unavailable("Too many passwords wait for being compared; try again later.")
        return None

    def _throttled(self, attempt: _Attempt) -> TooManyRequests | None:
        now = self.clock.seconds()
        wait = max(self._wrong.wait(attempt.user, now), self._wrong_in_all.wait(attempt.origin, now))
        if not wait:
            return None
        return TooManyRequests(
            "Too many wrong passwords have come from this address; try again later.",
            retry_after=max(math.ceil(wait), _SOON),
        )

    def _queue(self, attempt: _Attempt) -> None:
        self._under_way[attempt.tag] = attempt
        if attempt.tag in self._known:
            self._welcome.append(attempt)
        else:
            self._waiting.append(attempt)
            self._of_one[attempt.origin] += 1
        self._go_on()

    def _go_on(self) -> None:
        """Let those that come first be hashed, as long as there is a thread for them."""
        while self._busy < self.at_once and (attempt := self._next()) is not None:
            self._busy += 1
            self._start(attempt)

    def _next(self) -> _Attempt | None:
        if self._welcome:
            return self._welcome.popleft()
        while self._waiting:
            attempt = self._waiting.popleft()
            self._of_one[attempt.origin] -= 1
            if not self._of_one[attempt.origin]:
                del self._of_one[attempt.origin]
            refusal = self._throttled(attempt)
            if refusal is None:
                return attempt
            self._answer(attempt, Failure(refusal))
        return None

    def _start(self, attempt: _Attempt) -> None:
        claim = attempt.claim
        candidates = self._candidates_of(claim.realm)

        def match() -> Credential | None:
            return candidates.match(claim.user, claim.password)

        def done(found: Credential | Failure | None) -> None:
            self._busy -= 1
            self._conclude(attempt, found)
            self._go_on()

        self.run(match).addBoth(done)

    def _candidates_of(self, realm: Realm) -> Candidates:
        """Return the credentials that let in, those of the first role first."""
        if realm.mark not in self._by_realm:
            everything = self._candidates or ()
            found = [one for role in realm.roles for one in everything if one.credential.role is role]
            self._by_realm[realm.mark] = Candidates.of(found, lambda: Salt.new(self.cost))
        return self._by_realm[realm.mark]

    def _conclude(self, attempt: _Attempt, found: Credential | Failure | None) -> None:
        if isinstance(found, Failure):
            self._answer(attempt, found)
        elif found is not None and found in self._valid:
            self._answer(attempt, self._remember(attempt.tag, found))
        else:
            if self._count(attempt):
                self._log.warn("Too many wrong passwords from {origin}", origin=attempt.origin)
            self._answer(attempt, Failure(Unauthenticated("The user name or the password is wrong.")))

    def _count(self, attempt: _Attempt) -> bool:
        """Count a wrong one; return whether more of its user, or of all, must wait from now on."""
        now = self.clock.seconds()
        of_user = self._wrong.count(attempt.user, now)
        return self._wrong_in_all.count(attempt.origin, now) or of_user

    def _remember(self, tag: bytes, credential: Credential) -> Principal:
        principal = Principal(role=credential.role, name=credential.user, host=credential.host)
        self._known.pop(tag, None)
        while len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        until = self.clock.seconds() + KNOWN_FOR
        self._known[tag] = _Known(principal, credential, until)
        return principal

    def _answer(self, attempt: _Attempt, answer: Principal | Failure) -> None:
        del self._under_way[attempt.tag]
        for one in attempt.asking:
            one.callback(answer)

    def _tag(self, realm: Realm, header: bytes) -> bytes:
        """Return what stands for a header where it may let somebody in, of which nobody else can know."""
        # Keyed BLAKE2 (RFC 7693) is a MAC, as HMAC is, and takes a third of the time.
        return blake2b(realm.mark + header, key=self.key, digest_size=32).digest()
