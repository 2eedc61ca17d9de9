"""Which versions of what runs containers are too old to hold them."""

import re
from typing import Final

from dockerbroker.model.vitals import Vitals

_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?!\d)", re.ASCII)
#: The first one of each line of runc without CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881.
_RUNC: Final = ((1, 2, 8), (1, 3, 3))


def outdated(vitals: Vitals | None) -> str:
    """Return a sentence when a container can become root on the host by known flaws; empty otherwise.

    What is not known counts as new. Distributions mend old versions without another number, so that this is
    for an operator to judge.
    """
    runc = None if vitals is None else vitals.runc_version
    version = None if runc is None else _parsed(runc)
    if version is None:
        return ""
    floor = next((one for one in _RUNC if one[:2] >= version[:2]), version)
    if version >= floor:
        return ""
    return (
        f"runc {runc} is older than {'.'.join(map(str, floor))}, so that a container may become root on the "
        "host (CVE-2025-31133); bring Docker up to date."
    )


def _parsed(text: str) -> tuple[int, int, int] | None:
    match = _VERSION.match(text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))
