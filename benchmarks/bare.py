"""A bare twisted.web server that answers with the bytes of a file: `python -m benchmarks.bare PORT FILE`."""

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorCore, IReactorTCP
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


def main() -> None:
    """Serve until killed."""
    site = Site(Answer(Path(sys.argv[2]).read_bytes()))
    # The access log is left out on both sides.
    site.log = lambda _: None  # type: ignore[method-assign]
    IReactorTCP(reactor).listenTCP(int(sys.argv[1]), site, interface="127.0.0.1")
    IReactorCore(reactor).run()


if __name__ == "__main__":
    main()
