"""Whether a program can listen where it is told to."""

import errno
import socket
from contextlib import closing

from dockerbroker.errors import InvalidConfiguration

_REASONS = {
    errno.EADDRINUSE: "is in use by another program",
    errno.EADDRNOTAVAIL: "is no address of this machine",
    errno.EACCES: "may not be used by this user (ports below 1024 are the administrator's)",
}


def check_address(host: str, port: int) -> None:
    """Listen at the address for a moment; raises `InvalidConfiguration` when that is not possible.

    `host` is an address of this machine or a name of it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as listening:
        # As Twisted does, so that connections of the last run that are not forgotten yet do not matter.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(1)
        except (OSError, UnicodeError) as error:
            raise InvalidConfiguration(unusable_address(host, port, error)) from None


def unusable_address(host: str, port: int, error: Exception) -> str:
    """Return in one sentence why the program cannot listen there."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and number in _REASONS:
        return f"The address {host}:{port} {_REASONS[number]}; change listenIP or port."
    return f"The broker cannot listen at {host}:{port}: {error}; change listenIP or port."
