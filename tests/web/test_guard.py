"""What is refused before a request is parsed, and how a site is drained."""

import json

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.web.apis import LARGEST_BODY, Api
from dockerbroker.web.channel import LARGEST_DISCARD
from dockerbroker.web.guard import LAST_REQUESTS
from tests.stack import Stack, provision_body
from tests.web.connection import Connection

LARGEST = LARGEST_BODY[Api.PLATFORM]


class BodyTests(SynchronousTestCase):
    """Bodies that are too large, and bodies that are forms."""

    def setUp(self) -> None:
        """Connect to a broker."""
        self.stack = Stack()
        self.connection = Connection(self.stack)

    def assert_refused(self) -> None:
        """The client got one 413 in JSON, and can read it to its end."""
        head, _, body = self.connection.received().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 413 "), head)
        self.assertIn(b"Content-Type: application/json", head)
        self.assertIn(b"X-Content-Type-Options: nosniff", head)
        self.assertIn(b"1048576", json.loads(body)["description"].encode())
        self.assertTrue(self.connection.transport.write_closed)
        self.assertFalse(self.connection.transport.disconnected)
        self.assertNotIn("instance", self.stack.persister.calls)

    def test_declared(self) -> None:
        """A length over the limit is refused before anything of the body has arrived."""
        for length in (LARGEST + 1, 10**14):
            self.connection = Connection(self.stack)
            self.connection.head(b"Content-Length: %d" % length)
            self.assert_refused()

    def test_request_identity(self) -> None:
        """A refused request, too, gets its identity back."""
        self.connection.head(b"X-Broker-API-Request-Identity: r-1", b"Content-Length: %d" % (LARGEST + 1))
        self.assert_refused()
        self.assertIn(b"\r\nX-Broker-API-Request-Identity: r-1\r\n", self.connection.received())

    def test_chunked(self) -> None:
        """A body of unknown length is refused as soon as it is over the limit."""
        self.connection.head(b"Transfer-Encoding: chunked")
        for _ in range(16):
            self.connection.chunk(b" " * (LARGEST // 16))
            self.assertEqual(self.connection.received(), b"")
        self.connection.chunk(b" ")
        self.assert_refused()

    def test_end_of_a_refused_body(self) -> None:
        """A refused body is read and dropped, as is what comes behind it."""
        self.connection.head(b"Content-Length: %d" % (LARGEST + 1))
        self.connection.send(b" " * (LARGEST + 1) + b"GET /v2/catalog HTTP/1.1\r\n\r\n")
        self.assert_refused()

    def test_refused_body_without_end(self) -> None:
        """Of a refused body not more than the limit is dropped: then the connection is aborted."""
        self.connection.head(b"Transfer-Encoding: chunked")
        chunk = b" " * LARGEST
        # The first of them is not refused yet, and of the second nothing was dropped.
        for _ in range(2 + LARGEST_DISCARD // (LARGEST + 10)):
            self.connection.chunk(chunk)
            self.assertFalse(self.connection.transport.disconnected)
        self.connection.chunk(chunk)
        self.assertTrue(self.connection.transport.disconnected)

    def test_largest(self) -> None:
        """A body of exactly the limit is read."""
        body = json.dumps(provision_body()).encode().ljust(LARGEST)
        self.connection.head(b"Content-Length: %d" % len(body))
        self.connection.send(body)
        self.assertTrue(self.connection.received().startswith(b"HTTP/1.1 201 "))

    def test_forms(self) -> None:
        """A body that calls itself a form is refused before anything of it has arrived."""
        for content_type in (
            b"application/x-www-form-urlencoded",
            b"multipart/form-data; boundary=x",
            b"multipart/form-data",
        ):
            connection = Connection(self.stack)
            request = b"DELETE /v2/service_instances/i-1"
            connection.head(b"Content-Type: " + content_type, b"Content-Length: 15000000", request=request)
            self.assertTrue(connection.received().startswith(b"HTTP/1.1 415 "))
            self.assertIn(
                b'{"description":"The header Content-Type must be application/json."}', connection.received()
            )

    def test_asterisk(self) -> None:
        """Nothing is said of the server as a whole."""
        for method in (b"OPTIONS", b"GET"):
            connection = Connection(self.stack)
            connection.head(request=method + b" *")
            self.assertTrue(connection.received().startswith(b"HTTP/1.1 400 "))
            self.assertIn(b'{"description":', connection.received())


class DrainTests(SynchronousTestCase):
    """The end of a site."""

    def setUp(self) -> None:
        """Start a broker, with a request that hangs."""
        self.stack = Stack()
        self.hang = self.stack.engine.hang_next("start")
        self.connection = Connection(self.stack)
        body = json.dumps(provision_body()).encode()
        self.connection.head(b"Content-Length: %d" % len(body))
        self.connection.send(body)
        self.assertEqual(self.connection.received(), b"")

    def test_nothing_in_flight(self) -> None:
        """A site without requests is drained at once."""
        self.successResultOf(Stack().site.drain())

    def test_idle_connections(self) -> None:
        """A connection that a client keeps open without a request ends when the site is drained."""
        idle = Connection(self.stack)
        self.stack.site.drain()
        self.stack.advance(LAST_REQUESTS)
        self.assertFalse(idle.transport.disconnecting)
        self.hang.release()
        self.assertTrue(idle.transport.disconnecting)

    def test_last_requests(self) -> None:
        """A connection is not closed before its client had a moment for a last request."""
        stack = Stack()
        kept, idle = Connection(stack), Connection(stack)
        drained: Deferred[None] = stack.site.drain()
        stack.advance(LAST_REQUESTS * 0.9)
        self.assertNoResult(drained)
        self.assertFalse(kept.transport.disconnecting)
        kept.head(request=b"GET /v2/catalog")
        self.assertTrue(kept.received().startswith(b"HTTP/1.1 200 "))
        stack.advance(LAST_REQUESTS)
        self.successResultOf(drained)
        self.assertTrue(idle.transport.disconnecting)

    def test_requests_in_flight(self) -> None:
        """A site is drained when its last request is answered; the connection then ends."""
        drained: Deferred[None] = self.stack.site.drain()
        self.assertNoResult(drained)
        self.hang.release()
        self.assertTrue(self.connection.received().startswith(b"HTTP/1.1 201 "))
        self.assertIn(b"connection: close", self.connection.received().lower())
        self.assertTrue(self.connection.transport.disconnecting)
        self.stack.advance(LAST_REQUESTS)
        self.successResultOf(drained)

    def test_client_that_goes_away(self) -> None:
        """A request whose client has gone is not waited for."""
        drained: Deferred[None] = self.stack.site.drain()
        self.connection.end()
        self.stack.advance(LAST_REQUESTS)
        self.successResultOf(drained)
        self.hang.release()

    def test_requests_that_come_while_draining(self) -> None:
        """A request on a connection that was open is answered, and its connection then ends."""
        late = Connection(self.stack)
        drained: Deferred[None] = self.stack.site.drain()
        late.head(request=b"GET /v2/catalog")
        self.assertTrue(late.received().startswith(b"HTTP/1.1 200 "))
        self.assertIn(b"connection: close", late.received().lower())
        self.assertTrue(late.transport.disconnecting)
        self.stack.advance(LAST_REQUESTS)
        self.assertNoResult(drained)
        self.hang.release()
        self.successResultOf(drained)
