"""The routes that administer the catalog."""

from typing import Any

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker import wire
from dockerbroker.broker.administration import Administration, Check
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.concealing import concealed
from dockerbroker.model.definitions import decode_image, encode_image
from dockerbroker.web.answers import answer, body_of, detached, new_app
from dockerbroker.web.conditions import Conditions, answer_known, tag_of
from dockerbroker.web.origins import origin_of
from dockerbroker.web.page import CatalogPage
from dockerbroker.web.parameters import takes

_IMAGE = "/<catalog>/image/<path:name>"


class Administrators:
    """What administrators talk to; secrets of images are never told."""

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
        return answer_known(request, [_told(definition) for definition in definitions])

    @app.route(_IMAGE, methods=["GET"])
    async def image(self, request: Request, catalog: str, name: str) -> bytes:
        """Return one image definition."""
        definition = await self._administration.image(catalog, name)
        return answer_known(request, _told(definition), _tag(definition, await self._key()))

    @app.route(_IMAGE, methods=["PUT"])
    async def put_image(self, request: Request, catalog: str, name: str) -> bytes:
        """Add or replace an image definition."""
        definition = decode_image(wire.decode_object(body_of(request)), name)
        key = await self._key()
        check = _check(Conditions.of(request), key)
        putting = self._administration.put_image(catalog, definition, check, origin_of(request))
        stored = await detached(putting)
        self._page.changed()
        request.setHeader(b"etag", _tag(stored.definition, key))
        return answer(request, 201 if stored.is_new else 200, _told(stored.definition))

    @app.route(_IMAGE, methods=["DELETE"])
    async def delete_image(self, request: Request, catalog: str, name: str) -> bytes:
        """Remove an image definition."""
        check = _check(Conditions.of(request), await self._key())
        await detached(self._administration.delete_image(catalog, name, check, origin_of(request)))
        self._page.changed()
        return answer(request, 200, {})

    async def _key(self) -> str:
        return await self._administration.secret_of_tags()


class CatalogRoutes:
    """The catalog of the broker, whatever its name, as it is read beside everything else."""

    app = new_app()

    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/catalog", methods=["GET"])
    @takes()
    async def catalog(self, request: Request) -> bytes:
        """Return the name of the catalog and its image definitions."""
        name = self._administration.catalog_name
        definitions = await self._administration.images(name)
        return answer_known(request, {"Name": name, "Images": [_told(one) for one in definitions]})


def _told(definition: ImageDefinition) -> dict[str, Any]:
    return encode_image(concealed(definition))


def _tag(definition: ImageDefinition, key: str) -> bytes:
    # What is not told counts as well: another password is another definition.
    return tag_of(encode_image(definition), key)


def _check(conditions: Conditions, key: str) -> Check | None:
    if not conditions.are_given:
        return None
    return lambda stored: conditions.check(None if stored is None else _tag(stored, key))
