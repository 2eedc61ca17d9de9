"""Ports for programs, which no other process gets before they are listened on, or while they are not."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from typing import Final

#: The kernel gives none of these to a connection or to who wants any port (net.ipv4.ip_local_port_range), and
#: the broker leases none of them by itself (dockerbroker.model.hosts.DEFAULT_PORTS).
_ALL: Final = range(10000, 20000)
#: So many are taken at once.
_PART: Final = 50

_guards: list[socket.socket] = []
_lock: Final = threading.Lock()


def _own_ports() -> Iterator[int]:
    """Yield ports of parts of which the first one is listened on as long as this process lives."""
    firsts = list(_ALL[::_PART])
    random.SystemRandom().shuffle(firsts)
    for first in firsts:
        try:
            _guards.append(socket.create_server(("127.0.0.1", first)))
        except OSError:
            continue
        yield from range(first + 1, first + _PART)


_ports: Final = _own_ports()


def free_ports(count: int) -> range:
    """Return neighbouring ports of this machine on which nobody listens, on any interface, each only once."""
    with _lock:
        found = range(0)
        for port in _ports:
            if not _is_free(port):
                continue
            found = range(found.start if port == found.stop else port, port + 1)
            if len(found) == count:
                return found
    raise AssertionError("no port is left")


def free_port() -> int:
    """Return such a port."""
    return free_ports(1).start


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("", port)).close()
    except OSError:
        return False
    return True
