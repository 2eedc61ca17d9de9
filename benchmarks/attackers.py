"""Clients that mean harm, each for so many seconds: to be called in processes of their own.

They are bounded, and know no address but this machine's own.
"""

import resource
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic, sleep
from typing import Final

from attrs import define, field

#: How many clients send forms at once, and how large these are, in bytes.
_SENDERS: Final = 4
FORM: Final = 15_000_000
#: How many clients send byte by byte.
DRIPPING: Final = 200
#: How many connections ask nothing.
IDLE: Final = 2000

_KINDS: Final = (b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x")
_HEAD: Final = b"POST /v2/service_instances/x HTTP/1.1\r\nHost: a\r\n"
_BODY: Final = b"PUT /v2/service_instances/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"

#: The beginning of a handshake that is to be a whole record long, in bytes that nobody can judge before.
_HELLO: Final = b"\x16\x03\x01\x20\x00\x01\x00\x1f\xfc\x03\x03"


def forms(port: int, seconds: float) -> int:
    """Send forms of 15 MB without credentials, one after the other; return how many were answered."""
    body, end = b"a=b&" * (FORM // 4), monotonic() + seconds

    def work(number: int) -> int:
        answered = 0
        while monotonic() < end:
            kind = _KINDS[(number + answered) % len(_KINDS)]
            head = _HEAD + b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
            with suppress(OSError), _connection(port) as told:
                told.sendall(head + body)
                answered += told.recv(65536).startswith(b"HTTP/1.1 4")
        return answered

    with ThreadPoolExecutor(_SENDERS) as pool:
        return sum(pool.map(work, range(_SENDERS)))


def drips(port: int, seconds: float) -> int:
    """Send heads and bodies byte by byte over many connections; return how many bytes were sent."""
    return Connections(port, [_BODY, _HEAD + b"X: "] * (DRIPPING // 2)).keep(seconds, b"x", 0.25)


def handshakes(port: int, seconds: float) -> int:
    """Begin handshakes byte by byte over many connections; return how many bytes were sent."""
    return Connections(port, [_HELLO] * DRIPPING).keep(seconds, b"x", 0.25)


def idle(port: int, seconds: float) -> int:
    """Keep very many connections that ask nothing, and make those anew that are lost; return how many."""
    return Connections(port, [b""] * IDLE).keep(seconds, b"", 1.0)


@define(eq=False)
class Connections:
    """One connection for each beginning, which is made anew when it is lost."""

    port: int
    beginnings: Sequence[bytes]
    _kept: dict[int, socket.socket] = field(factory=dict, init=False)
    _done: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Let this process have so many files."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(len(self.beginnings) + 100, most), most))

    def keep(self, seconds: float, piece: bytes, pause: float) -> int:
        """Send a piece over each, and so again and again after a pause of so many seconds.

        Returns how many connections were made and bytes sent.
        """
        end = monotonic() + seconds
        while monotonic() < end:
            for number in range(len(self.beginnings)):
                with suppress(OSError):
                    self._connect(number)
            for number in list(self._kept):
                self._feed(number, piece)
            sleep(pause)
        for told in self._kept.values():
            told.close()
        return self._done

    def _connect(self, number: int) -> None:
        if number not in self._kept:
            self._kept[number] = told = _connection(self.port)
            self._done += 1
            told.sendall(self.beginnings[number])
            told.setblocking(False)

    def _feed(self, number: int, piece: bytes) -> None:
        told = self._kept[number]
        try:
            self._done += told.send(piece)
            while told.recv(65536):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass
        self._kept.pop(number).close()


def _connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)
