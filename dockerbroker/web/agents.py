"""The route to which the agents of the Docker hosts ping."""

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker import wire
from dockerbroker.broker.pings import Pings
from dockerbroker.model.docker_addresses import AllowedAddresses
from dockerbroker.model.pings import decode_ping
from dockerbroker.web.answers import answer, detached, json_body_of, new_app


class Agents:
    """What agents talk to; with `keep_alive` all of them are asked for that interval between pings.

    `heard` is told of each ping that is stored.
    """

    app = new_app()

    def __init__(self, pings: Pings, addresses: AllowedAddresses, keep_alive: float | None = None) -> None:
        self._pings = pings
        self._addresses = addresses
        self._keep_alive = keep_alive

    def resource(self) -> KleinResource:
        """Return the resource of this route."""
        return self.app.resource()

    @app.route("/ping", methods=["POST"])
    async def ping(self, request: Request) -> bytes:
        """Store what an agent tells of its host; it is acknowledged when it is stored.

        The answer names the interval for which the next ping is asked.
        """
        ping = decode_ping(wire.decode_object(json_body_of(request)))
        self._addresses.check(ping.host.key, _peer(request))
        await detached(self._pings.record(ping))
        own = ping.own_keep_alive or ping.host.keep_alive
        return answer(request, 200, {"KeepAlive": self._keep_alive or own})


def _peer(request: Request) -> str:
    """Return the address that the request comes from."""
    return str(getattr(request.getClientAddress(), "host", ""))
