"""Requests to one broker."""

from collections.abc import Callable
from typing import Any, Final

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IResponse

from dockerbroker.agent.answers import deadline_passed, read_answer
from dockerbroker.config.agent import BrokerServer

#: The version of the Open Service Broker API that is told to the broker; it ignores it for an agent.
API_VERSION: Final = "2.17"

#: Sends a request with that method, as `treq.client.HTTPClient.request` does.
Send = Callable[..., Deferred[Any]]


@define(eq=False, kw_only=True)
class Requests:
    """Sends requests to one broker, with its credentials and to nobody else."""

    server: BrokerServer
    send: Send
    clock: IReactorTime

    async def ask(self, method: str, url: str, body: bytes, limit: float) -> dict[str, Any]:
        """Return what the broker answers within `limit` seconds; raises what stands in the way."""
        answering = Deferred.fromCoroutine(self._ask(method, url, body))
        return await answering.addTimeout(limit, self.clock, deadline_passed)

    async def _ask(self, method: str, url: str, body: bytes) -> dict[str, Any]:
        response: IResponse = await self.send(
            method,
            url,
            data=body,
            headers={"Content-Type": "application/json", "X-Broker-API-Version": API_VERSION},
            auth=(self.server.user, self.server.password.reveal()),
            allow_redirects=False,
            unbuffered=True,
        )
        return await read_answer(response)
