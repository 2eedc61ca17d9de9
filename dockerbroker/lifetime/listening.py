"""Listening for connections, of which none is lost when it ends."""

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


class Listener(Port):
    """A port that takes the connections of the machine's queue before it closes, which would reset them."""

    def connectionLost(self, reason: Failure) -> None:
        """Take what is in the queue, and close."""
        for _ in range(_MOST_LOOKS):
            taken = self.sessionno
            self.doRead()
            if self.sessionno == taken:
                break
        # At once: whatever comes in between is reset.
        self.socket.close()
        super().connectionLost(reason)


def listen(reactor: Any, host: str, port: int, factory: IProtocolFactory) -> Listener:
    """Listen at the address; raises `InvalidConfiguration` when that is not possible."""
    listener = Listener(port, factory, _BACKLOG, host, reactor)
    try:
        listener.startListening()
    except CannotListenError as error:
        raise InvalidConfiguration(unusable_address(host, port, error.socketError)) from None
    return listener
