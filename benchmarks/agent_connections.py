"""Agents that keep their connections to one broker or to several, with TLS or without."""

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS

from benchmarks.backends import Section, opened, with_reactor
from benchmarks.pinging import Crowd, Pinged, Send, ping_all
from benchmarks.processes import cpu_seconds
from dockerbroker.model.pings import encode_ping
from dockerbroker.model.vitals import Ping
from tests.running import PASSWORD, USER

#: How many connections are made at once, so that none is refused.
_CONNECTING: Final = 50
_TOKEN: Final = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
_HEAD: Final = (
    "POST /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Authorization: Basic {_TOKEN}\r\nContent-Length: {{length}}\r\n\r\n"
)


def ping_brokers(
    crowd: Crowd, brokers: Sequence[tuple[int, int]], authority: Path | None, section: Section | None
) -> Pinged:
    """Let each agent ping all the brokers, in a process of its own, which this must be called in.

    Of each broker the id of its process and its port are given. What is measured of the processor is what all
    of them take together, from when all connections are made. With the file of an `authority` that is done
    over TLS. With the `section` of a database it is looked what is stored there in the end.
    """
    trust = None if authority is None else Certificate.loadPEM(authority.read_bytes())

    async def work(reactor: Any) -> Pinged:
        persister = None if section is None else await opened(reactor, section)
        sends = [await _connected(reactor, port, trust, crowd.agents) for _, port in brokers]

        async def send(number: int, ping: Ping) -> None:
            await gatherResults([Deferred.fromCoroutine(_sent(one, number, ping)) for one in sends])

        def spent() -> float:
            return sum(cpu_seconds(pid) for pid, _ in brokers)

        return await ping_all(reactor, crowd, send if len(sends) > 1 else sends[0], persister, spent)

    return cast("Pinged", with_reactor(work))


async def _sent(send: Send, number: int, ping: Ping) -> None:
    await send(number, ping)


async def _connected(reactor: Any, port: int, trust: Certificate | None, count: int) -> Send:
    """Return what sends pings over so many connections, one for each agent."""
    endpoint: IStreamClientEndpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    if trust is not None:
        endpoint = wrapClientTLS(optionsForClientTLS("localhost", trustRoot=trust), endpoint)
    factory, turns = Factory.forProtocol(Connection), DeferredSemaphore(_CONNECTING)
    factory.noisy = False
    found = await gatherResults([turns.run(endpoint.connect, factory) for _ in range(count)])
    connections = cast("list[Connection]", found)

    async def send(number: int, ping: Ping) -> None:
        connection = connections[number]
        # An agent has one request under way.
        await connection.turns.run(connection.ping, ping)

    return send


class Connection(Protocol):
    """An agent's connection, over which it has one request under way."""

    def __init__(self) -> None:
        self.turns = DeferredLock()
        self._received = b""
        self._answered: Deferred[None] | None = None

    def ping(self, ping: Ping) -> Deferred[None]:
        """Send a ping; the Deferred fires when it was acknowledged, and fails when it was refused."""
        body = json.dumps(encode_ping(ping, "2026-01-01T00:00:00Z")).encode()
        self._answered = Deferred()
        assert self.transport is not None, "it is connected"
        self.transport.write(_HEAD.format(length=len(body)).encode() + body)
        return self._answered

    def dataReceived(self, data: bytes) -> None:
        """Take what is received; an answer ends with its body, in one piece or in several."""
        self._received += data
        if not self._received.endswith((b"}", b"\r\n0\r\n\r\n")) or self._answered is None:
            return
        answer, self._received = self._received, b""
        answered, self._answered = self._answered, None
        if answer.startswith(b"HTTP/1.1 200 "):
            answered.callback(None)
        else:
            answered.errback(AssertionError(answer.decode(errors="replace")))
