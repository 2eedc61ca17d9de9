"""What a broker's site serves: every method on every path, as its routers know them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from attrs import frozen
from klein.resource import KleinResource
from twisted.web.resource import IResource

from dockerbroker.model.roles import Role
from dockerbroker.web.sections import Sections

#: A parameter in a path of a router, such as `<path:name>`.
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@runtime_checkable
class Routed(Protocol):
    """A resource without a router, which tells by itself what it serves: paths and their methods."""

    @property
    def served(self) -> Iterable[tuple[str, str]]:
        """The methods and their paths."""


@frozen(kw_only=True)
class Route:
    """A method on a path, whose parameters stand in braces, as in OpenAPI; who asks is in no role for None.

    HEAD is served wherever GET is, and not told of.
    """

    path: str
    method: str
    role: Role | None = None

    def at(self, values: Mapping[str, str] | None = None, *, default: str = "x") -> str:
        """Return the path with values for its parameters; `default` for those that have none."""
        return re.sub(r"\{(\w+)\}", lambda found: (values or {}).get(found[1], default), self.path)


def routes_of(resource: IResource, role: Role | None) -> Iterator[Route]:
    """Return what a resource serves to those in the role."""
    if isinstance(resource, KleinResource):
        for rule in resource._app.url_map.iter_rules():  # noqa: SLF001 (Klein tells it nowhere else)
            path = _PARAMETER.sub(r"{\1}", rule.rule)
            for method in (rule.methods or set()) - {"HEAD"}:
                yield Route(path=path, method=method, role=role)
    elif isinstance(resource, Sections):
        for section in resource.resources.values():
            yield from routes_of(section, role)
    elif isinstance(resource, Routed):
        for method, path in resource.served:
            yield Route(path=path, method=method, role=role)
