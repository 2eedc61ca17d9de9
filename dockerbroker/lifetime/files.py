"""How many files a program may have open: each connection is one."""

import resource
from typing import Final

from twisted.logger import Logger

#: What a program opens besides: its database, its log, the Docker hosts.
OTHERS: Final = 512

_log = Logger()


def room_for(connections: int) -> int:
    """Let the program open as many files as so many connections need; return how many there can be.

    Most systems allow a program few files until it asks for more, up to a limit that is set from outside.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OTHERS
    allowed = needed if most == resource.RLIM_INFINITY else min(needed, most)
    if allowed > now != resource.RLIM_INFINITY:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
        except (OSError, ValueError):
            # A system may keep what it says; then it is as many as there are.
            allowed = now
    fitting = fitting_connections(connections, allowed)
    if fitting < connections:
        _log.warn(
            "The system lets this program open {allowed} files, which are enough for {fitting} connections "
            "instead of {connections}",
            allowed=allowed,
            fitting=fitting,
            connections=connections,
        )
    return fitting


def fitting_connections(connections: int, files: int) -> int:
    """Return how many connections of those wanted there may be with so many files; a half is the least."""
    return min(connections, max(files - OTHERS, files // 2))
