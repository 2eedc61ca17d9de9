"""Which API a target belongs to, and how large the bodies are that it reads."""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from dockerbroker.model.certificates import LARGEST_BODY as LARGEST_CERTIFICATE
from dockerbroker.web.certificates import CERTIFICATE, CERTIFICATES
from dockerbroker.web.health import READY, UP

_VERSION: Final = b"v2"
_PING: Final = b"ping"


class Api(Enum):
    """An API: who it is for says what it may be sent."""

    PLATFORM = auto()
    AGENTS = auto()
    CERTIFICATES = auto()
    ADMINISTRATORS = auto()
    HEALTH = auto()


#: The largest body that each API reads, in bytes. Cloud Controller sends parameters of a few kilobytes, and
#: nobody has anything to tell the paths of health.
LARGEST_BODY: Final[Mapping[Api, int]] = MappingProxyType(
    {
        Api.PLATFORM: 1024 * 1024,
        Api.AGENTS: 64 * 1024,
        Api.CERTIFICATES: LARGEST_CERTIFICATE,
        Api.ADMINISTRATORS: 1024 * 1024,
        Api.HEALTH: 64 * 1024,
    }
)


def segments_of(target: bytes) -> list[bytes]:
    """Return the segments of a target's path, decoded."""
    path, _, _ = target.partition(b"?")
    return [unquote_to_bytes(segment) for segment in path[1:].split(b"/")]


def api_of(segments: Sequence[bytes]) -> Api:
    """Return the API of a path, which is that of administrators unless it is another one's."""
    first, *rest = segments
    if first == _VERSION:
        return Api.PLATFORM
    if first in {CERTIFICATE, CERTIFICATES}:
        return Api.CERTIFICATES
    if not rest and first in {UP, READY}:
        return Api.HEALTH
    return Api.AGENTS if not rest and first == _PING else Api.ADMINISTRATORS
