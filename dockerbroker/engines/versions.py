"""Which version of Docker's API is spoken with an engine."""

import re
from typing import Final

from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import InvalidVersion

#: The oldest version that has all that the broker needs: that of Docker Engine 20.10.
OLDEST: Final = "1.41"
#: The newest version that docker-py was made for; engines speak older ones as well.
NEWEST: Final = DEFAULT_DOCKER_API_VERSION

_VERSION: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,4})\Z", re.ASCII)


def chosen(newest: str, oldest: str | None) -> str:
    """Return the version to be spoken with an engine that speaks those from `oldest` to `newest`.

    An engine that speaks none as old as `NEWEST` gets its oldest. Raises `InvalidVersion` when it speaks none
    that is new enough, and `ValueError` when what it says is no version.
    """
    if _parsed(newest) < _parsed(OLDEST):
        raise InvalidVersion(
            f"it speaks version {newest} of Docker's API at most, and the broker needs {OLDEST} (Docker "
            "Engine 20.10) or a later one"
        )
    return max(min(newest, NEWEST, key=_parsed), oldest or OLDEST, key=_parsed)


def _parsed(version: str) -> tuple[int, int]:
    match = _VERSION.match(version)
    if match is None:
        raise ValueError("no version of Docker's API")
    return int(match.group(1)), int(match.group(2))
