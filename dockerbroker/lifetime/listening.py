"""Listening for connections, of which none that was made is lost when it ends."""

import ctypes
import os
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path
from socket import AF_INET, AF_INET6, SOL_SOCKET, socket
from typing import Any, Final

from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure
from twisted.python.systemd import ListenFDs

from dockerbroker.config.endpoints import Endpoint, SystemdEndpoint, TcpEndpoint, UnixEndpoint
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime.addresses import (
    descriptor_of,
    handed_over,
    is_left_over,
    unusable_address,
    unusable_socket,
)

#: How many connections are taken before others are served again.
MOST_AT_ONCE: Final = 32
#: How often the queue is emptied at most when listening ends.
_MOST_LOOKS: Final = 100
#: Linux's option that gives a socket a filter for its packets, which Python does not name, and the one
#: instruction of a filter: return 0, which drops the packet (socket(7), linux/filter.h).
_SO_ATTACH_FILTER: Final = 26
_DROP: Final = struct.pack("HBBI", 0x06, 0, 0, 0)


class _Fair(tcp.Port):
    """Takes few connections at once; Twisted takes more each time while more are waiting."""

    def doRead(self) -> None:
        """Take some of the connections that wait."""
        self.numberAccepts = MOST_AT_ONCE
        super().doRead()


class Listener(_Fair):
    """A port that takes the connections of the machine's queue before it closes, which would reset them."""

    def connectionLost(self, reason: Failure) -> None:
        """Take what is in the queue, and close."""
        let_nobody_in(self.socket)
        take_queue(self)
        # At once: where nothing keeps them out, those who come in between are reset.
        self.socket.close()
        super().connectionLost(reason)


class UnixListener(_Fair, unix.Port):
    """The same for a socket in the file system."""

    def connectionLost(self, reason: Failure) -> None:
        """Remove the socket, so that nobody comes any more, take what is in its queue, and close."""
        _path_of(self).unlink(missing_ok=True)
        take_queue(self)
        self.socket.close()
        tcp.Port.connectionLost(self, reason)


class AdoptedUnixListener(unix.Port):
    """A socket in the file system that is another's, who goes on listening at it."""

    def connectionLost(self, reason: Failure) -> None:
        """Close this program's part of it, and leave what is in its queue to the next program."""
        # Twisted would shut it down for everybody, and remove it.
        self.socket.close()
        tcp.Port.connectionLost(self, reason)


def _path_of(listening: unix.Port) -> Path:
    # Twisted tells it only while it listens.
    return Path(os.fsdecode(listening._bindPath))  # noqa: SLF001


def take_queue(listening: tcp.Port) -> None:
    """Take the connections that wait in the machine's queue."""
    for _ in range(_MOST_LOOKS):
        taken = listening.sessionno
        listening.doRead()
        if listening.sessionno == taken:
            break


def let_nobody_in(listening: socket) -> None:
    """Have the machine drop what comes for a listening socket; what is in its queue stays there.

    Who connects meanwhile asks again after a second, is refused then, and so has lost nothing. Whoever is in
    the midst of connecting just then may be reset, before anything is asked. Other systems than Linux have no
    such means.
    """
    if sys.platform != "linux":
        return
    instruction = ctypes.create_string_buffer(_DROP, len(_DROP))
    with suppress(OSError):
        listening.setsockopt(
            SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(instruction))
        )


def listen(reactor: Any, endpoint: Endpoint, factory: IProtocolFactory) -> IListeningPort:
    """Listen there; raises `InvalidConfiguration` when that is not possible."""
    if isinstance(endpoint, SystemdEndpoint):
        return adopt(reactor, endpoint, handed_over(), factory)
    if isinstance(endpoint, UnixEndpoint):
        return _listen_unix(reactor, endpoint, factory)
    return _listen_tcp(reactor, endpoint, factory)


def _listen_tcp(reactor: Any, endpoint: TcpEndpoint, factory: IProtocolFactory) -> IListeningPort:
    listener = Listener(endpoint.port, factory, endpoint.backlog, endpoint.host, reactor)
    try:
        listener.startListening()
    except CannotListenError as error:
        raise InvalidConfiguration(unusable_address(endpoint, error.socketError)) from None
    return listener


def _listen_unix(reactor: Any, endpoint: UnixEndpoint, factory: IProtocolFactory) -> IListeningPort:
    listener = UnixListener(os.fsencode(endpoint.path), factory, endpoint.backlog, endpoint.mode, reactor)
    try:
        if is_left_over(endpoint):
            endpoint.path.unlink()
        listener.startListening()
    except CannotListenError as error:
        raise InvalidConfiguration(unusable_socket(endpoint, error.socketError)) from None
    except OSError as error:
        raise InvalidConfiguration(unusable_socket(endpoint, error)) from None
    return listener


def adopt(
    reactor: Any, endpoint: SystemdEndpoint, given: ListenFDs, factory: IProtocolFactory
) -> IListeningPort:
    """Listen at one of the sockets that systemd has given; raises `InvalidConfiguration`."""
    descriptor = descriptor_of(endpoint, given)
    os.set_inheritable(descriptor, False)
    os.set_blocking(descriptor, False)
    if endpoint.domain != "UNIX":
        family = AF_INET if endpoint.domain == "INET" else AF_INET6
        port: IListeningPort = reactor.adoptStreamPort(descriptor, family, factory)
        return port
    listener: AdoptedUnixListener = AdoptedUnixListener._fromListeningDescriptor(reactor, descriptor, factory)  # noqa: SLF001
    # Twisted sets the mode of every socket that it listens at.
    listener.mode = stat.S_IMODE(_path_of(listener).stat().st_mode)
    listener.startListening()
    return listener
