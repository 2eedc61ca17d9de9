"""Credentials for tests, whose hashes cost next to nothing, and what knows them."""

from collections.abc import Iterable, Sequence
from typing import Final

from twisted.internet.defer import execute
from twisted.internet.interfaces import IReactorTime

from dockerbroker.broker.authentication import Authenticator
from dockerbroker.model.credentials import Cost, Credential, PasswordHash, Salt
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret

#: As little as there can be.
CHEAP: Final = Cost(n=2, r=1, p=1)
_SALT: Final = Salt(value=b"sixteen bytes of", cost=CHEAP)


def credential(role: Role, user: str, password: str, *, name: str = "", host: str = "") -> Credential:
    """Return a credential of that password; its id is the `name`, or that of its role."""
    hashed = PasswordHash.of(password.encode(), _SALT).encode()
    return Credential(
        id=name or role.value, role=role, user=user, created_at=0.0, hash=Secret(hashed), host=host
    )


def everywhere(user: str, password: str) -> Sequence[Credential]:
    """Return credentials that let somebody in in every role."""
    return [credential(role, user, password) for role in Role]


def authenticator(clock: IReactorTime, credentials: Iterable[Credential]) -> Authenticator:
    """Return what knows the credentials, and hashes at once, in no thread."""
    made = Authenticator(clock, execute, b"key", cost=CHEAP)
    made.learn(credentials)
    return made
