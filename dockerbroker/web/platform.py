"""The routes of the Open Service Broker API."""

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker.broker.service import ServiceBroker
from dockerbroker.web import osb
from dockerbroker.web.answers import answer, body_of, detached, new_app
from dockerbroker.web.page import CatalogPage


class Platform:
    """What a platform such as Cloud Foundry talks to."""

    app = new_app()

    def __init__(self, broker: ServiceBroker, page: CatalogPage) -> None:
        self._broker = broker
        self._page = page

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    def shortcut(self, request: Request) -> bytes | None:
        """Return the catalog without asking the router, as long as it is fresh."""
        if request.path == b"/v2/catalog" and request.method == b"GET":
            return self._page.fresh()
        return None

    @app.route("/v2/catalog", methods=["GET"])
    async def catalog(self, request: Request) -> bytes:
        """Answer with the catalog, when the page is not fresh any more."""
        request.setResponseCode(200)
        return await self._page.read()

    @app.route("/v2/service_instances/<instance_id>", methods=["PUT"])
    async def provision(self, request: Request, instance_id: str) -> bytes:
        """Provision a service instance."""
        asked = osb.provision_request(instance_id, body_of(request))
        return answer(request, *osb.provisioned(await detached(self._broker.provision(asked))))

    @app.route("/v2/service_instances/<instance_id>", methods=["DELETE"])
    async def deprovision(self, request: Request, instance_id: str) -> bytes:
        """Deprovision a service instance."""
        asked = osb.delete_request(instance_id, request.args)
        await detached(self._broker.deprovision(asked))
        return answer(request, 200, {})

    @app.route("/v2/service_instances/<instance_id>/service_bindings/<binding_id>", methods=["PUT"])
    async def bind(self, request: Request, instance_id: str, binding_id: str) -> bytes:
        """Bind a service instance."""
        asked = osb.bind_request(instance_id, binding_id, body_of(request))
        return answer(request, *osb.bound(await detached(self._broker.bind(asked))))

    @app.route("/v2/service_instances/<instance_id>/service_bindings/<binding_id>", methods=["DELETE"])
    async def unbind(self, request: Request, instance_id: str, binding_id: str) -> bytes:
        """Remove a binding."""
        asked = osb.delete_request(instance_id, request.args, binding_id)
        await detached(self._broker.unbind(asked))
        return answer(request, 200, {})
