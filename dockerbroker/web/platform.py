"""The routes of the Open Service Broker API."""

from attrs import evolve
from klein.resource import KleinResource
from twisted.logger import Logger
from twisted.web.server import Request

from dockerbroker.broker.service import ServiceBroker
from dockerbroker.model.audit import Origin
from dockerbroker.web import osb_answers, osb_requests
from dockerbroker.web.answers import answer, body_of, detached, new_app
from dockerbroker.web.identity import printable
from dockerbroker.web.origins import origin_of
from dockerbroker.web.page import CatalogPage
from dockerbroker.web.query import Query

_INSTANCE = "/v2/service_instances/<instance_id>"
_BINDING = f"{_INSTANCE}/service_bindings/<binding_id>"
_IF_NONE_MATCH = b"if-none-match"


class Platform:
    """What a platform such as Cloud Foundry talks to."""

    app = new_app()
    _log = Logger()

    def __init__(self, broker: ServiceBroker, page: CatalogPage) -> None:
        self._broker = broker
        self._page = page

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    def shortcut(self, request: Request) -> bytes | None:
        """Return the catalog without asking the router, as long as it is fresh."""
        if request.path != b"/v2/catalog" or request.method != b"GET":
            return None
        page = self._page.fresh()
        if page is None or request.requestHeaders.hasHeader(_IF_NONE_MATCH):
            return None
        request.setHeader(b"etag", page.tag)
        return page.body

    @app.route("/v2/catalog", methods=["GET"])
    async def catalog(self, request: Request) -> bytes:
        """Answer with the catalog, or tell that the platform has it."""
        page = self._page.fresh() or await self._page.read()
        request.setHeader(b"etag", page.tag)
        known = request.requestHeaders.getRawHeaders(_IF_NONE_MATCH)
        if known is not None and page.is_known(b",".join(known)):
            request.setResponseCode(304)
            return b""
        request.setHeader(b"content-length", b"%d" % len(page.body))
        return page.body

    @app.route(_INSTANCE, methods=["PUT"])
    async def provision(self, request: Request, instance_id: str) -> bytes:
        """Provision a service instance."""
        asked = osb_requests.provision_request(instance_id, Query.of(request.uri), body_of(request))
        asked = evolve(asked, origin=self._told(request, "provision", instance_id))
        return answer(request, *osb_answers.provisioned(await detached(self._broker.provision(asked))))

    @app.route(_INSTANCE, methods=["PATCH"])
    async def update(self, request: Request, instance_id: str) -> bytes:
        """Update a service instance."""
        asked = osb_requests.update_request(instance_id, Query.of(request.uri), body_of(request))
        asked = evolve(asked, origin=self._told(request, "update", instance_id))
        return answer(request, *osb_answers.updated(await detached(self._broker.update(asked))))

    @app.route(_INSTANCE, methods=["DELETE"])
    async def deprovision(self, request: Request, instance_id: str) -> bytes:
        """Deprovision a service instance."""
        asked = osb_requests.delete_request(instance_id, Query.of(request.uri))
        asked = evolve(asked, origin=self._told(request, "deprovision", instance_id))
        return answer(request, *osb_answers.deleted(await detached(self._broker.deprovision(asked))))

    @app.route(_INSTANCE, methods=["GET"])
    async def instance(self, request: Request, instance_id: str) -> bytes:
        """Fetch a service instance."""
        asked = osb_requests.fetch_request(instance_id, Query.of(request.uri))
        instance = await detached(self._broker.fetch_instance(asked))
        return answer(request, *osb_answers.fetched_instance(instance))

    @app.route(f"{_INSTANCE}/last_operation", methods=["GET"])
    async def instance_operation(self, request: Request, instance_id: str) -> bytes:
        """Tell how the last operation on a service instance is going."""
        return await self._poll(request, instance_id)

    @app.route(_BINDING, methods=["PUT"])
    async def bind(self, request: Request, instance_id: str, binding_id: str) -> bytes:
        """Bind a service instance, or rotate a binding."""
        query, body = Query.of(request.uri), body_of(request)
        asked = osb_requests.bind_request(instance_id, binding_id, query, body)
        asked = evolve(asked, origin=self._told(request, "bind", instance_id, binding_id))
        return answer(request, *osb_answers.bound(await detached(self._broker.bind(asked))))

    @app.route(_BINDING, methods=["DELETE"])
    async def unbind(self, request: Request, instance_id: str, binding_id: str) -> bytes:
        """Remove a binding."""
        asked = osb_requests.delete_request(instance_id, Query.of(request.uri), binding_id)
        asked = evolve(asked, origin=self._told(request, "unbind", instance_id, binding_id))
        return answer(request, *osb_answers.deleted(await detached(self._broker.unbind(asked))))

    @app.route(_BINDING, methods=["GET"])
    async def binding(self, request: Request, instance_id: str, binding_id: str) -> bytes:
        """Fetch a binding."""
        asked = osb_requests.fetch_request(instance_id, Query.of(request.uri), binding_id)
        binding = await detached(self._broker.fetch_binding(asked))
        return answer(request, *osb_answers.fetched_binding(binding))

    @app.route(f"{_BINDING}/last_operation", methods=["GET"])
    async def binding_operation(self, request: Request, instance_id: str, binding_id: str) -> bytes:
        """Tell how the last operation on a binding is going."""
        return await self._poll(request, instance_id, binding_id)

    async def _poll(self, request: Request, instance_id: str, binding_id: str | None = None) -> bytes:
        asked = osb_requests.poll_request(instance_id, Query.of(request.uri), binding_id)
        operation = await detached(self._broker.last_operation(asked))
        if operation.retry_after is not None:
            request.setHeader(b"retry-after", b"%d" % operation.retry_after)
        return answer(request, *osb_answers.last_operation(operation))

    def _told(self, request: Request, change: str, instance_id: str, binding_id: str | None = None) -> Origin:
        """Return who asks for a change, and write it down."""
        origin = origin_of(request)
        self._log.info(
            "{change} of {what!r} asked by {who!r}, request {request!r}",
            change=change,
            what="/".join(printable(identifier) for identifier in (instance_id, binding_id) if identifier),
            who=" ".join(filter(None, (origin.platform, origin.user))) or "unknown",
            request=origin.request_id,
        )
        return origin
