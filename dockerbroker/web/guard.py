"""Limits on the HTTP channel, before anything is parsed, and the count of the requests in flight."""

from io import BytesIO
from typing import Any, cast
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from dockerbroker import wire
from dockerbroker.errors import TooLarge
from dockerbroker.web import osb
from dockerbroker.web.identity import REQUEST_IDENTITY

#: The largest body that is read, in bytes. Cloud Controller sends parameters of at most a few kilobytes.
LARGEST_BODY = 1024 * 1024
#: How much of a body that was refused is read and dropped, in bytes, so that the client sees the answer
#: instead of a reset connection.
LARGEST_DISCARD = 64 * 1024 * 1024
#: For how long a site that is drained waits for requests on the connections that it has, in seconds. One on
#: which none comes is closed then; whoever uses it more often is told by its last answer that it ends.
LAST_REQUESTS = 1.0


def _transport(request: Request) -> ITCPTransport:
    # Twisted declares a wider type; what an HTTP channel stands on can always be half-closed and aborted.
    return cast("ITCPTransport", request.channel.transport)


class GuardedRequest(Request):
    """Refuses large bodies while they arrive, and tells the site when it begins and ends."""

    defaultContentType = b"application/json"
    _arrived = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Refuse a declared length that is too large before anything of the body is read."""
        super().gotLength(length)
        if length is not None and length > LARGEST_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Refuse a body that turns out too large."""
        self._arrived += len(data)
        if self._refused:
            if self._arrived > LARGEST_DISCARD:
                _transport(self).abortConnection()
        elif self._arrived > LARGEST_BODY:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Process the request, unless it was refused already: then its connection ends with its body."""
        if self._refused:
            self.channel.loseConnection()
        else:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        """Process the request, counted by the site until it is answered or its client is gone."""
        # Twisted's own method, which sets the site, comes too late, and it answers the path `*` by itself.
        site: GuardedSite = cast("Any", self.channel).site
        if self.path == b"*":
            self.path = b"/*"
        site.began(self)
        super().process()

    def _refuse(self) -> None:
        self._refused = True
        status, document = osb.failure(TooLarge(f"The body is larger than {LARGEST_BODY} bytes."))
        body = wire.encode(document)
        transport = _transport(self)
        transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
            b"%sConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (status, RESPONSES[status], self._echo(), len(body), body)
        )
        transport.loseWriteConnection()

    def _echo(self) -> bytes:
        identities = self.requestHeaders.getRawHeaders(REQUEST_IDENTITY, [])
        return b"".join(b"X-Broker-API-Request-Identity: %s\r\n" % identity for identity in identities[:1])


class GuardedSite(Site):
    """A site that keeps no bodies on disk, writes no access log, and can be drained."""

    requestFactory = GuardedRequest
    displayTracebacks = False

    def __init__(self, resource: IResource, reactor: IReactorTime) -> None:
        super().__init__(resource, parsePOSTFormSubmission=False, reactor=reactor)
        self._in_flight: set[GuardedRequest] = set()
        self._drained: Deferred[None] | None = None
        self._takes_last_requests = False
        self._connections: WeakSet[Protocol] = WeakSet()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return the protocol of a connection, which is remembered while it lasts."""
        protocol: Any = super().buildProtocol(addr)
        if protocol is not None:
            # What Twisted returns only wraps the channel, and does not know its transport.
            self._connections.add(protocol._channel)  # noqa: SLF001
        return protocol

    def getContentFile(self, length: int | None) -> BytesIO:
        """Return a place for a body: memory, since a body may hold secrets and is small."""
        del length
        return BytesIO()

    def log(self, request: HTTPRequest) -> None:
        """Write nothing: each change is logged where it happens, and the rest is read only."""

    def began(self, request: GuardedRequest) -> None:
        """Count the request until it ends; a connection that is drained ends with it."""
        self._in_flight.add(request)
        request.notifyFinish().addBoth(self._ended, request)
        if self._drained is not None:
            _end_connection(request)

    def drain(self) -> Deferred[None]:
        """Return a Deferred that fires when every request is answered and every connection closes.

        Each connection ends with its next answer, for which the client has a last moment.
        """
        self._drained = Deferred()
        for request in self._in_flight:
            _end_connection(request)
        if self._connections:
            Deferred.fromCoroutine(self._take_last_requests())
        self._finish()
        return self._drained

    async def _take_last_requests(self) -> None:
        self._takes_last_requests = True
        await deferLater(self.reactor, LAST_REQUESTS)
        # What has arrived by now is read first, where the machine is slow.
        await deferLater(self.reactor, 0)
        self._takes_last_requests = False
        self._finish()

    def _ended(self, result: Failure | None, request: GuardedRequest) -> None:
        del result
        self._in_flight.discard(request)
        self._finish()

    def _finish(self) -> None:
        if self._drained is None or self._drained.called or self._in_flight or self._takes_last_requests:
            return
        for connection in list(self._connections):
            # An idle one that is kept would take requests that nobody answers any more.
            if connection.transport is not None:
                connection.transport.loseConnection()
        self._drained.callback(None)


def _end_connection(request: GuardedRequest) -> None:
    """Let the connection end with the answer to the request, and tell the client so."""
    request.channel.persistent = False
    if not request.startedWriting:
        request.setHeader(b"connection", b"close")
