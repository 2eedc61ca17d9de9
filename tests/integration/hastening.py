"""The model of Cloud Controller as a client of a real broker, whose waiting is hastened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import define
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.client import Agent
from zope.interface import implementer

from tests.platform.cloud_controller import CloudController
from tests.running import PASSWORD, USER, RunningBroker

#: How many seconds of the platform pass in one: its minute between two polls is half a second.
_HASTE: Final = 120.0


@implementer(IReactorTime)
@define(eq=False)
class Hastened:
    """The clock of a platform that waits for less long than it believes."""

    reactor: IReactorTime

    def seconds(self) -> float:
        """Return the time."""
        return self.reactor.seconds() * _HASTE

    def callLater(self, delay: float, callable: Callable[..., object], *args: Any, **kw: Any) -> IDelayedCall:  # noqa: A002 - the interface's name
        """Call it when the platform believes so long to have passed."""
        return self.reactor.callLater(delay / _HASTE, callable, *args, **kw)

    def getDelayedCalls(self) -> Any:
        """Return the reactor's."""
        return self.reactor.getDelayedCalls()


@define(eq=False)
class Sender:
    """Sends requests, each on a connection of its own; a synchronous one takes no 202 for an answer.

    Cloud Controller's newest API always takes one, its older ones and other platforms do not.
    """

    client: HTTPClient
    is_synchronous: bool = False

    def request(self, method: str, url: str, **options: Any) -> Deferred[Any]:
        """Send one request."""
        if self.is_synchronous:
            url = url.replace("accepts_incomplete=true", "")
        sent: Deferred[Any] = self.client.request(method, url, **options)
        return sent


def platform_of(reactor: Any, broker: RunningBroker) -> tuple[CloudController, Sender]:
    """Return a platform that uses the broker, and what sends its requests.

    Requests have the time that Cloud Controller gives them; only what is between them is hastened.
    """
    sender = Sender(HTTPClient(Agent(reactor)))
    platform = CloudController(
        client=sender, clock=reactor, base_url=f"http://127.0.0.1:{broker.port}", auth=(USER, PASSWORD)
    )
    platform.jobs.clock = Hastened(reactor)
    return platform, sender
