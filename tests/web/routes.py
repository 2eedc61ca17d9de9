"""Every route of the broker, read from the routers themselves."""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from dockerbroker.web.administration import Administrators
from dockerbroker.web.certificates import CertificateRoutes
from dockerbroker.web.credentials import CredentialRoutes
from dockerbroker.web.hosts import HostRoutes
from dockerbroker.web.platform import Platform

APIS: Final = (Platform, HostRoutes, CredentialRoutes, CertificateRoutes, Administrators)
_PLACEHOLDER: Final = re.compile(r"<(?:\w+:)?(\w+)>")
_FILLED: Final = {
    "host": "10.0.0.2",
    "catalog": "docker",
    "credential": "c-1",
    "name": "redis",
    "instance_id": "i-1",
    "binding_id": "b-1",
}


@frozen
class Route:
    """A path with its placeholders filled, and the method that it takes."""

    method: str
    path: str
    is_versioned: bool


def routes() -> Iterator[Route]:
    """Return every route: a new one is in this list as soon as it is served, but for that of agents."""
    # It has no router.
    yield Route("POST", "/ping", is_versioned=False)
    for api in APIS:
        for rule in api.app.url_map.iter_rules():
            path = _PLACEHOLDER.sub(lambda match: _FILLED[match.group(1)], rule.rule)
            for method in sorted(rule.methods or ()):
                yield Route(method, path, api is Platform)


def methods_of(path: str) -> set[str]:
    """Return the methods that the path takes."""
    return {route.method for route in routes() if route.path == path}
