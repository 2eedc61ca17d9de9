"""The routes by which a broker tells of its own APIs, in the words of OpenAPI."""

from functools import lru_cache
from importlib.resources import files

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker.web.answers import new_app
from dockerbroker.web.conditions import answer_known
from dockerbroker.web.parameters import takes


@lru_cache
def document(name: str) -> str:
    """Return the document of that name, as it stands in `docs`."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


class DocumentRoutes:
    """The documents: that of all APIs, and that of agents and administrators, to which it refers."""

    app = new_app()

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/openapi.yaml", methods=["GET"])
    @takes()
    def whole(self, request: Request) -> bytes:
        """Return the document of all APIs."""
        return _answer(request, "openapi.yaml")

    @app.route("/admin/openapi-operators.yaml", methods=["GET"])
    @takes()
    def operators(self, request: Request) -> bytes:
        """Return the document for agents and administrators."""
        return _answer(request, "openapi-operators.yaml")


def _answer(request: Request, name: str) -> bytes:
    request.setHeader(b"content-type", b"application/yaml")
    return answer_known(request, document(name).encode("utf-8"))
