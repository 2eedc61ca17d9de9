"""The requests and the site behind guarded connections, which counts what is in flight and can be drained."""

from io import BytesIO
from typing import Any, ClassVar, Final, cast
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request as HTTPRequest
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from dockerbroker.model.connections import ConnectionLimits
from dockerbroker.web.answers import answer_failure, send
from dockerbroker.web.bodies import Bodies
from dockerbroker.web.channel import GuardedChannel
from dockerbroker.web.peers import Peers, peer_of
from dockerbroker.web.refusals import ALWAYS

#: For how long a site that is drained waits for requests on the connections that it has, in seconds. One on
#: which none comes is closed then; whoever uses it more often is told by its last answer that it ends.
LAST_REQUESTS: Final = 1.0
#: Seconds after which the log is told again that there are too many connections.
TELL_AGAIN: Final = 60.0


class GuardedRequest(Request):
    """Keeps of its body what its connection allows, and tells the site when it begins and ends."""

    defaultContentType = b"application/json"

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, unless it is too much."""
        if cast("GuardedChannel", self.channel).takes(data):
            super().handleContentChunk(data)

    def let_in(self) -> None:
        """Let the body count no more among those of strangers; the client may be gone."""
        if self.channel is not None:
            cast("GuardedChannel", self.channel).let_in()

    def process(self) -> None:
        """Process the request, counted by the site until it is answered or its client is gone."""
        # Twisted's own method, which sets the site, comes too late.
        site: GuardedSite = cast("Any", self.channel).site
        site.began(self)
        super().process()

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer in JSON when not even a route has done so; Twisted would do it in HTML."""
        for name, value in ALWAYS:
            self.setHeader(name, value)
        self.setHeader(b"content-type", b"application/json")
        body = answer_failure(cast("IRequest", self), reason)
        if self.startedWriting:
            self.loseConnection()
        elif self.channel is not None:
            send(self, body)
        return reason


class GuardedSite(Site):
    """A site that keeps no bodies on disk, writes no access log, limits connections, and can be drained."""

    _log: ClassVar[Logger] = Logger()

    requestFactory = GuardedRequest
    displayTracebacks = False

    def __init__(
        self, resource: IResource, reactor: IReactorTime, limits: ConnectionLimits | None = None
    ) -> None:
        # All deadlines are the channel's.
        super().__init__(resource, parsePOSTFormSubmission=False, reactor=reactor, timeout=None)
        self.peers = Peers(limits or ConnectionLimits())
        self._bodies = Bodies()
        self._in_flight: set[GuardedRequest] = set()
        self._drained: Deferred[None] | None = None
        self._takes_last_requests = False
        self._connections: WeakSet[GuardedChannel] = WeakSet()
        self._told_at: float | None = None

    def acceptableProtocols(self) -> list[bytes]:
        """Return the protocols that are spoken over TLS: no HTTP/2, which has other rules."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return the protocol of a connection, which is remembered, or None for one that is too many."""
        peer = peer_of(addr)
        if not self.peers.has_room(peer):
            self._tell(peer)
            if not self.peers.make_room(peer):
                return None
        # Not as Twisted does it, which would choose HTTP/2 when a client likes that better.
        channel = GuardedChannel(self.reactor, self.peers, self._bodies, peer)
        channel.factory, channel.site = self, self
        channel.requestFactory, channel.timeOut = self.requestFactory, None
        self._connections.add(channel)
        return channel

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

    def _tell(self, peer: str) -> None:
        now = self.reactor.seconds()
        if self._told_at is None or now - self._told_at >= TELL_AGAIN:
            self._told_at = now
            self._log.warn(
                "There are too many connections, {count} in all; the newest is from {peer!r}: those that "
                "have been idle for longest are ended",
                count=self.peers.everybody.size,
                peer=peer,
            )

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
                connection.loseConnection()
        self._drained.callback(None)


def _end_connection(request: GuardedRequest) -> None:
    """Let the connection end with the answer to the request, and tell the client so."""
    request.channel.persistent = False
    if not request.startedWriting:
        request.setHeader(b"connection", b"close")
