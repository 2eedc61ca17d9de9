"""The byte streams of an exec: Docker's frames, and a connection whose two halves end separately."""

import contextlib
import select
import socket
import ssl
from typing import Protocol

from attrs import define, field

_CHUNK = 64 * 1024
_HEADER = 8
_STDOUT, _STDERR = 1, 2
#: The longest frame that is believed, in bytes; Docker's are at most 32 KiB.
FRAME_LIMIT = 1024 * 1024


class ProtocolError(Exception):
    """What came is not what Docker sends."""


class ConnectionCutError(Exception):
    """The connection ended other than by the engine's closing it."""


@define(eq=False)
class Demultiplexer:
    """Takes Docker's frames apart: keeps at most `limit` bytes of standard output, and the end of the other.

    A frame is a byte for the stream, three zeros, a length of four bytes and the content (Docker API,
    `ContainerAttach`, stream format). The result does not depend on how the bytes are sliced.
    """

    limit: int
    tail: int
    stdout: bytearray = field(factory=bytearray, init=False)
    stderr_tail: bytearray = field(factory=bytearray, init=False)
    is_over: bool = field(default=False, init=False)
    _header: bytearray = field(factory=bytearray, init=False)
    _remaining: int = field(default=0, init=False)

    @property
    def is_whole(self) -> bool:
        """Whether the bytes so far end with the end of a frame."""
        return not self._header

    def feed(self, data: bytes) -> None:
        """Take the next bytes; raises `ProtocolError`."""
        view = memoryview(data)
        while view:
            view = self._header_of(view) if len(self._header) < _HEADER else self._content_of(view)
            if len(self._header) == _HEADER and self._remaining == 0:
                self._header.clear()

    def _header_of(self, view: memoryview) -> memoryview:
        missing = _HEADER - len(self._header)
        self._header += view[:missing]
        if len(self._header) == _HEADER:
            self._begin()
        return view[missing:]

    def _content_of(self, view: memoryview) -> memoryview:
        content = view[: self._remaining]
        self._take(content)
        self._remaining -= len(content)
        return view[len(content) :]

    def _begin(self) -> None:
        stream, padding = self._header[0], self._header[1:4]
        self._remaining = int.from_bytes(self._header[4:], "big")
        if stream not in {_STDOUT, _STDERR} or any(padding):
            raise ProtocolError(f"a frame of the unknown stream {bytes(self._header[:4]).hex()}")
        if self._remaining > FRAME_LIMIT:
            raise ProtocolError(f"a frame of {self._remaining} bytes")

    def _take(self, content: memoryview) -> None:
        if self._header[0] == _STDERR:
            self.stderr_tail += content
            del self.stderr_tail[: -self.tail]
            return
        room = self.limit - len(self.stdout)
        self.stdout += content[:room]
        self.is_over = self.is_over or len(content) > room


class Codec(Protocol):
    """What is between the bytes of the conversation and those on the wire."""

    #: Whether the end of output must be told by ending the socket's own output.
    ends_with_socket: bool

    def write(self, data: bytes) -> None:
        """Take bytes to be sent."""

    def end(self) -> None:
        """Tell that nothing more will be sent; receiving goes on."""

    def outgoing(self) -> bytes:
        """Return the wire's bytes that wait to be sent."""

    def received(self, data: bytes) -> tuple[bytes, bool]:
        """Take bytes of the wire, empty at its end; return the conversation's and whether it has ended."""


@define(eq=False)
class PlainCodec:
    """What is sent is what is on the wire."""

    ends_with_socket = True
    _pending: bytearray = field(factory=bytearray, init=False)

    def write(self, data: bytes) -> None:
        """Take bytes to be sent."""
        self._pending += data

    def end(self) -> None:
        """Leave the end to the socket."""

    def outgoing(self) -> bytes:
        """Return what was written."""
        data = bytes(self._pending)
        self._pending.clear()
        return data

    def received(self, data: bytes) -> tuple[bytes, bool]:
        """Return the bytes as they are."""
        return data, not data


@define(eq=False)
class TlsCodec:
    """TLS in memory, where one half can be ended while the other goes on.

    `ssl.SSLSocket.unwrap` cannot do that: it fails on what the other side still sends.
    """

    ends_with_socket = False
    _context: ssl.SSLContext
    _host: str
    _incoming: ssl.MemoryBIO = field(factory=ssl.MemoryBIO, init=False)
    _outgoing: ssl.MemoryBIO = field(factory=ssl.MemoryBIO, init=False)
    _tls: ssl.SSLObject = field(init=False)

    @_tls.default
    def _wrap(self) -> ssl.SSLObject:
        return self._context.wrap_bio(self._incoming, self._outgoing, server_hostname=self._host)

    def handshake(self, connection: socket.socket) -> None:
        """Agree with the server, and verify its certificate; raises `OSError`."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                connection.sendall(self._outgoing.read())
                if not (data := connection.recv(_CHUNK)):
                    raise ConnectionResetError("it closed the connection during the TLS handshake") from None
                self._incoming.write(data)
            else:
                return

    def write(self, data: bytes) -> None:
        """Encrypt the bytes."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view[:_CHUNK]) :]

    def end(self) -> None:
        """Send TLS's own end of output; everything received has been read, as that demands."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()

    def outgoing(self) -> bytes:
        """Return the records that wait to be sent."""
        return self._outgoing.read()

    def received(self, data: bytes) -> tuple[bytes, bool]:
        """Decrypt the bytes; an end of the wire without TLS's own end raises `ProtocolError`."""
        self._incoming.write(data) if data else self._incoming.write_eof()
        plain = bytearray()
        try:
            while piece := self._tls.read(_CHUNK):
                plain += piece
        except ssl.SSLWantReadError:
            return bytes(plain), False
        except ssl.SSLZeroReturnError:
            return bytes(plain), True
        except ssl.SSLError as error:
            raise ProtocolError(f"its TLS ended wrongly ({error.reason})") from error
        return bytes(plain), True


@define(eq=False)
class Connection:
    """A connection that sends and receives at once, so that neither side waits for the other for ever."""

    socket: socket.socket
    codec: Codec
    _pending: bytes = field(default=b"", init=False)
    _ending: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.socket.setblocking(False)

    def write(self, data: bytes) -> None:
        """Send the bytes during the next exchanges."""
        self.codec.write(data)

    def end(self) -> None:
        """Half-close: after what was written comes the end, and receiving goes on."""
        self.codec.end()
        self._ending = self.codec.ends_with_socket

    def exchange(self, timeout: float) -> tuple[bytes, bool]:
        """Send and receive what can be within `timeout` seconds; return the bytes, and whether they end.

        Raises `ConnectionCutError` or `ProtocolError`.
        """
        self._pending += self.codec.outgoing()
        poll = select.poll()
        wanted = select.POLLIN | (select.POLLOUT if self._pending or self._ending else 0)
        poll.register(self.socket, wanted)
        events = dict(poll.poll(max(timeout, 0) * 1000)).get(self.socket.fileno(), 0)
        if events & select.POLLOUT:
            self._send()
        if not events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            return b"", False
        try:
            return self.codec.received(self.socket.recv(_CHUNK))
        except BlockingIOError:
            return b"", False
        except OSError as error:
            raise ConnectionCutError(error.strerror or "reset") from error

    def _send(self) -> None:
        try:
            sent = self.socket.send(self._pending) if self._pending else 0
            self._pending = self._pending[sent:]
            if self._ending and not self._pending:
                self.socket.shutdown(socket.SHUT_WR)
                self._ending = False
        except BlockingIOError:
            return
        except OSError:
            # A command may end without reading its input; what it printed is still to be read.
            self._pending = b""
            self._ending = False

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self.socket.close()
