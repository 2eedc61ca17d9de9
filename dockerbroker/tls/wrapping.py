"""TLS around the connections of a site."""

from typing import Any, Final

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

#: Seconds that a handshake may take.
HANDSHAKE: Final = 10.0


class GuardedTransport(BufferingTLSTransport):
    """Closes a connection whose handshake is not done in time."""

    _deadline: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        """Begin the handshake."""
        clock: IReactorTime = self.factory._clock  # noqa: SLF001 (the one that Twisted's own buffers use)
        self._deadline = clock.callLater(HANDSHAKE, self._past_deadline)
        super().makeConnection(transport)

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008
        """Forget the deadline."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        super().connectionLost(reason)

    def _past_deadline(self) -> None:
        connection = self.getHandle()
        # What a client says last in a handshake of any version.
        if connection is not None and connection.get_peer_finished() is None:
            self.abortConnection()


class GuardedTLSFactory(TLSMemoryBIOFactory):
    """Wraps the connections of a site in TLS."""

    protocol = GuardedTransport

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return the protocol of a connection, None when the site wants none: Twisted would fail then."""
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else self.protocol(self, inner)


def wrapped(
    creator: IOpenSSLServerConnectionCreator, site: IProtocolFactory, clock: IReactorTime
) -> GuardedTLSFactory:
    """Return a factory of connections to the site over TLS, each with the creator's certificate of then."""
    return GuardedTLSFactory(creator, False, site, clock)
