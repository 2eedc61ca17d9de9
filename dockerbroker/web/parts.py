"""Lists in parts: which part is asked for, and where the next one is."""

from typing import Final
from urllib.parse import quote, urlencode

from attrs import frozen
from twisted.web.server import Request

from dockerbroker.model.listings import MOST
from dockerbroker.web.query import Query

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
