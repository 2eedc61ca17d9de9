"""A TCP proxy in front of a server, with the faults of networks."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

_CHUNK = 65536
#: How often threads look whether the proxy has ended, in seconds.
_GLANCE = 0.2
_PATIENCE = 10
#: SO_LINGER of no seconds: a close is a reset.
_NO_LINGER = struct.pack("ii", 1, 0)

#: Tells of bytes from the client whether they are meant.
Predicate = Callable[[bytes], bool]


@define(eq=False)
class Loss:
    """A reply to lose: `forward` tells whether the request still reaches the server."""

    meant: Predicate
    forward: bool
    times: int


@define(eq=False)
class Pair:
    """One connection of a client, and the one that the proxy has made for it."""

    client: socket.socket
    server: socket.socket
    #: Whether what the server says is kept from the client, which is cut off then.
    deaf: bool = False
    #: Whether nothing is forwarded any more.
    stalled: bool = False

    def reset(self) -> None:
        """Reset both."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            # A close alone would not wake the threads that wait for it.
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            end.close()


@define(eq=False)
class Proxy:
    """Forwards connections to a port of this machine until the test ends; faults are set at any time.

    `lost` counts the replies that were lost.
    """

    _test: SynchronousTestCase
    _target: int
    _address: str = "127.0.0.1"
    lost: int = field(default=0, init=False)
    _listener: socket.socket = field(init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _pairs: set[Pair] = field(factory=set, init=False)
    _threads: list[threading.Thread] = field(factory=list, init=False)
    _flowing: threading.Event = field(factory=threading.Event, init=False)
    _ended: bool = field(default=False, init=False)
    _refusing: bool = field(init=False)
    _pause: float = field(init=False)
    _piece: int = field(init=False)
    _loss: Loss | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Listen."""
        self.heal()
        self._listener = socket.create_server((self._address, 0), backlog=64)
        self._listener.settimeout(_GLANCE)
        self._test.addCleanup(self.end)
        self._spawn(self._accept)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def heal(self) -> None:
        """Forward everything from now on as it comes; what was held back goes on."""
        self._refusing, self._pause, self._piece, self._loss = False, 0.0, _CHUNK, None
        self._flowing.set()

    def refuse(self) -> None:
        """Reset all connections, and each new one at once."""
        self._refusing = True
        self.reset_all()

    def hang(self) -> None:
        """Accept connections, and forward nothing in either direction."""
        self._flowing.clear()

    def stall(self, number: int) -> None:
        """Forward nothing any more on so many of the connections that there are; new ones work."""
        with self._lock:
            for pair in list(self._pairs)[:number]:
                pair.stalled = True

    def delay(self, seconds: float) -> None:
        """Hold back each piece from the client for so long."""
        self._pause = seconds

    def slice(self) -> None:
        """Forward a byte at a time."""
        self._piece = 1

    def drop_replies_after(self, meant: bytes | Predicate, *, times: int = 1, forward: bool = True) -> None:
        """Lose the reply to the next requests that are meant, and reset their connections then.

        Bytes are meant that hold the given ones in upper or lower case. With `forward` the server has done
        what was asked; without, it has not seen it.
        """
        if isinstance(meant, bytes):
            words = meant.lower()
            self._loss = Loss(lambda data: words in data.lower(), forward, times)
        else:
            self._loss = Loss(meant, forward, times)

    def reset_all(self) -> None:
        """Reset all connections that there are."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()

    @property
    def connections(self) -> int:
        """How many there are."""
        with self._lock:
            return len(self._pairs)

    def end(self) -> None:
        """End all connections and threads."""
        self._ended = True
        self._listener.close()
        self._flowing.set()
        self.reset_all()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _spawn(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        client.settimeout(None)
        try:
            server = socket.create_connection(("127.0.0.1", self._target), _PATIENCE)
        except OSError:
            Pair(client, client).reset()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = Pair(client, server)
        with self._lock:
            self._pairs.add(pair)
        if self._refusing or self._ended:
            self._drop(pair)
            return
        self._spawn(self._ask, pair)
        self._spawn(self._answer, pair)

    def _drop(self, pair: Pair) -> None:
        with self._lock:
            self._pairs.discard(pair)
        pair.reset()

    def _ask(self, pair: Pair) -> None:
        """Forward what the client says."""
        with suppress(OSError):
            while data := pair.client.recv(_CHUNK):
                self._hold_back(pair)
                self._wait(self._pause)
                loss = self._loss
                if loss is not None and loss.times and loss.meant(data):
                    loss.times -= 1
                    self.lost += 1
                    if not loss.forward:
                        break
                    pair.deaf = True
                self._send(pair.server, data)
        if not pair.deaf:
            self._drop(pair)

    def _answer(self, pair: Pair) -> None:
        """Forward what the server says."""
        with suppress(OSError):
            while data := pair.server.recv(_CHUNK):
                self._hold_back(pair)
                if pair.deaf:
                    break
                self._send(pair.client, data)
        self._drop(pair)

    def _hold_back(self, pair: Pair) -> None:
        self._flowing.wait()
        while pair.stalled and not self._ended:
            time.sleep(_GLANCE)

    def _send(self, end: socket.socket, data: bytes) -> None:
        for start in range(0, len(data), self._piece):
            end.sendall(data[start : start + self._piece])

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._ended and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _GLANCE))
