"""Who caused a request, as its platform tells (OSB section Originating Identity); for the log alone."""

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence

from attrs import frozen

from dockerbroker import wire
from dockerbroker.errors import InvalidRequest

ORIGINATING_IDENTITY = b"x-broker-api-originating-identity"
REQUEST_IDENTITY = b"x-broker-api-request-identity"
#: How many characters of what a platform sent are shown in a line of the log.
LONGEST_SHOWN = 256

_LONGEST_HEADER = 16 * 1024
_FORM = re.compile(rb"([!-~]{1,64}) +([A-Za-z0-9+/]+={0,2})\Z")
#: The members that name a user: Cloud Foundry's, and those of Kubernetes.
_USER_MEMBERS = ("user_id", "uid", "username")


@frozen
class OriginatingIdentity:
    """The platform, and its id of the user, or None when it names none."""

    platform: str
    user: str | None

    @property
    def shown(self) -> str:
        """Platform and user, bounded and printable."""
        return printable(" ".join(filter(None, (self.platform, self.user))))


def originating_identity(headers: Sequence[bytes]) -> OriginatingIdentity | None:
    """Decode the header X-Broker-API-Originating-Identity: a platform, a space, a JSON object in base64.

    Returns None when there is none: requests that no user caused have none. Raises `InvalidRequest` for any
    other form. Nothing is granted by it, so that it need not be true.
    """
    if not headers:
        return None
    match = _FORM.match(headers[0]) if len(headers) == 1 and len(headers[0]) <= _LONGEST_HEADER else None
    if match is None:
        raise _malformed()
    try:
        document = wire.decode_object(b64decode(match.group(2), validate=True))
    except (binascii.Error, InvalidRequest):
        raise _malformed() from None
    users = (document.get(member) for member in _USER_MEMBERS)
    user = next((user for user in users if isinstance(user, str) and user), None)
    return OriginatingIdentity(match.group(1).decode("ascii"), user)


def _malformed() -> InvalidRequest:
    return InvalidRequest(
        "The header X-Broker-API-Originating-Identity must hold the name of a platform, a space, and a JSON "
        "object in base64."
    )


def printable(text: str) -> str:
    """Return the text bounded, and with a question mark for what could break or disguise a line."""
    return "".join(character if character.isprintable() else "?" for character in text[:LONGEST_SHOWN])
