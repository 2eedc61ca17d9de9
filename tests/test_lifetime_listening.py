"""Listening, and its end."""

import socket
import sys
from contextlib import closing
from typing import Any
from unittest import skipUnless

from twisted.internet import reactor as the_reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dockerbroker.config.endpoints import TcpEndpoint
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime import listen
from dockerbroker.lifetime.listening import let_nobody_in

# Twisted declares it as less than it is.
reactor: Any = the_reactor

#: More than Twisted takes at once.
_MANY = 120
#: How long a client waits that is not let in, in seconds; otherwise it would be let in at once.
_PATIENCE = 0.2


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
