"""Listening, and its end."""

import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor as the_reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dockerbroker.config.endpoints import SystemdEndpoint, TcpEndpoint, UnixEndpoint
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime import check_endpoint, listen
from dockerbroker.lifetime.listening import adopt, let_nobody_in

# Twisted declares it as less than it is.
reactor: Any = the_reactor

#: More than Twisted takes at once.
_MANY = 120
#: How long a client waits that is not let in, in seconds; otherwise it would be let in at once.
_PATIENCE = 0.2
_FEW = 8


class _Greeting(Protocol):
    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


class ListenTests(TestCase):
    """`listen`, on the real reactor."""

    timeout = 60

    async def test_queue(self) -> None:
        """Connections that the program has not taken yet when it stops to listen are served all the same."""
        endpoint = TcpEndpoint(host="127.0.0.1", port=0)
        port: Any = listen(reactor, endpoint, Factory.forProtocol(_Greeting))
        address = ("127.0.0.1", port.getHost().port)
        # The reactor does not run meanwhile, so they are in the machine's queue.
        waiting = [socket.create_connection(address, timeout=30) for _ in range(_MANY)]
        await port.stopListening()
        received = await deferToThread(lambda: [connection.recv(5) for connection in waiting])
        self.assertEqual(received, [b"hello"] * _MANY)
        for connection in waiting:
            connection.close()
        self.assertRaises(ConnectionRefusedError, socket.create_connection, address)

    def test_taken(self) -> None:
        """An address that another program has is a sentence."""
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            endpoint = TcpEndpoint(host="127.0.0.1", port=port)
            refusal = self.assertRaises(InvalidConfiguration, listen, reactor, endpoint, Factory())
        self.assertIn(f"127.0.0.1:{port} is in use by another program", refusal.description)


class UnixTests(TestCase):
    """`listen` at sockets of the file system, on the real reactor."""

    timeout = 60

    def setUp(self) -> None:
        """Make a folder with a short path."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.endpoint = UnixEndpoint(path=self.folder / "b.socket", mode=0o600)

    async def test_queue(self) -> None:
        """Who has connected when the program stops to listen is served; the socket is gone then."""
        for _ in range(2):
            check_endpoint(self.endpoint)
            port: Any = listen(reactor, self.endpoint, Factory.forProtocol(_Greeting))
            self.assertEqual(self.endpoint.path.stat().st_mode & 0o777, 0o600)
            waiting = [connected(self.endpoint.path) for _ in range(_FEW)]
            await port.stopListening()
            received = await deferToThread(lambda: [one.recv(5) for one in waiting])  # noqa: B023
            self.assertEqual(received, [b"hello"] * _FEW)
            for one in waiting:
                one.close()
            self.assertEqual(list(self.folder.iterdir()), [])

    async def test_killed(self) -> None:
        """A socket that a killed program has left is taken over."""
        with closing(socket.socket(socket.AF_UNIX)) as left:
            left.bind(str(self.endpoint.path))
        check_endpoint(self.endpoint)
        port: Any = listen(reactor, self.endpoint, Factory.forProtocol(_Greeting))
        with closing(connected(self.endpoint.path)) as connection:
            await port.stopListening()
            self.assertEqual(await deferToThread(connection.recv, 5), b"hello")

    def test_unusable(self) -> None:
        """A socket in use, a file, and a folder that is absent are sentences."""
        with closing(socket.socket(socket.AF_UNIX)) as used:
            used.bind(str(self.endpoint.path))
            used.listen()
            self.refused(self.endpoint, "is in use by another program")
        self.endpoint.path.unlink()
        self.endpoint.path.write_bytes(b"")
        self.refused(self.endpoint, "is no socket")
        self.refused(UnixEndpoint(path=self.folder / "absent" / "b.socket"), "no socket can be made")

    def refused(self, endpoint: UnixEndpoint, expected: str) -> None:
        """Assert that nobody can listen there."""
        refusal = self.assertRaises(InvalidConfiguration, check_endpoint, endpoint)
        self.assertIn(expected, refusal.description)
        self.assertRaises(InvalidConfiguration, listen, reactor, endpoint, Factory.forProtocol(_Greeting))


class SystemdTests(TestCase):
    """`listen` at sockets that systemd hands over, on the real reactor."""

    timeout = 60

    def setUp(self) -> None:
        """Make a folder with a short path."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def given(self, *sockets: socket.socket) -> Callable[[SystemdEndpoint], Any]:
        """Return what listens at one of these sockets, of which systemd would tell the process."""
        numbers = [one.fileno() for one in sockets]
        descriptors = ListenFDs(numbers, ["first", "second"][: len(numbers)])
        return lambda endpoint: adopt(reactor, endpoint, descriptors, Factory.forProtocol(_Greeting))

    async def test_kept(self) -> None:
        """The socket goes on when the program ends: as it is, with its mode, and with who has connected."""
        path = self.folder / "b.socket"
        by_path, by_port = socket.socket(socket.AF_UNIX), socket.create_server(("127.0.0.1", 0))
        by_path.bind(str(path))
        by_path.listen(_FEW)
        path.chmod(0o620)
        listen_at = self.given(by_path, by_port)
        for endpoint, connect in (
            (SystemdEndpoint(domain="UNIX", label="first"), partial(connected, path)),
            (
                SystemdEndpoint(domain="INET", index=1),
                partial(socket.create_connection, by_port.getsockname()),
            ),
        ):
            port = listen_at(endpoint)
            early = connect()
            self.assertEqual(await deferToThread(early.recv, 5), b"hello")
            await port.stopListening()
            late = connect()
            again = listen_at(endpoint)
            self.assertEqual(await deferToThread(late.recv, 5), b"hello")
            await again.stopListening()
            early.close()
            late.close()
        self.assertEqual(path.stat().st_mode & 0o777, 0o620)
        by_path.close()
        by_port.close()

    def test_absent(self) -> None:
        """A socket that was not handed over, or is another kind, is a sentence."""
        first = SystemdEndpoint(domain="INET", index=0)
        refusal = self.assertRaises(InvalidConfiguration, check_endpoint, first)
        self.assertIn(f"systemd has handed over no socket for {first.name}", refusal.description)
        with closing(socket.create_server(("127.0.0.1", 0))) as given:
            listen_at = self.given(given)
            for endpoint in (
                SystemdEndpoint(domain="INET", index=1),
                SystemdEndpoint(domain="INET", label="third"),
                SystemdEndpoint(domain="UNIX", index=0),
            ):
                self.assertRaises(InvalidConfiguration, listen_at, endpoint)


def connected(path: Path) -> socket.socket:
    """Return a connection to a socket of the file system."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(path))
    return connection


class LetNobodyInTests(SynchronousTestCase):
    """A listening socket of the machine, and its clients."""

    @skipUnless(sys.platform == "linux", "only Linux filters the packets of a socket")
    def test_let_nobody_in(self) -> None:
        """What is in the queue stays and works; nobody else gets in, and is refused when that is closed."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        address = listening.getsockname()
        early = socket.create_connection(address)
        self.addCleanup(early.close)

        let_nobody_in(listening)
        with self.assertRaises(TimeoutError):
            socket.create_connection(address, timeout=_PATIENCE)
        listening.setblocking(False)
        served, _ = listening.accept()
        self.addCleanup(served.close)
        with self.assertRaises(BlockingIOError):
            listening.accept()
        listening.close()

        early.sendall(b"question")
        self.assertEqual(served.recv(100), b"question")
        served.sendall(b"answer")
        self.assertEqual(early.recv(100), b"answer")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(address)
