"""Whether a program can listen where it is told to."""

import errno
import os
import socket
import stat
from contextlib import closing
from typing import Final

from twisted.python.systemd import ListenFDs

from dockerbroker.config.endpoints import Endpoint, SystemdEndpoint, TcpEndpoint, UnixEndpoint
from dockerbroker.errors import InvalidConfiguration

_REASONS = {
    errno.EADDRINUSE: "is in use by another program",
    errno.EADDRNOTAVAIL: "is no address of this machine",
    errno.EACCES: "may not be used by this user (ports below 1024 are the administrator's)",
}
_ADVICE: Final = "change listen, or listenIP and port"
_FAMILIES: Final = {"INET": socket.AF_INET, "INET6": socket.AF_INET6, "UNIX": socket.AF_UNIX}


def check_endpoint(endpoint: Endpoint) -> None:
    """Raise `InvalidConfiguration` when a program of this user cannot listen there."""
    if isinstance(endpoint, SystemdEndpoint):
        descriptor_of(endpoint, handed_over())
    elif isinstance(endpoint, UnixEndpoint):
        _check_socket(endpoint)
    else:
        _check_address(endpoint)


def _check_address(endpoint: TcpEndpoint) -> None:
    """Listen at the address for a moment."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as listening:
        # As Twisted does, so that connections of the last run that are not forgotten yet do not matter.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((endpoint.host, endpoint.port))
            listening.listen(1)
        except (OSError, UnicodeError) as error:
            raise InvalidConfiguration(unusable_address(endpoint, error)) from None


def _check_socket(endpoint: UnixEndpoint) -> None:
    is_left_over(endpoint)
    if not os.access(endpoint.path.parent, os.W_OK | os.X_OK):
        raise InvalidConfiguration(f"listen: no socket can be made in {endpoint.path.parent}.")


def is_left_over(endpoint: UnixEndpoint) -> bool:
    """Whether the socket is there although nobody listens at it, as after a program was killed.

    Raises `InvalidConfiguration` when somebody does, or when it is no socket.
    """
    try:
        mode = endpoint.path.lstat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InvalidConfiguration(unusable_socket(endpoint, error)) from None
    if not stat.S_ISSOCK(mode):
        raise InvalidConfiguration(f"listen: {endpoint.path} is there, and is no socket.")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        client.setblocking(False)
        if client.connect_ex(os.fspath(endpoint.path)) == errno.ECONNREFUSED:
            return True
    raise InvalidConfiguration(f"listen: {endpoint.path} is in use by another program.")


def handed_over() -> ListenFDs:
    """Return the sockets that systemd has handed over to this process."""
    # From a copy, since what is asked for is removed.
    return ListenFDs.fromEnvironment(dict(os.environ))


def descriptor_of(endpoint: SystemdEndpoint, given: ListenFDs) -> int:
    """Return the descriptor of one of the sockets that systemd has handed over.

    Raises `InvalidConfiguration` when there is none, or when it is of another domain.
    """
    descriptors, named = given.inheritedDescriptors(), given.inheritedNamedDescriptors()
    found = named.get(endpoint.label) if endpoint.label else dict(enumerate(descriptors)).get(endpoint.index)
    if found is None:
        raise InvalidConfiguration(
            f"listen: systemd has handed over no socket for {endpoint.name}; it does so when a unit with a "
            "socket starts the program with --nodaemon."
        )
    with closing(socket.socket(fileno=os.dup(found))) as handed:
        if handed.family != _FAMILIES[endpoint.domain]:
            raise InvalidConfiguration(f"listen: the socket for {endpoint.name} is of another domain.")
    return found


def unusable_address(endpoint: TcpEndpoint, error: Exception) -> str:
    """Return in one sentence why the program cannot listen there."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and number in _REASONS:
        return f"The address {endpoint.name} {_REASONS[number]}; {_ADVICE}."
    return f"The broker cannot listen at {endpoint.name}: {error}; {_ADVICE}."


def unusable_socket(endpoint: UnixEndpoint, error: object) -> str:
    """Return in one sentence why the program cannot listen at that socket."""
    return f"The broker cannot listen at {endpoint.name}: {error}; change listen."
