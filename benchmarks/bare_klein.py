"""A bare Klein application that answers pings unseen: `python -m benchmarks.bare_klein ENDPOINT`."""

import sys

from klein import Klein
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorCore
from twisted.web.iweb import IRequest

from benchmarks.bare import QuietSite

app = Klein()


@app.route("/ping", methods=["POST"])
async def ping(request: IRequest) -> bytes:
    """Answer a ping."""
    request.setHeader(b"content-type", b"application/json")
    return b'{"KeepAlive":1.0}'


def main() -> None:
    """Serve until killed."""
    serverFromString(reactor, sys.argv[1]).listen(QuietSite(app.resource()))
    IReactorCore(reactor).run()


if __name__ == "__main__":
    main()
