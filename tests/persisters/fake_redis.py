"""A Redis server that answers as it is told, at the end of a line whose time is a test's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionLost
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure

from dockerbroker.persisters.redis.lines import Line, Wire

#: What the server does when it is asked: it answers this, or loses the connection, or says nothing.
Act = bytes | type[ConnectionLost] | None

#: Of this the server does not know the script.
NO_SCRIPT = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"


def bulk(text: str | bytes) -> bytes:
    """Return a text as the server writes it."""
    data = text.encode() if isinstance(text, str) else text
    return b"$%d\r\n%s\r\n" % (len(data), data)


def many(*texts: str) -> bytes:
    """Return a list of texts as the server writes it."""
    return b"*%d\r\n" % len(texts) + b"".join(map(bulk, texts))


def words(data: bytes) -> list[str]:
    """Return the words of one command."""
    parts = data.split(b"\r\n")
    return [part.decode() for part in parts[2::2]]


@define(eq=False)
class FakeTransport:
    """One connection of the fake server."""

    server: FakeRedis
    protocol: Wire
    disconnecting: bool = field(default=False, init=False)

    def write(self, data: bytes) -> None:
        """Let the server do what it does."""
        self.server.asked(words(data), self)

    def lose(self, error: Exception) -> None:
        """End, in the next turn."""
        if not self.disconnecting:
            self.disconnecting = True
            self.server.clock.callLater(0, self.protocol.connectionLost, Failure(error))

    def abortConnection(self) -> None:
        """End at once."""
        self.lose(ConnectionAborted())

    def pauseProducing(self) -> None:
        """Do nothing."""

    def resumeProducing(self) -> None:
        """Do nothing."""


@define(eq=False)
class FakeRedis:
    """The server: `acts` is what it does to the next scripts, and then it answers `["found"]`.

    `scripts` are the words by which it was asked to run some, and `commands` all others. `role` is what it
    says that it is; `refusing` for how many connections nobody listens.
    """

    clock: Clock = field(factory=Clock)
    acts: deque[Act] = field(factory=deque)
    scripts: list[list[str]] = field(factory=list, init=False)
    commands: list[list[str]] = field(factory=list, init=False)
    connections: list[FakeTransport] = field(factory=list, init=False)
    role: str = "master"
    greeting: bytes | None = None
    refusing: int = 0
    hangs: bool = False
    time: Callable[[], float] = field(default=lambda: 1000.0)

    def asked(self, command: list[str], connection: FakeTransport) -> None:
        """Do what is next."""
        if command[0].startswith("EVAL"):
            self.scripts.append(command)
            act = self.acts.popleft() if self.acts else bulk('["found"]')
        else:
            self.commands.append(command)
            act = self._greet(command)
        if isinstance(act, bytes):
            self.clock.callLater(0, connection.protocol.dataReceived, act)
        elif act is not None:
            connection.lose(act())

    def _greet(self, command: list[str]) -> bytes:
        if self.greeting is not None:
            return self.greeting
        match command[0]:
            case "INFO":
                return bulk(f"role:{self.role}\r\n")
            case "TIME":
                return many(str(int(self.time())), "500000")
        return b"+OK\r\n"


@define(eq=False)
class FakeLine:
    """The line to a fake server."""

    server: FakeRedis

    def seconds(self) -> float:
        """Return the time of the test."""
        return self.server.clock.seconds()

    def connect(self, within: float) -> Deferred[Wire]:
        """Connect, unless the server does not listen."""
        if self.server.hangs:
            return self.limited(Deferred(), within)
        if self.server.refusing:
            self.server.refusing -= 1
            return fail(ConnectError())
        wire = Wire(self.server.clock)
        transport: Any = FakeTransport(self.server, wire)
        self.server.connections.append(transport)
        wire.makeConnection(transport)
        return succeed(wire)

    def limited(self, outcome: Deferred[Any], within: float) -> Deferred[Any]:
        """Cancel what does not come in time."""
        return outcome.addTimeout(max(0.0, within), self.server.clock)

    def pause(self, seconds: float) -> Deferred[None]:
        """Wait until the test's time has passed."""
        return deferLater(self.server.clock, seconds)

    def without_tls(self) -> Line:
        """Return itself."""
        return self
