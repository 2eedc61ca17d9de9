"""What answers tell of the server, and requests of several users on one connection."""

import json
from base64 import b64encode

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from dockerbroker.web.guard import GuardedSite
from dockerbroker.web.osb import STATUS, WORDS
from tests.stack import PASSWORD, USER, Answer, Stack, provision_body
from tests.web.connection import AUTHORIZATION, Connection
from tests.web.recording import Line
from tests.web.routes import routes


class HeaderTests(SynchronousTestCase):
    """The headers of every answer."""

    def assert_plain(self, answer: Answer) -> None:
        """The answer is JSON that no browser takes for anything else, and tells no version and no cookie."""
        self.assertEqual(answer.header("content-type"), "application/json")
        self.assertEqual(answer.header("x-content-type-options"), "nosniff")
        self.assertEqual(answer.header("server"), "dockerbroker")
        self.assertIsNone(answer.header("set-cookie"))

    def test_every_route(self) -> None:
        """Every route says so, whoever asks, by whatever method, with whatever outcome."""
        stack = Stack()
        statuses = set()
        asked = [(route.method, route.path) for route in routes()]
        for method, path in [*asked, ("GET", "/"), ("GET", "/%ff"), ("GET", "/healthz"), ("GET", "/readyz")]:
            for auth in ((USER, PASSWORD), (USER, "wrong"), None):
                for body in (b"{}", b"[]", b"{"):
                    answer = stack.request(method, path, body, auth=auth)
                    self.assert_plain(answer)
                    statuses.add(answer.status)
            for answer in (
                stack.request("TRACE", path),
                stack.request("PUT", path, b"x", headers={"Content-Type": "text/plain"}),
                stack.request("PUT", path, b"x" * 1_100_000),
            ):
                self.assert_plain(answer)
                statuses.add(answer.status)
        self.assertLessEqual({200, 400, 401, 404, 405, 413, 415}, statuses)

    def test_words(self) -> None:
        """Behind each status stand its words, also where Twisted has none."""
        self.assertLessEqual({status for _, status, _ in STATUS}, WORDS.keys())
        stack = Stack()
        for number in range(12):
            connection = Connection(stack)
            wrong = b"Basic " + b64encode(b"somebody:%d" % number)
            connection.head(request=b"GET /v2/catalog", authorization=wrong)
        self.assertIn(b" 429 Too Many Requests\r\n", connection.received())

    def test_protocols(self) -> None:
        """Over TLS nothing newer than HTTP/1.1 is offered."""
        self.assertEqual(Stack().site.acceptableProtocols(), [b"http/1.1"])

    def test_defect(self) -> None:
        """So does an answer about a defect, which tells nothing of it."""
        stack = Stack()
        stack.persister.fail_next("images", RuntimeError("at 10.0.0.2: SELECT"))
        answer = stack.request("GET", "/v2/catalog")
        self.assertEqual(answer.status, 500)
        self.assert_plain(answer)
        self.assertNotIn(b"SELECT", answer.body)
        self.flushLoggedErrors(RuntimeError)


class Failing(Resource):
    """Has a defect where no route could answer for it."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Fail."""
        if request.path == b"/begun":
            request.write(b"{")
        raise RuntimeError("at 10.0.0.2: SELECT")


class DefectTests(SynchronousTestCase):
    """A failure outside of all routes."""

    def setUp(self) -> None:
        """Connect to a site that fails."""
        self.site = GuardedSite(Failing(), Clock())
        self.line = Line(self.site)

    def test_answer(self) -> None:
        """The answer is a sentence in JSON, without traceback, path, SQL or address."""
        self.assertFalse(self.site.displayTracebacks)
        self.line.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        (reply,) = self.line.replies
        self.assertEqual(reply.status, 500)
        self.assertEqual(
            json.loads(reply.body), {"description": "The broker failed unexpectedly; its log tells more."}
        )
        for name, value in ((b"server", b"dockerbroker"), (b"x-content-type-options", b"nosniff")):
            self.assertEqual(reply.headers[name], value)
        self.assertEqual(reply.headers[b"content-type"], b"application/json")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_half_an_answer(self) -> None:
        """An answer that had begun is broken off: it cannot be taken for a whole one."""
        self.line.send(b"GET /begun HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(self.line.wire.is_closed)
        self.assertNotIn(b"0\r\n\r\n", self.line.wire.value())
        self.flushLoggedErrors(RuntimeError)

    def test_log(self) -> None:
        """The log has one bounded and printable line of the request, whatever its path is."""
        path = b"/" + b"%1b[31m%0a'" * 1000
        with capturedLogs() as events:
            self.line.send(
                b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nUser-Agent: " + b"\xff" * 5000 + b"\r\n\r\n"
            )
        (line,) = [str(formatEvent(event)).splitlines()[0] for event in events]
        self.assertTrue(line.startswith("answering "))
        self.assertTrue(line.isprintable())
        self.assertLess(len(line.encode()), 4096)
        self.flushLoggedErrors(RuntimeError)


class PipelineTests(SynchronousTestCase):
    """Requests behind each other, of which the first takes long."""

    def test_each_by_its_own_credentials(self) -> None:
        """They are answered in order, each by the credentials that it has itself."""
        stack = Stack()
        hang = stack.engine.hang_next("start")
        line = Line(stack.site)
        body = json.dumps(provision_body()).encode()
        head = b" HTTP/1.1\r\nHost: a\r\nX-Broker-API-Version: 2.17\r\n"
        wrong = b"Basic " + b64encode(f"{USER}:wrong".encode())
        line.send(
            b"PUT /v2/service_instances/i-1" + head + b"Authorization: " + AUTHORIZATION,
            b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
            b"GET /v2/catalog" + head + b"Authorization: " + wrong + b"\r\n\r\n",
            b"GET /v2/catalog" + head + b"\r\n",
            b"GET /v2/service_instances/i-1" + head + b"Authorization: " + AUTHORIZATION + b"\r\n\r\n",
        )
        self.assertEqual(line.replies, [])
        hang.release()
        self.assertEqual([reply.status for reply in line.replies], [201, 401, 401, 200])
