"""Listening for connections, of which none is lost when it ends."""

import ctypes
import struct
import sys
from contextlib import suppress
from socket import SOL_SOCKET, socket
from typing import Any, Final

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime.addresses import unusable_address

#: How many connections may wait for the program in the machine's queue.
_BACKLOG: Final = 128
#: How often the queue is emptied at most when listening ends.
_MOST_LOOKS: Final = 100
#: Linux's option that gives a socket a filter for its packets, which Python does not name, and the one
#: instruction of a filter: return 0, which drops the packet (socket(7), linux/filter.h).
_SO_ATTACH_FILTER: Final = 26
_DROP: Final = struct.pack("HBBI", 0x06, 0, 0, 0)


class Listener(Port):
    """A port that takes the connections of the machine's queue before it closes, which would reset them."""

    def connectionLost(self, reason: Failure) -> None:
        """Take what is in the queue, and close."""
        let_nobody_in(self.socket)
        for _ in range(_MOST_LOOKS):
            taken = self.sessionno
            self.doRead()
            if self.sessionno == taken:
                break
        # At once: where nothing keeps them out, those who come in between are reset.
        self.socket.close()
        super().connectionLost(reason)


def let_nobody_in(listening: socket) -> None:
    """Have the machine drop what comes for a listening socket; what is in its queue stays there.

    Who connects meanwhile asks again after a second, is refused then, and so has lost nothing. Other systems
    than Linux have no such means.
    """
    if sys.platform != "linux":
        return
    instruction = ctypes.create_string_buffer(_DROP, len(_DROP))
    with suppress(OSError):
        listening.setsockopt(
            SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(instruction))
        )


def listen(reactor: Any, host: str, port: int, factory: IProtocolFactory) -> Listener:
    """Listen at the address; raises `InvalidConfiguration` when that is not possible."""
    listener = Listener(port, factory, _BACKLOG, host, reactor)
    try:
        listener.startListening()
    except CannotListenError as error:
        raise InvalidConfiguration(unusable_address(host, port, error.socketError)) from None
    return listener
