"""Docker's frames are taken apart however they are sliced, and both halves of a connection end separately."""

import contextlib
import itertools
import socket
import ssl

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.address import DockerAddress, TlsMaterial
from dockerbroker.engines.streams import (
    FRAME_LIMIT,
    Connection,
    ConnectionCutError,
    Demultiplexer,
    PlainCodec,
    ProtocolError,
    TlsCodec,
)
from dockerbroker.model.secrets import Secret
from tests.engines.certificates import Authority
from tests.fake_dockerd import frame

LIMIT, TAIL = 64, 32
frames = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=100)), max_size=20)
cuts = st.lists(st.integers(min_value=0, max_value=4000), max_size=30)


def _slices(data: bytes, positions: list[int]) -> list[bytes]:
    places = [0, *sorted(min(position, len(data)) for position in positions), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


class DemultiplexerTests(SynchronousTestCase):
    """What is kept of the frames."""

    @settings(max_examples=200, deadline=None)
    @given(frames, cuts)
    def test_slicing(self, content: list[tuple[int, bytes]], positions: list[int]) -> None:
        """Any slicing gives the same: the beginning of one stream, the end of the other."""
        demultiplexer = Demultiplexer(LIMIT, TAIL)
        for piece in _slices(b"".join(frame(*one) for one in content), positions):
            demultiplexer.feed(piece)
        stdout = b"".join(data for stream, data in content if stream == 1)
        stderr = b"".join(data for stream, data in content if stream == 2)
        self.assertEqual(demultiplexer.stdout, stdout[:LIMIT])
        self.assertEqual(demultiplexer.stderr_tail, stderr[-TAIL:])
        self.assertEqual(demultiplexer.is_over, len(stdout) > LIMIT)
        self.assertTrue(demultiplexer.is_whole)

    @given(st.binary(min_size=1, max_size=50), st.data())
    def test_cut(self, content: bytes, data: st.DataObject) -> None:
        """A frame that is cut anywhere is not whole."""
        whole = frame(1, content)
        demultiplexer = Demultiplexer(LIMIT, TAIL)
        demultiplexer.feed(whole[: data.draw(st.integers(min_value=1, max_value=len(whole) - 1))])
        self.assertFalse(demultiplexer.is_whole)

    @given(st.binary(max_size=3000), cuts)
    def test_garbage(self, content: bytes, positions: list[int]) -> None:
        """Garbage is a `ProtocolError` or frames, and never more than the limits are kept of it."""
        demultiplexer = Demultiplexer(LIMIT, TAIL)
        try:
            for piece in _slices(content, positions):
                demultiplexer.feed(piece)
        except ProtocolError:
            pass
        self.assertLessEqual(len(demultiplexer.stdout), LIMIT)
        self.assertLessEqual(len(demultiplexer.stderr_tail), TAIL)

    def test_bad_headers(self) -> None:
        """An unknown stream, padding that is not zero and a frame beyond belief are refused at once."""
        too_long = (FRAME_LIMIT + 1).to_bytes(4, "big")
        for header in (
            b"\x00\0\0\0\0\0\0\1",
            b"\x03\0\0\0\0\0\0\1",
            b"\1\1\0\0\0\0\0\1",
            b"\1\0\0\0" + too_long,
        ):
            self.assertRaises(ProtocolError, Demultiplexer(LIMIT, TAIL).feed, header)


class ConnectionTests(SynchronousTestCase):
    """A connection whose other end is a socket of the test."""

    def setUp(self) -> None:
        """Have two connected sockets."""
        ours, self.theirs = socket.socketpair()
        self.connection = Connection(ours, PlainCodec())
        self.addCleanup(self.theirs.close)
        self.addCleanup(self.connection.close)

    def test_half_close(self) -> None:
        """After the end of what is sent, receiving goes on."""
        self.connection.write(b"question")
        self.connection.end()
        self.connection.exchange(0)
        self.assertEqual(self.theirs.recv(100), b"question")
        self.assertEqual(self.theirs.recv(100), b"")
        self.theirs.sendall(b"answer")
        self.assertEqual(self.connection.exchange(5), (b"answer", False))
        self.theirs.close()
        self.assertEqual(self.connection.exchange(5), (b"", True))

    def test_nothing(self) -> None:
        """When nothing comes in time, that is no end."""
        self.assertEqual(self.connection.exchange(0), (b"", False))

    def test_both_ways(self) -> None:
        """What is to be sent does not keep from receiving, however little is read of it."""
        self.connection.write(b"x" * 5_000_000)
        self.theirs.sendall(b"early")
        self.assertEqual(self.connection.exchange(5), (b"early", False))

    def test_reader_gone(self) -> None:
        """When nobody reads what is sent, what was received before still counts."""
        self.theirs.sendall(b"last words")
        self.theirs.shutdown(socket.SHUT_RD)
        self.connection.write(b"x" * 5_000_000)
        self.connection.end()
        self.assertEqual(self.connection.exchange(5), (b"last words", False))

    def test_reset(self) -> None:
        """A reset is told from an end."""
        self.connection.write(b"unread")
        self.connection.exchange(0)
        self.theirs.close()
        self.assertRaises(ConnectionCutError, self.connection.exchange, 5)


class TlsCodecTests(SynchronousTestCase):
    """TLS in memory, on both sides."""

    def setUp(self) -> None:
        """Have a client's codec and a server's, which have shaken hands."""
        authority = Authority()
        certificate, key = authority.issue("engine.example")
        material = TlsMaterial(ca=authority.pem(), certificate=certificate, key=Secret(key))
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = self.mktemp()
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(certificate + key)
        server_context.load_cert_chain(path)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server_context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.client = TlsCodec(_context(material), "engine.example")
        self._handshake()

    def _handshake(self) -> None:
        for _ in range(5):
            for shake in (self.client._tls.do_handshake, self.server.do_handshake):
                with contextlib.suppress(ssl.SSLWantReadError):
                    shake()
                self.incoming.write(self.client.outgoing())
                if data := self.outgoing.read():
                    self.client._incoming.write(data)

    def test_half_close(self) -> None:
        """After TLS's end of what is sent, what the server sends still arrives, and its end as well."""
        self.client.write(b"question" * 10_000)
        self.client.end()
        self.incoming.write(self.client.outgoing())
        received = b""
        while piece := self.server.read(65536):
            received += piece
        self.assertEqual(received, b"question" * 10_000)
        self.server.write(b"answer")
        self.assertEqual(self.client.received(self.outgoing.read()), (b"answer", False))
        self.server.write(b" and more")
        with contextlib.suppress(ssl.SSLWantReadError):
            self.server.unwrap()
        self.assertEqual(self.client.received(self.outgoing.read()), (b" and more", True))

    def test_cut(self) -> None:
        """An end of the wire without TLS's own end is none: somebody may have cut it."""
        self.server.write(b"answ")
        self.assertEqual(self.client.received(self.outgoing.read()), (b"answ", False))
        self.assertRaises(ProtocolError, self.client.received, b"")

    def test_garbage(self) -> None:
        """What is no TLS is refused."""
        self.assertRaises(ProtocolError, self.client.received, b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _context(material: TlsMaterial) -> ssl.SSLContext:
    context = DockerAddress(host="engine.example", port=1, tls=material).context()
    assert context is not None
    return context
