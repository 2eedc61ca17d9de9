"""Connections to a Redis server that block, without a reactor: for looking before the program runs.

What speaks over them is what speaks over those of the reactor. Whatever is waited for has come, or has
failed, before the wait returns, so that a coroutine which waits for nothing else runs through at once.
"""

import socket
import time
from typing import Any, cast

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IProtocol, ITransport
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.redis.lines import Line, Wire
from dockerbroker.persisters.redis.trust import trust

_CHUNK = 65536


@define(eq=False)
class Socket:
    """The transport of a protocol on a socket that blocks.

    `turns` holds what the protocol wants to be called in the next turn of a reactor.
    """

    _socket: socket.socket
    turns: Clock
    disconnecting: bool = field(default=False, init=False)
    protocol: IProtocol = field(init=False)

    def write(self, data: bytes) -> None:
        """Send all of it; that it could not be sent shows when something is received."""
        if not self.disconnecting:
            try:
                self._socket.sendall(data)
            except OSError:
                self._socket.close()

    def receive(self, within: float) -> None:
        """Hand the protocol what comes next; raises `TimeoutError`, also when nothing can come any more."""
        if self.disconnecting:
            raise TimeoutError
        try:
            self._socket.settimeout(max(within, 0.001))
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            raise
        except OSError as error:
            self._end(error)
        else:
            if data:
                self.protocol.dataReceived(data)
            else:
                self._end(ConnectionDone())

    def abortConnection(self) -> None:
        """Close the socket; the protocol learns of it in the next turn."""
        self._end(ConnectionAborted())

    def loseConnection(self) -> None:
        """Close the socket; all has been sent."""
        self.abortConnection()

    def pauseProducing(self) -> None:
        """Do nothing: it receives only when it is told to."""

    def resumeProducing(self) -> None:
        """Do nothing."""

    def _end(self, error: Exception) -> None:
        self._socket.close()
        if not self.disconnecting:
            self.disconnecting = True
            self.turns.callLater(0, self.protocol.connectionLost, Failure(error))


@define(eq=False)
class BlockingLine:
    """One connection at a time, by a socket."""

    configuration: ServerConfiguration
    _trust: IOpenSSLClientConnectionCreator | None = field(init=False)
    _socket: Socket | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        tls = self.configuration.tls
        self._trust = None if tls is None else trust(tls, self.configuration.host)

    def seconds(self) -> float:
        """Return the time of this process."""
        return time.monotonic()

    def connect(self, within: float) -> Deferred[Wire]:
        """Make a connection."""
        configuration = self.configuration
        try:
            made = socket.create_connection((configuration.host, configuration.port), max(within, 0.001))
        except OSError as error:
            return fail(error)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = transport = Socket(made, Clock())
        wire = Wire(transport.turns)
        transport.protocol = self._speaker(wire, transport.turns)
        transport.protocol.makeConnection(cast("ITransport", transport))
        return succeed(wire)

    def limited(self, outcome: Deferred[Any], within: float) -> Deferred[Any]:
        """Receive until it has come."""
        deadline = self.seconds() + within
        while self._socket is not None:
            self._socket.turns.advance(0)
            if outcome.called:
                break
            try:
                self._socket.receive(deadline - self.seconds())
            except TimeoutError:
                outcome.addErrback(lambda _: None)
                outcome.cancel()
                return fail(DeadlinePassed(within, "Deferred"))
        return outcome

    def pause(self, seconds: float) -> Deferred[None]:
        """Wait, and do nothing else."""
        time.sleep(seconds)
        return succeed(None)

    def without_tls(self) -> Line:
        """Return a way to the same server that encrypts nothing."""
        return BlockingLine(evolve(self.configuration, tls=None))

    def _speaker(self, wire: Wire, turns: Clock) -> Any:
        if self._trust is None:
            return wire
        plain = Factory.forProtocol(lambda: wire)
        return TLSMemoryBIOFactory(self._trust, True, plain, clock=turns).buildProtocol(None)
