"""The routes that administer the catalog."""

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker import wire
from dockerbroker.broker.administration import Administration
from dockerbroker.model.definitions import decode_image, encode_image
from dockerbroker.web.answers import answer, body_of, detached, new_app
from dockerbroker.web.page import CatalogPage


class Administrators:
    """What administrators talk to."""

    app = new_app()

    def __init__(self, administration: Administration, page: CatalogPage) -> None:
        self._administration = administration
        self._page = page

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/<catalog>/images", methods=["GET"])
    async def images(self, request: Request, catalog: str) -> bytes:
        """List the image definitions."""
        definitions = await self._administration.images(catalog)
        return answer(request, 200, [encode_image(definition) for definition in definitions])

    @app.route("/<catalog>/image/<path:name>", methods=["GET"])
    async def image(self, request: Request, catalog: str, name: str) -> bytes:
        """Return one image definition."""
        return answer(request, 200, encode_image(await self._administration.image(catalog, name)))

    @app.route("/<catalog>/image/<path:name>", methods=["PUT"])
    async def put_image(self, request: Request, catalog: str, name: str) -> bytes:
        """Add or replace an image definition."""
        definition = decode_image(wire.decode_object(body_of(request)), name)
        is_new = await detached(self._administration.put_image(catalog, definition))
        self._page.changed()
        return answer(request, 201 if is_new else 200, encode_image(definition))

    @app.route("/<catalog>/image/<path:name>", methods=["DELETE"])
    async def delete_image(self, request: Request, catalog: str, name: str) -> bytes:
        """Remove an image definition."""
        await detached(self._administration.delete_image(catalog, name))
        self._page.changed()
        return answer(request, 200, {})
