"""A site that remembers what has reached it, and connections to it, byte by byte."""

import re
from collections.abc import Sequence
from typing import Final, cast

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from dockerbroker.model.connections import ConnectionLimits
from dockerbroker.web.answers import body_of
from dockerbroker.web.guard import GuardedSite

_HEAD: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) [ -~]+\r\n((?:[!-9;-~]+: ?[\t -~\x80-\xff]*\r\n)*)\r\n")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@frozen
class Seen:
    """A request as it has reached its handler."""

    method: bytes
    target: bytes
    body: bytes = b""


@frozen
class Reply:
    """An answer on a connection; the names of its headers are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def replies(data: bytes, methods: Sequence[bytes] = ()) -> list[Reply]:
    """Read answers one behind the other, each with its length; whatever else there is is an error.

    Answers to requests whose `methods` are HEAD have no body, nor has one that refuses a HEAD.
    """
    found: list[Reply] = []
    data = data.replace(_CONTINUE, b"")
    while data:
        match = _HEAD.match(data)
        assert match is not None, data[:200]
        lines = (line.partition(b":") for line in match.group(2).split(b"\r\n")[:-1])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        is_known, start = len(found) < len(methods), match.end()
        is_head = methods[len(found)] == b"HEAD" if is_known else start == len(data)
        if headers.get(b"transfer-encoding") == b"chunked":
            body, data = _unchunked(data[start:])
        else:
            length = 0 if is_head else int(headers[b"content-length"])
            body, data = data[start : start + length], data[start + length :]
            assert len(body) == length, (match.group(), body)
        found.append(Reply(int(match.group(1)), headers, body))
    return found


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        body += data[:length]
        assert data[length : length + 2] == b"\r\n", data[:200]
        data = data[length + 2 :]
        if not length:
            return body, data


class Recorder(Resource):
    """Remembers each request; those to `/slow` are not answered until they are let go."""

    isLeaf = True

    def __init__(self, answer: bytes = b"{}") -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self.waiting: list[Request] = []
        self._answer = answer

    def render(self, request: Request) -> bytes | int:
        """Answer, or keep the request for later."""
        self.seen.append(Seen(request.method, request.uri, body_of(cast("IRequest", request))))
        if request.path != b"/slow":
            return self._answer
        self.waiting.append(request)
        return NOT_DONE_YET

    def let_go(self) -> None:
        """Answer what was kept."""
        waiting, self.waiting = self.waiting, []
        for request in waiting:
            request.setHeader(b"content-length", b"2")
            request.write(b"{}")
            request.finish()


class Wire(StringTransport):
    """The broker's end of a connection, which can be closed for writing and aborted."""

    write_closed = False
    aborted = False

    def loseWriteConnection(self) -> None:
        """Remember that nothing more is written."""
        self.write_closed = True

    def abortConnection(self) -> None:
        """Remember that the connection was not closed in peace."""
        self.aborted = True
        super().abortConnection()

    @property
    def is_closed(self) -> bool:
        """Whether the broker has ended the connection, or its own side of it."""
        return self.write_closed or self.aborted or self.disconnecting


def recording_site(answer: bytes = b"{}", *, per_peer: int = 512, in_all: int = 4096) -> GuardedSite:
    """Return a site with a recorder."""
    limits = ConnectionLimits(per_peer=per_peer, in_all=in_all)
    return GuardedSite(Recorder(answer), Clock(), limits)


class Line:
    """A client's connection to a site; there is none if the site has refused it."""

    def __init__(self, site: GuardedSite, address: IAddress | str = "192.0.2.1") -> None:
        peer = IPv4Address("TCP", address, 1) if isinstance(address, str) else address
        self.wire = Wire(peerAddress=peer, lenient=True)
        self.channel = site.buildProtocol(peer)
        if self.channel is not None:
            self.channel.makeConnection(self.wire)

    def send(self, *data: bytes) -> None:
        """Let bytes arrive, each in a packet of its own."""
        for one in data:
            self.channel.dataReceived(one)

    def end(self) -> None:
        """Let the client close the connection."""
        self.channel.connectionLost(Failure(ConnectionDone()))

    @property
    def replies(self) -> list[Reply]:
        """What the client was answered."""
        return replies(self.wire.value())
