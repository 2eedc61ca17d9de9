"""How a Redis server is reached: a connection, and how long to wait for it and for what it answers."""

from typing import Any, Protocol, cast

from attrs import define, evolve, field
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from txredisapi import RedisProtocol

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.redis.trust import trust


class Wire(RedisProtocol):
    """A connection that speaks Redis's protocol in bytes, on whichever reactor; `lost_by` is how it ended."""

    def __init__(self, clock: Any) -> None:
        super().__init__(charset=None, convertNumbers=False)
        # The base class has the one of the global reactor.
        self.callLater = clock.callLater
        self.lost_by: BaseException | None = None

    def connectionLost(self, why: Any) -> None:
        """Remember why."""
        self.lost_by = why.value
        super().connectionLost(why)


class Line(Protocol):
    """The way to one server."""

    def seconds(self) -> float:
        """Return the time of a clock of this process that never goes back."""

    def connect(self, within: float) -> Deferred[Wire]:
        """Make a connection; what fails first over TLS may show only when it is used."""

    def limited(self, outcome: Deferred[Any], within: float) -> Deferred[Any]:
        """Cancel what has not come within so many seconds, which then fails with `TimeoutError`."""

    def pause(self, seconds: float) -> Deferred[None]:
        """Wait."""

    def without_tls(self) -> "Line":
        """Return a way to the same server that encrypts nothing."""


@define(eq=False)
class ReactorLine:
    """Connections of a reactor."""

    reactor: Any
    configuration: ServerConfiguration
    _endpoint: IStreamClientEndpoint = field(init=False)

    def __attrs_post_init__(self) -> None:
        tls, host = self.configuration.tls, self.configuration.host
        endpoint = _endpoint(self.reactor, host, self.configuration.port)
        self._endpoint = endpoint if tls is None else wrapClientTLS(trust(tls, host), endpoint)

    def seconds(self) -> float:
        """Return the time of the reactor."""
        return cast("IReactorTime", self.reactor).seconds()

    def connect(self, within: float) -> Deferred[Wire]:
        """Make a connection."""
        factory = Factory.forProtocol(self._wire)
        # Of each connection it would tell the log when it begins and ends.
        factory.noisy = False
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return self.limited(connecting.addCallbacks(_without_delay, _given_up), within)

    def limited(self, outcome: Deferred[Any], within: float) -> Deferred[Any]:
        """Cancel what does not come in time."""
        return outcome.addTimeout(max(0.0, within), self.reactor)

    def pause(self, seconds: float) -> Deferred[None]:
        """Wait, while the reactor does other things."""
        return deferLater(self.reactor, seconds)

    def without_tls(self) -> Line:
        """Return a way to the same server that encrypts nothing."""
        return ReactorLine(self.reactor, evolve(self.configuration, tls=None))

    def _wire(self) -> Wire:
        return Wire(self.reactor)


def _endpoint(reactor: Any, host: str, port: int) -> IStreamClientEndpoint:
    # A name is looked up in a thread, which an address needs not.
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port)
    return HostnameEndpoint(reactor, host, port)


def _given_up(failure: Failure) -> Failure:
    # Endpoints have an error of their own for this, which neither a caller nor a limit takes for what it is.
    return Failure(CancelledError()) if failure.check(ConnectingCancelledError) else failure


def _without_delay(wire: Wire) -> Wire:
    # The end of a long question is not to wait until its beginning has arrived.
    wire.transport.setTcpNoDelay(True)
    return wire
