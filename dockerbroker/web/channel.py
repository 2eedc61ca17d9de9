"""A connection that keeps to the rules of `framing`, and is ended when its client takes too long.

What Twisted's channel would answer with nothing but a status, or not at all, is answered in JSON here.
"""

from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.server import Site

from dockerbroker.errors import BrokerError, InvalidRequest, TooSlow
from dockerbroker.web.answers import answer_error, send
from dockerbroker.web.bodies import WINDOW, Bodies, Body
from dockerbroker.web.deadlines import Deadline
from dockerbroker.web.framing import (
    LARGEST_HEAD,
    MOST_HEADERS,
    RequestLine,
    check_head,
    check_header_line,
    check_size,
    is_ordinary,
    read_request_line,
)
from dockerbroker.web.identity import REQUEST_IDENTITY
from dockerbroker.web.peers import Peers, Stage
from dockerbroker.web.refusals import refusal

#: Seconds from when a connection is made, or a request begins on it, until the head must be complete.
HEAD_WITHIN: Final = 10.0
#: Seconds for which a connection is kept on which nothing comes.
KEPT_FOR: Final = 60.0
#: Seconds in which an answer must be taken when it is more than the buffers on the way to the client hold,
#: and in which a connection must be closed from the other side when it was closed from this one.
TAKEN_WITHIN: Final = 20.0
#: How much of what comes after a refusal is read and dropped, in bytes, so that the client sees the answer
#: instead of a reset connection.
LARGEST_DISCARD: Final = 64 * 1024 * 1024


class GuardedChannel(HTTPChannel):
    """One connection of a peer, among the others."""

    maxHeaders = MOST_HEADERS
    totalHeadersSize = LARGEST_HEAD
    site: Site

    def __init__(self, clock: IReactorTime, peers: Peers, bodies: Bodies, peer: str) -> None:
        super().__init__()
        self.peer = peer
        self._peers = peers
        self._bodies = bodies
        self._deadline = Deadline(clock, self._too_late)
        self._unread = Deadline(clock, self._abort)
        self._stage = Stage.FRESH
        self._is_ended = False
        self._are_ordinary = True
        self._line: RequestLine | None = None
        self._body: Body | None = None
        self._held: Body | None = None
        self._head_size = self._header_count = self._unparsed = self._dropped = 0

    def connectionMade(self) -> None:
        """Wait for a head."""
        super().connectionMade()
        self._peers.enter(self)
        self._deadline.set(HEAD_WITHIN)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Wait for nothing any more."""
        self._is_ended = True
        self._deadline.end()
        self._unread.end()
        self._end_body()
        self._peers.leave(self)
        super().connectionLost(reason)

    # What comes in.

    def dataReceived(self, data: bytes) -> None:
        """Parse what has arrived, as far as answers are taken; drop it after a refusal."""
        if self._is_ended:
            self._drop(len(data))
            return
        self._unparsed += len(data)
        super().dataReceived(data)
        if self.paused and not self._is_ended:
            self._network().pauseProducing()
        elif self._body is not None:
            if self._stage is not Stage.READING:
                self._move(Stage.READING, WINDOW)
        elif self._stage is Stage.KEPT and self._unparsed + self._head_size:
            # The next request has begun: its client has no longer than for a first one.
            self._move(Stage.FRESH, HEAD_WITHIN)

    def lineReceived(self, line: bytes) -> None:
        """Check a line of a head before Twisted makes anything of it."""
        self._unparsed -= len(line) + len(self.delimiter)
        if self._is_ended:
            return
        try:
            self._check_line(line)
        except BrokerError as error:
            self.refuse(error)
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that is longer than a whole head may be."""
        self._unparsed = 0
        self.lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """Take of a body, or keep what comes after the request that is being worked on."""
        self._unparsed -= len(data)
        if not self._is_ended:
            super().rawDataReceived(data)

    def allHeadersReceived(self) -> None:
        """Check the head as a whole, and wait for the body if there is one."""
        assert self._line is not None
        request, line = self.requests[-1], self._line
        try:
            check_head(line, request.requestHeaders, self.length, are_ordinary=self._are_ordinary)
        except BrokerError as error:
            self.refuse(error)
            return
        super().allHeadersReceived()
        self._head_size = self._header_count = 0
        if self.length != 0:
            self._body = self._bodies.begin(self, line.api)

    def takes(self, data: bytes) -> bool:
        """Return whether a piece of a body is to be kept; refuse the request if there is too much of it."""
        if self._is_ended or self._body is None:
            return False
        try:
            self._body.grow(len(data), in_chunks=self.length is None)
        except BrokerError as error:
            self.refuse(error)
        return not self._is_ended

    def allContentReceived(self) -> None:
        """Let the request be worked on, for as long as that takes."""
        if self._is_ended:
            return
        # What Twisted has collected of them it drops.
        if getattr(self._transferDecoder, "_trailerHeaders", None):
            self.refuse(InvalidRequest("Headers behind the body are not supported."))
            return
        # It takes memory, and nobody knows yet who has sent it.
        self._held, self._body = self._body, None
        self._stage = Stage.BUSY
        self._deadline.set(None)
        super().allContentReceived()

    def let_in(self) -> None:
        """Count the body of the request that is being worked on no more: whoever has sent it may."""
        if self._held is not None:
            self._held.end()
            self._held = None

    # What goes out.

    def requestDone(self, request: Request) -> None:
        """Wait for the next request."""
        self.let_in()
        self._line = None
        self._move(Stage.KEPT, KEPT_FOR)
        super().requestDone(request)
        if self.paused and not self._is_ended:
            self._network().pauseProducing()

    def pauseProducing(self) -> None:
        """Answer no more while the client does not take what it was answered, and not for long."""
        super().pauseProducing()
        self.paused = True
        self._unread.set(TAKEN_WITHIN)

    def resumeProducing(self) -> None:
        """Go on: the client has taken all that was answered."""
        self._unread.set(None)
        self.paused = False
        super().resumeProducing()
        if not self._is_ended:
            self.dataReceived(b"")

    def refuse(self, error: BrokerError) -> None:
        """Answer with the error, and end the connection: nothing more of it is parsed.

        What the client still sends is dropped for a while, since it would not see the answer otherwise.
        """
        if self._is_ended:
            return
        if self.is_busy:
            self._refuse_waiting(error)
            return
        headers = self.requests[-1].requestHeaders if self.requests else None
        identities = headers.getRawHeaders(REQUEST_IDENTITY, []) if headers is not None else []
        method = self._line.method if self._line is not None else b""
        network = self._network()
        network.write(refusal(error, method=method, identity=identities[0] if identities else None))
        # With a length of 0 Twisted would go on with the request.
        self.length = None
        if isinstance(network, ProtocolWrapper):
            self.loseConnection()
            return
        self._close()
        network.unregisterProducer()
        network.loseWriteConnection()

    def _refuse_waiting(self, error: BrokerError) -> None:
        """Answer a request that waits for being let in, of which nothing was done yet, and end with it."""
        request = self.requests[0]
        self.persistent = False
        request.setHeader(b"connection", b"close")
        send(request, answer_error(request, error))

    def loseConnection(self) -> None:
        """Close the connection when all answers are sent, or when they are not taken in time."""
        if not self._is_ended:
            self._close()
            super().loseConnection()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being worked on."""
        return self._stage is Stage.BUSY

    def evict(self) -> None:
        """End the connection at once."""
        self._abort()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(InvalidRequest("The request is not valid HTTP."))

    # What has been seen of a request, and for how long it is waited.

    def _check_line(self, line: bytes) -> None:
        if self._line is not None:
            self._head_size += len(line)
            self._header_count += bool(line)
            check_size(self._head_size, self._header_count)
            if line and not is_ordinary(line):
                self._are_ordinary = False
                check_header_line(line)
        elif line:
            self._head_size, self._are_ordinary = len(line), True
            self._line = read_request_line(line)

    def _move(self, stage: Stage, seconds: float | None) -> None:
        self._stage = stage
        self._peers.move(self, stage)
        self._deadline.set(seconds)

    def _too_late(self) -> None:
        if self._is_ended or self.paused:
            self._abort()
        elif self._body is not None:
            if self._body.is_fast_enough():
                self._deadline.set(WINDOW)
            else:
                self.refuse(TooSlow("The body arrives too slowly."))
        elif self._line is not None:
            self.refuse(TooSlow("The head of the request was not complete in time."))
        else:
            self.loseConnection()

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > LARGEST_DISCARD:
            self._abort()

    def _end_body(self) -> None:
        self.let_in()
        if self._body is not None:
            self._body.end()
            self._body = None

    def _close(self) -> None:
        self._is_ended = True
        self._end_body()
        self._move(Stage.FRESH, TAKEN_WITHIN)

    def _abort(self) -> None:
        self._is_ended = True
        self._end_body()
        self._deadline.end()
        self._unread.end()
        self._network().abortConnection()

    def _network(self) -> Any:
        # Twisted declares a narrower type; what an HTTP channel stands on can be paused and aborted.
        return self.transport
