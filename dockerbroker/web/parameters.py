"""Which parameters a route knows: any other may be one that is misspelt, and counts for nothing."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

from twisted.web.server import Request

from dockerbroker.web.query import Query

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")

#: Those of every list.
OF_LISTS: Final = ("limit", "after")


def takes(
    *names: str,
) -> Callable[[Callable[Concatenate[S, Request, P], R]], Callable[Concatenate[S, Request, P], R]]:
    """Return a decorator for routes whose requests have these parameters at most.

    Who asks for less by a filter must not be answered with everything because its name is wrong, and nothing
    must be done otherwise than somebody meant it.
    """

    def decorate(route: Callable[Concatenate[S, Request, P], R]) -> Callable[Concatenate[S, Request, P], R]:
        @wraps(route)
        def strict(section: S, request: Request, /, *args: P.args, **kwargs: P.kwargs) -> R:
            Query.of(request.uri).check_names(names)
            return route(section, request, *args, **kwargs)

        return strict

    return decorate
