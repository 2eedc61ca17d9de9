"""The passwords that are valid: how they are hashed and told, and how those of a request are compared."""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import scrypt, sha256
from typing import Any, Final

from attrs import frozen

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.members import Members, shown
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from dockerbroker.wire import fold

#: No user name and no password has more bytes of UTF-8.
LONGEST_USER: Final = 255
LONGEST_PASSWORD: Final = 8192
#: A password that somebody chose has as many characters at least.
LEAST_PASSWORD: Final = 8

_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
_ID_BYTES: Final = 8
_PASSWORD_BYTES: Final = 32
_SCHEME: Final = "scrypt"


@frozen(kw_only=True)
class Cost:
    """What a hash costs: scrypt's parameters (RFC 7914). It takes 128 * `n` * `r` bytes of memory."""

    n: int = 2**14
    r: int = 8
    p: int = 5


@frozen(kw_only=True)
class Salt:
    """What a password is hashed with beside itself."""

    value: bytes
    cost: Cost

    @classmethod
    def new(cls, cost: Cost) -> "Salt":
        """Return one that no other password has."""
        return cls(value=secrets.token_bytes(_SALT_BYTES), cost=cost)

    def digest(self, password: bytes) -> bytes:
        """Return the hash of a password: slowly, so call it in a thread.

        It is of the password's SHA-256, so that the time tells nothing of its length either.
        """
        cost = self.cost
        return scrypt(
            _short(password),
            salt=self.value,
            n=cost.n,
            r=cost.r,
            p=cost.p,
            # What it needs, and some more.
            maxmem=128 * cost.r * (cost.n + cost.p + 2) + 1024 * 1024,
            dklen=_DIGEST_BYTES,
        )


@frozen(kw_only=True)
class PasswordHash:
    """The hash of a password, with all that it was made with."""

    salt: Salt
    digest: bytes

    @classmethod
    def of(cls, password: bytes, salt: Salt) -> "PasswordHash":
        """Hash a password: slowly, so call it in a thread."""
        return cls(salt=salt, digest=salt.digest(password))

    def encode(self) -> str:
        """Return the hash as text."""
        cost = self.salt.cost
        parts = (self.salt.value, self.digest)
        salt, digest = (b64encode(part).decode("ascii") for part in parts)
        return f"{_SCHEME}${cost.n}${cost.r}${cost.p}${salt}${digest}"

    @classmethod
    def decode(cls, text: str) -> "PasswordHash":
        """Return the hash of a text; raises `ValueError`."""
        scheme, n, r, p, salt, digest = text.split("$")
        if scheme != _SCHEME:
            raise ValueError("the hash is of an unknown scheme")
        value, own = (b64decode(part, validate=True) for part in (salt, digest))
        return cls(salt=Salt(value=value, cost=Cost(n=int(n), r=int(r), p=int(p))), digest=own)


@frozen(kw_only=True)
class Credential:
    """A user name and a password with which somebody gets in, in one role.

    The password is known by its hash alone (`PasswordHash.encode`). An agent that has it may speak for the
    `host` of that `ServiceHost` alone, for any when it is empty. `created_at` is in seconds since 1970.
    """

    id: str
    role: Role
    user: str
    created_at: float
    hash: Secret[str]
    host: str = ""

    @property
    def password_hash(self) -> PasswordHash:
        """The hash; raises `ValueError` when it cannot be read."""
        return PasswordHash.decode(self.hash.reveal())


@frozen(kw_only=True)
class Login:
    """A user name and a password that somebody has chosen, for one role."""

    role: Role
    user: str
    password: Secret[str]
    host: str = ""


def new_id() -> str:
    """Return an id that no other credential has."""
    return secrets.token_hex(_ID_BYTES)


def new_password() -> Secret[str]:
    """Return a password that nobody guesses."""
    return Secret(secrets.token_urlsafe(_PASSWORD_BYTES))


def check_login(login: Login) -> None:
    """Raise `InvalidRequest` with every complaint about a user name and a password."""
    complaints = []
    password = login.password.reveal()
    if not login.user or ":" in login.user or not login.user.isprintable():
        complaints.append(
            f"user: {shown(login.user)} must be printable, must not be empty and must hold no colon"
        )
    if _size(login.user) > LONGEST_USER:
        complaints.append(f"user: must have at most {LONGEST_USER} bytes")
    if len(password) < LEAST_PASSWORD or _size(password) > LONGEST_PASSWORD or not password.isprintable():
        complaints.append(
            f"password: must be printable, with {LEAST_PASSWORD} characters to {LONGEST_PASSWORD} bytes"
        )
    if login.host and login.role is not Role.AGENT:
        complaints.append("host: only agents speak for a host")
    if _size(login.host) > LONGEST_USER or not login.host.isprintable():
        complaints.append(f"host: must be printable, with at most {LONGEST_USER} bytes")
    if complaints:
        raise InvalidRequest(f"{'; '.join(complaints)}.")


def decode_login(document: Mapping[str, Any]) -> tuple[Login, bool]:
    """Decode what lets somebody in; its password is a new one where none is given, and then True is returned.

    Raises `InvalidRequest` with every complaint.
    """
    members = Members(document=fold(document))
    role = members.text("role", required=True)
    roles = [one for one in Role if one.value == role]
    if role and not roles:
        members.complain("role", f"must be one of {', '.join(one.value for one in Role)}")
    user = members.text("user", required=True)
    given = members.text("password") if members.has("password") else None
    host = members.text("servicehost")
    members.check()
    password = new_password() if given is None else Secret(given)
    login = Login(role=roles[0], user=user, password=password, host=host)
    check_login(login)
    return login, given is None


def encode_credential(credential: Credential) -> dict[str, Any]:
    """Encode what may be told of a credential: nothing of its password."""
    created = datetime.fromtimestamp(credential.created_at, UTC)
    document = {
        "ID": credential.id,
        "Role": credential.role.value,
        "User": credential.user,
        "CreatedAt": created.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    return {**document, "ServiceHost": credential.host} if credential.host else document


@frozen(kw_only=True)
class Candidate:
    """A credential as it is compared: only digests of one length."""

    credential: Credential
    user: bytes
    hash: PasswordHash

    @classmethod
    def of(cls, credential: Credential) -> "Candidate":
        """Return the credential ready for comparing; raises `ValueError` when its hash cannot be read."""
        return cls(
            credential=credential, user=_short(credential.user.encode()), hash=credential.password_hash
        )


def readable(credentials: Iterable[Credential]) -> Iterator[Candidate]:
    """Yield those credentials ready for comparing whose hashes can be read."""
    for one in credentials:
        with suppress(ValueError):
            yield Candidate.of(one)


@frozen(kw_only=True)
class Candidates:
    """The credentials of those who may be let in, all of which every password is compared with.

    `slots` are the places of their salts among those of their users (`salts`); every user has as many, one
    who is not known the `decoys`. So nobody can tell by the time who is known.
    """

    all: Sequence[Candidate]
    slots: Sequence[int]
    salts: Mapping[bytes, Sequence[Salt]]
    decoys: Sequence[Salt]

    @classmethod
    def of(cls, candidates: Sequence[Candidate], decoy: Callable[[], Salt]) -> "Candidates":
        """Return those candidates; a `decoy` is a salt that nobody has."""
        salts: dict[bytes, list[Salt]] = {}
        slots = []
        for one in candidates:
            own = salts.setdefault(one.user, [])
            if one.hash.salt not in own:
                own.append(one.hash.salt)
            slots.append(own.index(one.hash.salt))
        rounds = max(map(len, salts.values()), default=1)
        for own in salts.values():
            own.extend(decoy() for _ in range(rounds - len(own)))
        decoys = [decoy() for _ in range(rounds)]
        return cls(all=candidates, slots=slots, salts=salts, decoys=decoys)

    def match(self, user: bytes, password: bytes) -> Credential | None:
        """Return the first credential that these are: slowly, so call it in a thread.

        All credentials are compared, in constant time.
        """
        asked = _short(user)
        own = self.decoys
        for known, salts in self.salts.items():
            if hmac.compare_digest(known, asked):
                own = salts
        digests = [salt.digest(password) for salt in own]
        found = None
        for one, slot in zip(self.all, self.slots, strict=True):
            same_user = hmac.compare_digest(one.user, asked)
            same_password = hmac.compare_digest(one.hash.digest, digests[slot])
            if same_user & same_password and found is None:
                found = one.credential
        return found


def salt_for(credentials: Iterable[Credential], login: Login, cost: Cost) -> Salt:
    """Return the salt for another password of a user: that of the others, so that one hash is compared."""
    for one in readable(credentials):
        salt = one.hash.salt
        if (one.credential.role, one.credential.user) == (login.role, login.user) and salt.cost == cost:
            return salt
    return Salt.new(cost)


def recognized(credentials: Iterable[Credential], logins: Iterable[Login]) -> list[Credential | None]:
    """Return which credential each login is, None where it is none: slowly, so call it in a thread."""
    candidates = list(readable(credentials))
    digests: dict[tuple[Salt, str], bytes] = {}

    def is_same(one: Candidate, login: Login) -> bool:
        if one.credential.role is not login.role or one.credential.user != login.user:
            return False
        password = login.password.reveal()
        key = (one.hash.salt, password)
        if key not in digests:
            digests[key] = one.hash.salt.digest(password.encode())
        return hmac.compare_digest(digests[key], one.hash.digest)

    return [next((one.credential for one in candidates if is_same(one, login)), None) for login in logins]


def _short(text: bytes) -> bytes:
    return sha256(text).digest()


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
