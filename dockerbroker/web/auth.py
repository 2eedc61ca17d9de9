"""Basic credentials and the version of the API, checked before anything else of a request is looked at."""

import re
from base64 import b64decode
from collections.abc import Sequence

from attrs import field, frozen

from dockerbroker.errors import InvalidRequest, Unauthenticated, UnsupportedVersion
from dockerbroker.model.credentials import LONGEST_PASSWORD, LONGEST_USER

#: The challenge of a 401 (RFC 7617).
CHALLENGE = b'Basic realm="dockerbroker", charset="UTF-8"'
#: The major version of the Open Service Broker API that this broker speaks, in every minor version.
MAJOR_VERSION = 2

_BASIC = re.compile(rb"basic +([A-Za-z0-9+/]+={0,2})\Z", re.IGNORECASE)
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\Z", re.ASCII)
_LONGEST_HEADER = 16 * 1024


@frozen(kw_only=True)
class Basic:
    """The user name and the password of a request, and the header that they stand in."""

    header: bytes = field(repr=False)
    user: bytes
    password: bytes = field(repr=False)

    @classmethod
    def of(cls, headers: Sequence[bytes]) -> "Basic":
        """Decode the one Authorization header; raises `Unauthenticated`, and `InvalidRequest` for several."""
        if len(headers) > 1:
            raise InvalidRequest("The header Authorization must be given once.")
        header = one_header(headers)
        match = None if header is None else _BASIC.match(header.strip())
        if header is None or match is None:
            raise Unauthenticated("The request must carry basic credentials.")
        try:
            pair = b64decode(match.group(1), validate=True)
            is_printable = pair.decode("utf-8").isprintable()
        except ValueError:
            raise Unauthenticated("The credentials are not valid UTF-8 in base64.") from None
        user, _, password = pair.partition(b":")
        if not (user and password and is_printable):
            raise Unauthenticated("The credentials must be a user name and a password with a colon between.")
        if len(user) > LONGEST_USER or len(password) > LONGEST_PASSWORD:
            raise Unauthenticated("The user name or the password is wrong.")
        return cls(header=header, user=user, password=password)


def one_header(headers: Sequence[bytes]) -> bytes | None:
    """Return the Authorization header if it is one and not too long."""
    return headers[0] if len(headers) == 1 and len(headers[0]) <= _LONGEST_HEADER else None


def check_version(headers: Sequence[bytes]) -> None:
    """Return if X-Broker-API-Version names a version that is spoken; raises `UnsupportedVersion`."""
    text = headers[0].decode("ascii", "replace").strip() if len(headers) == 1 else ""
    match = _VERSION.match(text)
    if match is None or int(match.group(1)) != MAJOR_VERSION:
        raise UnsupportedVersion(
            f"The header X-Broker-API-Version must name a version {MAJOR_VERSION}.x of the "
            "Open Service Broker API, such as 2.17."
        )
