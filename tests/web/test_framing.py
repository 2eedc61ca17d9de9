"""Bytes that are no request, or could be two: one answer in JSON, and the connection is over."""

import json
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.web.apis import LARGEST_BODY, Api
from dockerbroker.web.framing import LARGEST_HEAD, MOST_HEADERS
from tests.web.recording import Line, Recorder, Reply, Seen, recording_site

#: What would be answered if anything behind a bad request was believed.
BEHIND: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
PUT: Final = b"PUT /v2/x HTTP/1.1\r\nHost: a\r\n"
CHUNKED: Final = PUT + b"Transfer-Encoding: chunked\r\n\r\n"

#: Lengths and codings of which two readers could make different bodies (S1).
LENGTHS: Final = (
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: +2",
    b"Content-Length: 2,2",
    b"Content-Length: 2, 2",
    b"Content-Length: 0x2",
    b"Content-Length: 1_0",
    b"Content-Length: -1",
    b"Content-Length: \xd9\xa2",
    b"Content-Length:",
    b"Content-Length: 1 1",
    b"Content-Length: " + b"1" * 19,
    b"Content-Length: " + b"9" * 5000,
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nContent-Length: 5",
    b"Transfer-Encoding:",
    b"Trailer: X-More\r\nTransfer-Encoding: chunked",
)
#: Headers that are none (S2, S3).
HEADERS: Final = (
    b"X-A: 1\r\n folded",
    b"X-A: 1\r\n\tfolded",
    b" X-A: 1",
    b"Host: b",
    b"Host: a",
    b"X-A : 1",
    b"X-A\t: 1",
    b": 1",
    b"X-A",
    b"X A: 1",
    b"X-\xc3\xa4: 1",
    b"X-A: 1\r2",
    b"X-A: 1\n2: 3",
    b"X-A: \x002",
    b"X-A: \x0b",
    b"X-A: \x1b[31m",
    b"X-A: \x7f",
    b"Content-Length : 5",
    b"Upgrade: h2c",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Upgrade: websocket",
)
#: First lines that are none, or of other protocols (S2, S13).
FIRST_LINES: Final = (
    b"GET http://a/v2/catalog HTTP/1.1",
    b"GET a/v2 HTTP/1.1",
    b"GET  /v2 HTTP/1.1",
    b"GET /v2  HTTP/1.1",
    b" GET /v2 HTTP/1.1",
    b"GET\t/v2\tHTTP/1.1",
    b"GET /v2 HTTP/1.1 ",
    b"GET /v2",
    b"GET /v2 HTTP/0.9",
    b"GET /v2 HTTP/2.0",
    b"GET /v2 HTTP/9.9",
    b"GET /v2 HTTP/1.2",
    b"GET /v2 http/1.1",
    b"GET /v2 HTTP/1.10",
    b"GET /v2 HTTP/1.1\rX: 1",
    b"GET /v2\x00 HTTP/1.1",
    b"GET /v2/\xc3\xa4 HTTP/1.1",
    b"GET /v2#x HTTP/1.1",
    b"GET /v2?x#y HTTP/1.1",
    b"GET /v2/%zz HTTP/1.1",
    b"GET /v2/% HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"CONNECT a:443 HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"G(T /v2 HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)
#: Chunks that are none (S3).
CHUNKS: Final = (
    b"0x1\r\na\r\n0\r\n\r\n",
    b"+1\r\na\r\n0\r\n\r\n",
    b"-1\r\na\r\n0\r\n\r\n",
    b" 1\r\na\r\n0\r\n\r\n",
    b"1 \r\na\r\n0\r\n\r\n",
    b"1_0\r\na\r\n0\r\n\r\n",
    b"\r\na\r\n0\r\n\r\n",
    b"g\r\na\r\n0\r\n\r\n",
    b"1;x=\ny\r\na\r\n0\r\n\r\n",
    b"1\na\n0\n\n" + b"x" * 2000,
    b"1\r\naa\r\n0\r\n\r\n",
    b"1\r\na0\r\n\r\n\r\n",
    b"1;" + b"x" * 2000,
    b"0\r\nX-More: 1\r\n\r\n",
    b"1\r\na\r\n0\r\nContent-Length: 5\r\n\r\n",
)


class FramingCase(SynchronousTestCase):
    """A site that remembers what its handler has seen."""

    def setUp(self) -> None:
        """Make the site."""
        self.site = recording_site()
        recorder = self.site.resource
        assert isinstance(recorder, Recorder)
        self.recorder = recorder

    def refused(self, data: bytes, status: int = 400) -> Reply:
        """The bytes are answered once, in JSON, the connection ends, and no handler has seen anything."""
        size = 1 if len(data) < 200 else len(data)
        for pieces in ([data], [data[start : start + size] for start in range(0, len(data), size)]):
            line = Line(self.site)
            line.send(*pieces, BEHIND)
            (reply,) = line.replies
            self.assertEqual(reply.status, status, data[:200])
            self.assertEqual(set(json.loads(reply.body)), {"description"})
            self.assertEqual(reply.headers[b"content-type"], b"application/json")
            self.assertEqual(reply.headers[b"x-content-type-options"], b"nosniff")
            self.assertEqual(reply.headers[b"server"], b"dockerbroker")
            self.assertEqual(reply.headers[b"connection"], b"close")
            self.assertTrue(line.wire.is_closed)
            self.assertEqual(self.recorder.seen, [])
        return reply


class RefusedTests(FramingCase):
    """What is refused, whole and byte by byte."""

    def test_lengths(self) -> None:
        """A body whose end could be seen elsewhere is refused before anything of it is read."""
        for headers in LENGTHS:
            self.refused(PUT + headers + b"\r\n\r\n")

    def test_headers(self) -> None:
        """A header that others could read in another way is refused."""
        for headers in HEADERS:
            self.refused(PUT + headers + b"\r\nContent-Length: 0\r\n\r\n")

    def test_no_host(self) -> None:
        """HTTP/1.1 needs a host."""
        self.refused(b"GET /v2/catalog HTTP/1.1\r\n\r\n")

    def test_first_lines(self) -> None:
        """What does not begin with a method, a path and a version is refused."""
        for line in FIRST_LINES:
            self.refused(line + b"\r\nHost: a\r\n\r\n")
        self.refused(b"\r\n\r\n")

    def test_methods(self) -> None:
        """A method that is not in upper case is none, and which there are is told."""
        for method in (b"get", b"Get", b"gET", b"123", b"!"):
            reply = self.refused(method + b" /v2/catalog HTTP/1.1\r\nHost: a\r\n\r\n", 405)
            self.assertEqual(reply.headers[b"allow"], b"DELETE, GET, HEAD, PATCH, POST, PUT")

    def test_chunks(self) -> None:
        """A chunk that others could read in another way is refused, and so are headers behind a body."""
        for chunks in CHUNKS:
            self.refused(CHUNKED + chunks)

    def test_old_chunks(self) -> None:
        """HTTP/1.0 has no chunks."""
        self.refused(b"PUT /v2/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")

    def test_pages(self) -> None:
        """What a browser sends for the page of another site is refused, with a body or without one."""
        for origin in (b"https://example.org", b"null", b""):
            self.refused(b"POST /admin/x HTTP/1.1\r\nHost: a\r\nOrigin: " + origin + b"\r\n\r\n", 403)

    def test_head(self) -> None:
        """An answer to HEAD has no body, also when the request is refused."""
        line = Line(self.site)
        line.send(b"HEAD /v2/catalog HTTP/1.1\r\n\r\n")
        self.assertTrue(line.wire.value().endswith(b"\r\n\r\n"))

    def test_request_identity(self) -> None:
        """A refused request, too, gets its identity back."""
        reply = self.refused(PUT + b"X-Broker-API-Request-Identity: r-1\r\nX: y\r\nContent-Length: x\r\n\r\n")
        self.assertEqual(reply.headers[b"x-broker-api-request-identity"], b"r-1")


class SizeTests(FramingCase):
    """Heads that are too large (S5)."""

    def test_target(self) -> None:
        """A target that does not fit is 414, also when its line never ends."""
        self.refused(b"GET /" + b"x" * 16_384 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414)
        self.refused(b"GET /" + b"x" * 100_000, 414)

    def test_headers(self) -> None:
        """Too many headers, or too long ones, are 431, also when one never ends."""
        self.refused(PUT + b"X: y\r\n" * 501 + b"\r\n", 431)
        self.refused(PUT + b"X: y\r\n" * MOST_HEADERS + b"\r\n", 431)
        self.refused(PUT + b"X: " + b"y" * 20_480 + b"\r\n\r\n", 431)
        self.refused(PUT + b"X: " + b"y" * 100_000, 431)
        self.refused(PUT + (b"X: " + b"y" * 5000 + b"\r\n") * 4 + b"\r\n", 431)

    def test_largest(self) -> None:
        """A head of exactly the limits is taken."""
        head = b"GET /%s HTTP/1.1" % (b"x" * 8000)
        lines = [head, b"Host: a", *[b"X: y"] * (MOST_HEADERS - 2)]
        lines.append(b"X: " + b"y" * (LARGEST_HEAD - sum(map(len, lines)) - 3))
        line = Line(self.site)
        line.send(b"\r\n".join(lines) + b"\r\n\r\n")
        self.assertEqual([reply.status for reply in line.replies], [200])


class BodyTests(FramingCase):
    """Bodies that are refused by their heads (S6, S8, S9, S14)."""

    def test_lengths(self) -> None:
        """Each API has a limit, which is known from the path; nothing of the body needs to arrive."""
        for path, api in (
            (b"/v2/service_instances/i-1", Api.PLATFORM),
            (b"/%76%32/service_instances/i-1", Api.PLATFORM),
            (b"/ping", Api.AGENTS),
            (b"/certificate/a", Api.CERTIFICATES),
            (b"/docker/image/redis?x=/ping", Api.ADMINISTRATORS),
            (b"/admin/hosts", Api.ADMINISTRATORS),
            (b"/healthz", Api.HEALTH),
        ):
            head = b"PUT " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            for length in (LARGEST_BODY[api] + 1, 10**14):
                reply = self.refused(head + b"Content-Length: %d\r\n\r\n" % length, 413)
                self.assertIn(str(LARGEST_BODY[api]), json.loads(reply.body)["description"])

    def test_kinds(self) -> None:
        """Forms and what is compressed are refused unread, whatever their path and their length."""
        for header in (
            b"Content-Type: application/x-www-form-urlencoded",
            b"Content-Type: multipart/form-data; boundary=x",
            b"Content-Type: text/plain",
            b"Content-Type: application/json\r\nContent-Type: text/plain",
            b"Content-Encoding: gzip",
            b"Content-Encoding: identity\r\nContent-Encoding: br",
        ):
            for path in (b"/v2/x", b"/ping", b"/docker/image/x", b"/certificate/a", b"/readyz", b"/"):
                head = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n" + header
                self.refused(head + b"\r\nContent-Length: 15000000\r\n\r\n", 415)
                self.refused(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n", 415)

    def test_administrators_say_that_it_is_json(self) -> None:
        """What no page can send without asking first is needed of administrators, and of nobody else."""
        for path, status in (
            (b"/docker/image/x", 415),
            (b"/admin/hosts", 415),
            (b"/ping", 200),
            (b"/v2", 200),
        ):
            line = Line(self.site)
            line.send(b"PUT " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            self.assertEqual([reply.status for reply in line.replies], [status], path)

    def test_ignored(self) -> None:
        """What has no meaning here changes nothing: ranges, conditions, expectations."""
        for header in (
            b"Range: bytes=0-0",
            b"If-None-Match: *",
            b"Expect: 200-ok",
            b"TE: trailers",
            b"Cookie: a=b",
        ):
            line = Line(self.site)
            line.send(b"GET /x HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n\r\n")
            (reply,) = line.replies
            self.assertEqual((reply.status, reply.body), (200, b"{}"))
            self.assertNotIn(b"set-cookie", reply.headers)

    def test_expectation(self) -> None:
        """Who asks whether to send a body is told so, and not when it would be refused."""
        head = b"PUT /v2/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
        line = Line(self.site)
        line.send(head + b"2\r\n\r\n")
        self.assertEqual(line.wire.value(), b"HTTP/1.1 100 Continue\r\n\r\n")
        line = Line(self.site)
        line.send(head + b"2000000\r\n\r\n")
        self.assertTrue(line.wire.value().startswith(b"HTTP/1.1 413 "))


class TakenTests(FramingCase):
    """What is taken."""

    def test_requests(self) -> None:
        """Requests behind each other are seen one after the other, however they are cut."""
        data = (
            PUT + b"Content-Length: 3\r\n\r\nabc"
            b"\r\nGET /a?b HTTP/1.1\r\nHost:\r\n\r\n" + CHUNKED + b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
            b"GET /last HTTP/1.0\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        for size in (1, 7, len(data)):
            self.recorder.seen.clear()
            line = Line(self.site)
            line.send(*(data[start : start + size] for start in range(0, len(data), size)))
            seen = [Seen(b"PUT", b"/v2/x", b"abc"), Seen(b"GET", b"/a?b"), Seen(b"PUT", b"/v2/x", b"abcd")]
            self.assertEqual(self.recorder.seen, [*seen, Seen(b"GET", b"/last")])
            self.assertEqual([reply.status for reply in line.replies], [200] * 4)
            self.assertTrue(line.wire.disconnecting)
