"""Listening, and its end."""

import socket
from contextlib import closing
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime import listen

# Twisted declares it as less than it is.
reactor: Any = the_reactor

#: More than Twisted takes at once.
_MANY = 120


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
        port = listen(reactor, "127.0.0.1", 0, Factory.forProtocol(_Greeting))
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
            refusal = self.assertRaises(InvalidConfiguration, listen, reactor, "127.0.0.1", port, Factory())
        self.assertIn(f"127.0.0.1:{port} is in use by another program", refusal.description)
