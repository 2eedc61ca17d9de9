"""Who asks, as it is known behind the gate of an API."""

from typing import Any, cast

from twisted.web.server import Request

from dockerbroker.model.roles import Principal
from dockerbroker.web.guard import GuardedRequest


def let_in(request: Request, principal: Principal) -> None:
    """Remember who asks, whose body does not count among those of strangers any more."""
    cast("Any", request).principal = principal
    if isinstance(request, GuardedRequest):
        request.let_in()


def principal_of(request: Request) -> Principal:
    """Return who asks; every request that a route sees has come through a gate that knows."""
    principal: Principal | None = getattr(request, "principal", None)
    assert principal is not None, "the request has come through no gate"
    return principal
