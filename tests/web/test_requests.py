"""Requests that Twisted's parser takes and this broker does not: they end their connection."""

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.stack import Stack, provision_body
from tests.web.connection import Connection

CATALOG = b"GET /v2/catalog"


class RequestCase(SynchronousTestCase):
    """One connection for each request."""

    def setUp(self) -> None:
        """Start a broker."""
        self.stack = Stack()
        self.stack.persister.calls.clear()

    def status(
        self,
        *headers: bytes,
        request: bytes = CATALOG,
        version: bytes = b"HTTP/1.1",
        hosts: tuple[bytes, ...] = (b"broker",),
        body: bytes = b"",
    ) -> int:
        """Send a request; return the status of its answer, which tells in JSON what is wrong."""
        connection = Connection(self.stack)
        connection.head(*headers, request=request, version=version, hosts=hosts)
        connection.send(body)
        line, _, rest = connection.received().partition(b"\r\n")
        status = int(line.split(b" ")[1])
        if status != 200:
            text = rest[rest.index(b"{") : rest.rindex(b"}") + 1]
            self.assertTrue(json.loads(text)["description"].endswith("."))
        return status


class HostTests(RequestCase):
    """The header Host (RFC 9112, section 3.2)."""

    def test_one(self) -> None:
        """One is needed, which may be empty; HTTP/1.0 knows none."""
        self.assertEqual(self.status(), 200)
        self.assertEqual(self.status(hosts=(b"",)), 200)
        self.assertEqual(self.status(hosts=(), version=b"HTTP/1.0"), 200)

    def test_none_or_several(self) -> None:
        """None, or several, even equal ones, are refused."""
        self.assertEqual(self.status(hosts=()), 400)
        for version in (b"HTTP/1.1", b"HTTP/1.0"):
            for hosts in ((b"broker", b"broker"), (b"broker", b"other"), (b"broker", b"")):
                self.assertEqual(self.status(hosts=hosts, version=version), 400)


class TargetTests(RequestCase):
    """The request line."""

    def test_methods(self) -> None:
        """A method has a case: one that is not in upper case is as little allowed as one that is unknown."""
        for method in (b"get", b"Get", b"put", b"123", b"!"):
            self.assertEqual(self.status(request=method + b" /v2/catalog"), 405)
        for method in (b"TRACE", b"QUERY", b"CONNECT", b"M-SEARCH", b"X" * 1000):
            self.assertEqual(self.status(request=method + b" /v2/catalog"), 405)
        self.assertEqual(self.stack.persister.calls, [])

    def test_targets(self) -> None:
        """A target that is no path is refused, although its rest may look like one."""
        for target in (
            b"http://broker/v2/catalog",
            b"xv2/catalog",
            b"v2/catalog",
            b"broker:443",
            b"?/v2/catalog",
        ):
            self.assertEqual(self.status(request=b"GET " + target), 400)
        self.assertEqual(self.stack.persister.calls, [])
        self.assertEqual(self.status(request=b"GET /v2/catalog?x=1&&"), 200)

    def test_connect(self) -> None:
        """Nothing is tunnelled."""
        self.assertEqual(self.status(request=b"CONNECT broker:443"), 400)


class TransferTests(RequestCase):
    """How a body is transferred."""

    def test_identity(self) -> None:
        """A transfer coding that says nothing is refused, since others count it."""
        body = json.dumps(provision_body()).encode()
        status = self.status(
            b"Transfer-Encoding: identity",
            b"Content-Length: %d" % len(body),
            request=b"PUT /v2/service_instances/i-1",
            body=body,
        )
        self.assertEqual(status, 400)
        self.assertEqual(self.stack.persister.tables.instances, {})

    def test_before_credentials(self) -> None:
        """What could be two requests is believed in nothing, its credentials included."""
        connection = Connection(self.stack)
        connection.send(b"GET /v2/catalog HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n")
        self.assertTrue(connection.received().startswith(b"HTTP/1.1 400 "))
        self.assertTrue(connection.transport.write_closed)
