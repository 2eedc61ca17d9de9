"""Handshakes in memory, and the bytes of clients that no library makes any more."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress

from attrs import frozen
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL import SSL

from dockerbroker.model.secrets import Secret
from dockerbroker.tls.pairs import Pair

#: The content types of records.
ALERT, HANDSHAKE = 21, 22
SSL3, TLS10, TLS11, TLS12 = (3, 0), (3, 1), (3, 2), (3, 3)


def pair_of(certificate: bytes, key: bytes) -> Pair:
    """Return the pair that these files would hold."""
    loaded = load_pem_private_key(key, password=None)
    return Pair(chain=tuple(load_pem_x509_certificates(certificate)), key=Secret(loaded))


def client_context(configure: Callable[[SSL.Context], object] = bool) -> SSL.Context:
    """Return the context of a client that agrees to anything, verifies nothing, and is configured further."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    configure(context)
    return context


@frozen
class Meeting:
    """A client and a server that have each other's bytes."""

    client: SSL.Connection
    server: SSL.Connection

    @classmethod
    def of(cls, client: SSL.Context, server: SSL.Context) -> Meeting:
        """Let them meet; nothing has been said."""
        one, other = SSL.Connection(client, None), SSL.Connection(server, None)
        one.set_connect_state()
        other.set_accept_state()
        return cls(one, other)

    def shake(self) -> Meeting:
        """Do the handshake; raises `SSL.Error` when one of them refuses."""
        for _ in range(5):
            self.step()
        # In TLS 1.3 a client is done before the server has judged its certificate.
        self.exchange(b"?", b"!")
        return self

    def step(self) -> None:
        """Let each say what it has to say now."""
        for one, other in ((self.client, self.server), (self.server, self.client)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            finally:
                _carry(one, other)

    def exchange(self, question: bytes, answer: bytes) -> None:
        """Let the client ask and the server answer; raises `SSL.Error`, or AssertionError for other words."""
        for one, other, words in (
            (self.client, self.server, question),
            (self.server, self.client, answer),
        ):
            one.send(words)
            _carry(one, other)
            assert other.recv(100) == words


def asked(
    context: ssl.SSLContext,
    server_context: SSL.Context,
    session: ssl.SSLSession | None = None,
    name: str | None = None,
) -> ssl.SSLObject:
    """Return the connection of a client of the standard library, after a handshake and an answer."""
    server, inward, outward = SSL.Connection(server_context, None), ssl.MemoryBIO(), ssl.MemoryBIO()
    server.set_accept_state()
    client = context.wrap_bio(inward, outward, server_hostname=name, session=session)
    for act in (client.do_handshake, server.do_handshake) * 3:
        with suppress(ssl.SSLWantReadError, SSL.WantReadError):
            act()
        if data := outward.read():
            server.bio_write(data)
        _give(server, inward)
    server.send(b"!")
    _give(server, inward)
    assert client.read() == b"!"
    return client


def _give(server: SSL.Connection, inward: ssl.MemoryBIO) -> None:
    with suppress(SSL.WantReadError):
        inward.write(server.bio_read(1 << 16))


def _carry(one: SSL.Connection, other: SSL.Connection) -> None:
    with suppress(SSL.WantReadError):
        other.bio_write(one.bio_read(1 << 16))


def hello(version: tuple[int, int], suites: Sequence[int], compression: bytes = b"\x00") -> bytes:
    """Return the first record of a client of that version, which offers these cipher suites."""
    body = bytes(version) + bytes(32) + b"\x00"
    body += _counted(b"".join(struct.pack("!H", suite) for suite in suites)) + bytes([len(compression)])
    body += compression
    if version > SSL3:
        body += _counted(_extensions())
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return bytes([HANDSHAKE, 3, 0 if version == SSL3 else 1]) + _counted(message)


def answer_to(context: SSL.Context, first: bytes) -> bytes:
    """Return what a server says to the first record of a client."""
    server = SSL.Connection(context, None)
    server.set_accept_state()
    server.bio_write(first)
    with suppress(SSL.Error):
        server.do_handshake()
    with suppress(SSL.WantReadError):
        return server.bio_read(1 << 16)
    return b""


def _extensions() -> bytes:
    groups = _counted(struct.pack("!HH", 0x001D, 0x0017))
    algorithms = _counted(struct.pack("!HHH", 0x0403, 0x0804, 0x0401))
    found = ((0x000A, groups), (0x000B, b"\x01\x00"), (0x000D, algorithms))
    return b"".join(struct.pack("!H", number) + _counted(data) for number, data in found)


def _counted(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data
