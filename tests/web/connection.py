"""Connections to a site in memory, byte by byte."""

from base64 import b64encode
from typing import Final

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.stack import PASSWORD, USER, Stack

AUTHORIZATION: Final = b"Basic " + b64encode(f"{USER}:{PASSWORD}".encode())


class HalfClosable(StringTransport):
    """A transport that can be closed for writing."""

    write_closed = False

    def loseWriteConnection(self) -> None:
        """Remember that nothing more is written."""
        self.write_closed = True


class Connection:
    """A connection to the site, byte by byte."""

    def __init__(self, stack: Stack, transport: HalfClosable | None = None) -> None:
        self.transport = transport or HalfClosable()
        self._protocol = stack.site.buildProtocol(None)
        self._protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Let bytes arrive."""
        self._protocol.dataReceived(data)

    def end(self) -> None:
        """Let the client close the connection."""
        self._protocol.connectionLost(Failure(ConnectionDone()))

    def head(
        self,
        *headers: bytes,
        request: bytes = b"PUT /v2/service_instances/i-1",
        version: bytes = b"HTTP/1.1",
        hosts: tuple[bytes, ...] = (b"broker",),
        authorization: bytes = AUTHORIZATION,
    ) -> None:
        """Let the head of a request arrive."""
        lines = [
            request + b" " + version,
            *(b"Host: " + host for host in hosts),
            b"Authorization: " + authorization,
            b"X-Broker-API-Version: 2.17",
            *headers,
        ]
        self.send(b"\r\n".join(lines) + b"\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        """Let a chunk of a body arrive."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def received(self) -> bytes:
        """Return what the client received."""
        written: bytes = self.transport.value()
        return written
