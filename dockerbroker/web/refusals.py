"""The answer of a connection that ends with it: one that no route has a part in."""

from typing import Final

from dockerbroker import wire
from dockerbroker.errors import BrokerError, MethodNotAllowed
from dockerbroker.web import osb
from dockerbroker.web.framing import METHODS

#: What every answer says of itself.
ALWAYS: Final = ((b"Server", b"dockerbroker"), (b"X-Content-Type-Options", b"nosniff"))


def refusal(error: BrokerError, *, method: bytes, identity: bytes | None) -> bytes:
    """Return the whole answer to a request that is not read any further.

    `method` is empty when it is not known; `identity` is that of the request, which is told back.
    """
    status, document = osb.failure(error)
    body = wire.encode(document)
    headers = [
        *ALWAYS,
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Connection", b"close"),
    ]
    if isinstance(error, MethodNotAllowed):
        headers.append((b"Allow", b", ".join(METHODS)))
    if identity is not None:
        headers.append((b"X-Broker-API-Request-Identity", identity))
    words = osb.WORDS[status]
    lines = [b"HTTP/1.1 %d %s" % (status, words), *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join([*lines, b"", b"" if method == b"HEAD" else body])
