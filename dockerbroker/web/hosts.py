"""The routes by which administrators look after Docker hosts."""

from typing import Final

from klein.resource import KleinResource
from twisted.web.server import Request
from werkzeug.routing import PathConverter

from dockerbroker.broker.host_administration import HostAdministration, KnownHost
from dockerbroker.model.draining import encode_drain
from dockerbroker.model.standing import encode_host, host_id
from dockerbroker.web.answers import answer, detached, new_app
from dockerbroker.web.conditions import answer_known
from dockerbroker.web.origins import origin_of
from dockerbroker.web.parameters import OF_LISTS, takes
from dockerbroker.web.parts import Wanted, link, next_part
from dockerbroker.web.query import Query

_HIGHEST_PORT: Final = 65535


class _Name(PathConverter):
    """A host's name, which may hold slashes, but is not the path of what is done to a host."""

    regex = r"(?!.*/(?:cordon|drain|forget|ports)\Z)[^/].*?"


class HostRoutes:
    """What administrators of hosts talk to."""

    app = new_app()
    app.url_map.converters["name"] = _Name

    def __init__(self, hosts: HostAdministration) -> None:
        self._hosts = hosts

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/conditions", methods=["GET"])
    @takes(*OF_LISTS)
    async def conditions(self, request: Request) -> bytes:
        """List what is wrong with instances."""
        wanted = Wanted.of(request)
        found = next_part(request, wanted, await self._hosts.conditions())
        document = [{"Instance": one, "Condition": condition} for one, condition in found]
        return answer_known(request, document)

    @app.route("/admin/hosts", methods=["GET"])
    @takes(*OF_LISTS)
    async def hosts(self, request: Request) -> bytes:
        """List the Docker hosts."""
        wanted = Wanted.of(request)
        known = {host_id(one.report.host.key): one for one in await self._hosts.hosts()}
        found = next_part(request, wanted, known)
        return answer_known(request, [_encoded(one) for _, one in found])

    @app.route("/admin/hosts/<name:host>", methods=["GET"])
    @takes()
    async def host(self, request: Request, host: str) -> bytes:
        """Return one Docker host."""
        return answer_known(request, _encoded(await self._hosts.host(host)))

    @app.route("/admin/hosts/<path:host>/ports", methods=["GET"])
    @takes(*OF_LISTS)
    async def ports(self, request: Request, host: str) -> bytes:
        """List the ports of a Docker host that are leased."""
        wanted = Wanted.of(request)
        after = wanted.query.number("after", 0, least=0, most=_HIGHEST_PORT)
        found = await self._hosts.ports(host, after=after, limit=wanted.limit)
        link(request, wanted, str(max(found)) if len(found) == wanted.limit else None)
        return answer_known(request, [{"Port": port, "Instance": one} for port, one in found.items()])

    @app.route("/admin/hosts/<path:host>/cordon", methods=["PUT"])
    @takes()
    async def cordon(self, request: Request, host: str) -> bytes:
        """Let nothing be placed on a Docker host."""
        known = await detached(self._hosts.cordon(host, is_cordoned=True, origin=origin_of(request)))
        return answer(request, 200, _encoded(known))

    @app.route("/admin/hosts/<path:host>/cordon", methods=["DELETE"])
    @takes()
    async def uncordon(self, request: Request, host: str) -> bytes:
        """Let instances be placed on a Docker host again."""
        known = await detached(self._hosts.cordon(host, is_cordoned=False, origin=origin_of(request)))
        return answer(request, 200, _encoded(known))

    @app.route("/admin/hosts/<path:host>/drain", methods=["PUT"])
    @takes()
    async def drain(self, request: Request, host: str) -> bytes:
        """Let the instances of a Docker host move to others."""
        drain = await detached(self._hosts.drain(host, is_draining=True, origin=origin_of(request)))
        return answer(request, 202, encode_drain(drain))

    @app.route("/admin/hosts/<path:host>/drain", methods=["GET"])
    @takes()
    async def drained(self, request: Request, host: str) -> bytes:
        """Return how the draining of a Docker host stands."""
        return answer_known(request, encode_drain(await self._hosts.drained(host)))

    @app.route("/admin/hosts/<path:host>/drain", methods=["DELETE"])
    @takes()
    async def undrain(self, request: Request, host: str) -> bytes:
        """Let the instances stay that have not begun to move."""
        drain = await detached(self._hosts.drain(host, is_draining=False, origin=origin_of(request)))
        return answer(request, 200, encode_drain(drain))

    @app.route("/admin/hosts/<path:host>/forget", methods=["POST"])
    @takes("force")
    async def forget(self, request: Request, host: str) -> bytes:
        """Forget a Docker host."""
        forced = Query.of(request.uri).flag("force")
        await detached(self._hosts.forget(host, forced=forced, origin=origin_of(request)))
        return answer(request, 200, {})


def _encoded(known: KnownHost) -> dict[str, object]:
    return encode_host(known.report, known.instances)
