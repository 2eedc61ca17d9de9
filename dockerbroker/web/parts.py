"""Lists in parts: which part is asked for, and where the next one is."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

from attrs import frozen
from twisted.web.server import Request

from dockerbroker.model.listings import MOST, part_of
from dockerbroker.web.query import Query

T = TypeVar("T")

#: How many a part holds unless another number is asked for.
USUAL: Final = 100

#: What stands in a path as it is; the rest would end the target, or is no ASCII.
_PATH: Final = "/%!$&'()*+,:;=@~"


@frozen
class Wanted:
    """Which part of a list is asked for: so many, after one that the part before has named."""

    query: Query
    limit: int
    after: str | None

    @classmethod
    def of(cls, request: Request) -> "Wanted":
        """Read the parameters `limit` and `after`; raises `InvalidRequest`."""
        query = Query.of(request.uri)
        return cls(query, query.number("limit", USUAL, least=1, most=MOST), query.filled("after"))


def link(request: Request, wanted: Wanted, after: str | None) -> None:
    """Tell in a header `Link` where the next part is (RFC 8288), unless this is the last."""
    if after is None:
        return
    parameters = {name: values[0] for name, values in wanted.query.values.items()}
    path = quote(request.path, safe=_PATH)
    target = f"{path}?{urlencode({**parameters, 'after': after})}"
    request.setHeader(b"link", f'<{target}>; rel="next"'.encode("ascii"))


def next_part(request: Request, wanted: Wanted, records: Mapping[str, T]) -> Sequence[tuple[str, T]]:
    """Return the wanted part of records that are all there, by name, and tell where the next one is."""
    found = part_of(records, wanted.after, wanted.limit)
    link(request, wanted, found.after)
    return found.items
