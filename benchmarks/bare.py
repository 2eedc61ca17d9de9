"""A bare twisted.web server that answers with the bytes of a file: `python -m benchmarks.bare PORT FILE`."""

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorCore
from twisted.web.http import Request
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Site


class Answer(Resource):
    """Answers with the same bytes always."""

    isLeaf = True

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def render_GET(self, request: IRequest) -> bytes:
        """Answer a GET."""
        request.setHeader(b"content-type", b"application/json")
        return self._body


class QuietSite(Site):
    """Writes no access log, as the broker does not either."""

    def log(self, request: Request) -> None:
        """Write nothing."""


def main() -> None:
    """Serve until killed."""
    port, body = sys.argv[1], Path(sys.argv[2]).read_bytes()
    serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1").listen(QuietSite(Answer(body)))
    IReactorCore(reactor).run()


if __name__ == "__main__":
    main()
