"""Who asks, as it is known behind the gate of an API."""

from twisted.web.server import Request
from zope.interface import Interface

from dockerbroker.model.roles import Principal


class _IAsking(Interface):
    """Stands for the principal among what a request carries."""


def let_in(request: Request, principal: Principal) -> None:
    """Remember who asks."""
    request.setComponent(_IAsking, principal)


def principal_of(request: Request) -> Principal:
    """Return who asks; every request that a route sees has come through a gate that knows."""
    principal: Principal | None = request.getComponent(_IAsking)
    assert principal is not None, "the request has come through no gate"
    return principal
