"""The route to which the agents of the Docker hosts ping."""

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker import wire
from dockerbroker.broker.pings import Pings
from dockerbroker.model.hosts import decode_ping
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.web.answers import answer, body_of, detached, new_app


class Agents:
    """What agents talk to."""

    app = new_app()

    def __init__(self, persister: IPersister) -> None:
        self._pings = Pings(persister)

    def resource(self) -> KleinResource:
        """Return the resource of this route."""
        return self.app.resource()

    @app.route("/ping", methods=["POST"])
    async def ping(self, request: Request) -> bytes:
        """Store what an agent tells of its host; it is acknowledged when it is stored."""
        host = decode_ping(wire.decode_object(body_of(request)))
        await detached(self._pings.record(host))
        return answer(request, 200, {})
