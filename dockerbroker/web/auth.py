"""Basic credentials and the version of the API, checked before anything else of a request is looked at."""

import binascii
import hmac
import re
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256

from attrs import field, frozen

from dockerbroker.errors import Unauthenticated, UnsupportedVersion
from dockerbroker.model.secrets import Secret

#: The challenge of a 401 (RFC 7617).
CHALLENGE = b'Basic realm="dockerbroker", charset="UTF-8"'
#: The major version of the Open Service Broker API that this broker speaks, in every minor version.
MAJOR_VERSION = 2

_BASIC = re.compile(rb"basic +([A-Za-z0-9+/]+={0,2})\Z", re.IGNORECASE)
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\Z", re.ASCII)
_LONGEST_HEADER = 16 * 1024


@frozen(kw_only=True)
class Credentials:
    """A user name and a password that are accepted."""

    user: str
    password: Secret[str]
    _expected: Secret[tuple[bytes, bytes]] = field(init=False, repr=False)

    @_expected.default
    def _digests(self) -> Secret[tuple[bytes, bytes]]:
        password = self.password.reveal().encode("utf-8")
        return Secret((_digest(self.user.encode("utf-8")), _digest(password)))

    def authenticate(self, headers: Sequence[bytes]) -> None:
        """Return if the one Authorization header carries these credentials; raises `Unauthenticated`.

        What is compared are digests of one length, in constant time, both always.
        """
        user, password = _basic(headers)
        expected_user, expected_password = self._expected.reveal()
        same_user = hmac.compare_digest(_digest(user), expected_user)
        same_password = hmac.compare_digest(_digest(password), expected_password)
        if not (same_user and same_password):
            raise Unauthenticated("The user name or the password is wrong.")


def _basic(headers: Sequence[bytes]) -> tuple[bytes, bytes]:
    if len(headers) != 1 or len(headers[0]) > _LONGEST_HEADER:
        raise Unauthenticated("The request must carry basic credentials.")
    match = _BASIC.match(headers[0].strip())
    if match is None:
        raise Unauthenticated("The request must carry basic credentials.")
    try:
        user, colon, password = b64decode(match.group(1), validate=True).partition(b":")
    except binascii.Error:
        raise Unauthenticated("The credentials are not valid base64.") from None
    if not colon:
        raise Unauthenticated("The credentials must be a user name and a password with a colon between.")
    return user, password


def _digest(text: bytes) -> bytes:
    return sha256(text).digest()


def check_version(headers: Sequence[bytes]) -> None:
    """Return if X-Broker-API-Version names a version that is spoken; raises `UnsupportedVersion`."""
    text = headers[0].decode("ascii", "replace").strip() if len(headers) == 1 else ""
    match = _VERSION.match(text)
    if match is None or int(match.group(1)) != MAJOR_VERSION:
        raise UnsupportedVersion(
            f"The header X-Broker-API-Version must name a version {MAJOR_VERSION}.x of the "
            "Open Service Broker API, such as 2.17."
        )
