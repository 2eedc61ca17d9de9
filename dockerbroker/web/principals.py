"""Who asks, as it is known behind the gate of an API."""

from typing import Any, cast

from twisted.web.server import Request

from dockerbroker.model.roles import Principal


def let_in(request: Request, principal: Principal) -> None:
    """Remember who asks."""
    cast("Any", request).principal = principal


def principal_of(request: Request) -> Principal:
    """Return who asks; every request that a route sees has come through a gate that knows."""
    principal: Principal | None = getattr(request, "principal", None)
    assert principal is not None, "the request has come through no gate"
    return principal
