"""The routes by which administrators read service instances, bindings and operations, and help those."""

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker.broker.inventory import Inventory
from dockerbroker.broker.operations import KnownOperation, Operations
from dockerbroker.errors import InvalidRequest
from dockerbroker.model.instances import InstanceState, OperationKind, Phase
from dockerbroker.model.listings import (
    InstanceFilter,
    OperationFilter,
    encode_binding,
    encode_instance,
    encode_operation,
)
from dockerbroker.model.standing import host_id
from dockerbroker.web.answers import answer, detached, new_app
from dockerbroker.web.conditions import answer_known
from dockerbroker.web.origins import origin_of
from dockerbroker.web.osb_requests import check_identifier
from dockerbroker.web.parameters import OF_LISTS, takes
from dockerbroker.web.parts import Wanted, link
from dockerbroker.web.query import Query

_INSTANCE = "/admin/instances/<instance_id>"


class InventoryRoutes:
    """What administrators look at; nothing of it holds a secret."""

    app = new_app()

    def __init__(self, inventory: Inventory, operations: Operations) -> None:
        self._inventory = inventory
        self._operations = operations

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/instances", methods=["GET"])
    @takes(*OF_LISTS, "service", "plan", "host", "state", "organization", "space")
    async def instances(self, request: Request) -> bytes:
        """List service instances."""
        wanted = Wanted.of(request)
        filtered = _instances(wanted.query)
        part = await self._inventory.instances(filtered, after=wanted.after or "", limit=wanted.limit)
        link(request, wanted, part.after)
        return answer_known(request, [encode_instance(one) for one in part.items])

    @app.route(_INSTANCE, methods=["GET"])
    @takes()
    async def instance(self, request: Request, instance_id: str) -> bytes:
        """Return one service instance."""
        known = await self._inventory.instance(_checked("instance", instance_id))
        condition = {} if known.condition is None else {"Condition": known.condition}
        return answer_known(request, {**encode_instance(known.instance), **condition})

    @app.route(f"{_INSTANCE}/bindings", methods=["GET"])
    @takes(*OF_LISTS)
    async def bindings(self, request: Request, instance_id: str) -> bytes:
        """List the bindings of a service instance."""
        wanted = Wanted.of(request)
        checked = _checked("instance", instance_id)
        part = await self._inventory.bindings(checked, after=wanted.after or "", limit=wanted.limit)
        link(request, wanted, part.after)
        return answer_known(request, [encode_binding(one) for one in part.items])

    @app.route(f"{_INSTANCE}/bindings/<binding_id>", methods=["GET"])
    @takes()
    async def binding(self, request: Request, instance_id: str, binding_id: str) -> bytes:
        """Return one binding."""
        ids = _checked("instance", instance_id), _checked("binding", binding_id)
        return answer_known(request, encode_binding(await self._inventory.binding(*ids)))

    @app.route("/admin/operations", methods=["GET"])
    @takes(*OF_LISTS, "instance", "binding", "kind", "state", "unfinished")
    async def operations(self, request: Request) -> bytes:
        """List operations, those begun last first."""
        wanted = Wanted.of(request)
        filtered = _operations(wanted.query)
        part = await self._operations.some(filtered, after=wanted.after, limit=wanted.limit)
        link(request, wanted, part.after)
        return answer_known(request, [encode_operation(one) for one in part.items])

    @app.route("/admin/operations/<operation_id>", methods=["GET"])
    @takes()
    async def operation(self, request: Request, operation_id: str) -> bytes:
        """Return one operation."""
        checked = _checked("operation", operation_id)
        return answer_known(request, _encoded(await self._operations.one(checked)))

    @app.route("/admin/operations/<operation_id>/retry", methods=["POST"])
    @takes()
    async def retry(self, request: Request, operation_id: str) -> bytes:
        """Let an operation that waits be tried at once."""
        checked = _checked("operation", operation_id)
        await detached(self._operations.retry(checked, origin_of(request)))
        return answer(request, 202, _encoded(await self._operations.one(checked)))

    @app.route("/admin/operations/<operation_id>/cancel", methods=["POST"])
    @takes()
    async def cancel(self, request: Request, operation_id: str) -> bytes:
        """Let an operation be undone."""
        checked = _checked("operation", operation_id)
        await detached(self._operations.cancel(checked, origin_of(request)))
        return answer(request, 202, _encoded(await self._operations.one(checked)))


def _checked(what: str, identifier: str) -> str:
    check_identifier(f"{what} id", identifier)
    return identifier


def _instances(query: Query) -> InstanceFilter:
    return InstanceFilter(
        service=query.filled("service"),
        plan=query.filled("plan"),
        host=query.filled("host"),
        state=query.choice("state", InstanceState),
        organization=query.filled("organization"),
        space=query.filled("space"),
    )


def _operations(query: Query) -> OperationFilter:
    wanted = OperationFilter(
        instance=query.filled("instance"),
        binding=query.filled("binding"),
        kind=query.choice("kind", OperationKind),
        state=query.choice("state", Phase),
        unfinished=query.flag("unfinished"),
    )
    if wanted.binding is not None and wanted.instance is None:
        raise InvalidRequest("The query parameter binding needs the parameter instance beside it.")
    for name, identifier in (("instance", wanted.instance), ("binding", wanted.binding)):
        if identifier is not None:
            check_identifier(f"query parameter {name}", identifier)
    return wanted


def _encoded(known: KnownOperation) -> dict[str, object]:
    document = {**encode_operation(known.operation), "What": known.what}
    if known.instance is not None:
        document["Host"] = host_id(known.instance.host)
        if known.instance.container_id is not None:
            document["Container"] = known.instance.container_id
    if known.condition is not None:
        document["Condition"] = known.condition
    return document
