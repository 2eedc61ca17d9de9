"""Headers: of who asks, for what, and of the body."""

import json
from base64 import b64encode
from typing import Any, Final

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.stack import Stack, bind_body, binding_path, instance_path, provision_body, query
from tests.web.routes import routes

#: Each change, as it is written down, with a body that is good.
CHANGES: Final[tuple[tuple[str, str, str, str, Any], ...]] = (
    ("provision", "i-1", "PUT", instance_path("i-1"), provision_body()),
    ("bind", "i-1/b-1", "PUT", binding_path("i-1", "b-1"), bind_body()),
    ("update", "i-1", "PATCH", instance_path("i-1"), {"service_id": "redis"}),
    ("unbind", "i-1/b-1", "DELETE", binding_path("i-1", "b-1") + query(), None),
    ("deprovision", "i-1", "DELETE", instance_path("i-1") + query(), None),
)
READS: Final = (
    "/v2/catalog",
    instance_path("i-1"),
    binding_path("i-1", "b-1"),
    instance_path("i-1") + "/last_operation",
    binding_path("i-1", "b-1") + "/last_operation",
)
BODIES: Final = (
    ("PUT", instance_path("i-1"), provision_body(), 201),
    ("PUT", binding_path("i-1", "b-1"), bind_body(), 201),
    ("PATCH", instance_path("i-1"), {"service_id": "redis"}, 200),
)


def identity(document: Any, platform: str = "cloudfoundry") -> str:
    """Return an originating identity."""
    return f"{platform} {b64encode(json.dumps(document).encode()).decode()}"


class RequestIdentityTests(SynchronousTestCase):
    """X-Broker-API-Request-Identity."""

    def test_echo(self) -> None:
        """The identity of a request is echoed by every route, and on every failure."""
        stack = Stack()
        headers = {"X-Broker-API-Request-Identity": "e26cee84-6b38-4456-b34e-d1a9f002c956"}
        asked = [(route.method, route.path) for route in routes()]
        for method, path in (*asked, ("TRACE", "/v2/catalog"), ("GET", "/v2/nothing"), ("GET", "/%ff")):
            for auth in (("admin", "correct horse"), ("admin", "wrong")):
                answer = stack.request(method, path, headers=headers, auth=auth)
                self.assertEqual(
                    answer.header("x-broker-api-request-identity"), "e26cee84-6b38-4456-b34e-d1a9f002c956"
                )

    def test_no_echo(self) -> None:
        """None is invented."""
        for path in ("/v2/catalog", "/v2/nothing"):
            self.assertIsNone(Stack().request("GET", path).header("x-broker-api-request-identity"))

    def test_unexpected_error(self) -> None:
        """A defect is answered with the identity too."""
        stack = Stack()
        stack.persister.fail_next("images", RuntimeError("x"))
        headers = {"X-Broker-API-Request-Identity": "r-1"}
        answer = stack.request("GET", "/v2/catalog", headers=headers)
        self.assertEqual((answer.status, answer.header("x-broker-api-request-identity")), (500, "r-1"))
        self.flushLoggedErrors(RuntimeError)


class OriginatingIdentityTests(SynchronousTestCase):
    """X-Broker-API-Originating-Identity."""

    def test_not_needed(self) -> None:
        """A request is served with an identity and without: nothing is granted by it."""
        for value in (None, identity({"user_id": "u-1"}), identity({"username": "x"}, "kubernetes")):
            stack = Stack()
            headers = {"X-Broker-API-Originating-Identity": value}
            for _, _, method, path, body in CHANGES:
                answer = stack.request(method, path, body, headers=headers)
                self.assertIn(answer.status, (200, 201))

    def test_malformed(self) -> None:
        """What is no identity is refused by every route of platforms, and nothing is changed."""
        stack = Stack()
        stack.persister.calls.clear()
        deep = b64encode(b'{"a":' * 1000 + b"1" + b"}" * 1000).decode()
        for value in ("", "junk", "cloudfoundry", "cloudfoundry !", identity([]), f"cloudfoundry {deep}"):
            headers = {"X-Broker-API-Originating-Identity": value}
            for _, _, method, path, body in (*CHANGES, *(("", "", "GET", path, None) for path in READS)):
                answer = stack.request(method, path, body, headers=headers)
                self.assertEqual(answer.status, 400, (value, path))
                self.assertIn("X-Broker-API-Originating-Identity", answer.description)
        self.assertEqual(stack.persister.calls, [])

    def test_another_platform(self) -> None:
        """The platform of the context need not be the header's."""
        headers = {"X-Broker-API-Originating-Identity": identity({}, "kubernetes")}
        body = provision_body(context={"platform": "cloudfoundry"})
        self.assertEqual(Stack().request("PUT", instance_path("i-1"), body, headers=headers).status, 201)


class LogTests(SynchronousTestCase):
    """What is written down of a change."""

    def lines(self, stack: Stack, headers: dict[str, str], *asked: tuple[str, str, Any]) -> list[str]:
        """Send requests; return the lines that the routes wrote."""
        with capturedLogs() as events:
            for method, path, body in asked:
                stack.request(method, path, body, headers=headers)
        lines = [
            formatEvent(event)
            for event in events
            if event["log_namespace"] == "dockerbroker.web.platform.Platform"
        ]
        return [line or "" for line in lines]

    def test_changes(self) -> None:
        """Each change is one line: what, who, and by which request; nothing else of the identity."""
        headers = {
            "X-Broker-API-Originating-Identity": identity({"user_id": "u-1", "email": "a@example.com"}),
            "X-Broker-API-Request-Identity": "r-1",
        }
        asked = [(method, path, body) for _, _, method, path, body in CHANGES]
        expected = [
            f"{change} of '{what}' asked by 'cloudfoundry u-1', request 'r-1'" for change, what, *_ in CHANGES
        ]
        self.assertEqual(self.lines(Stack(), headers, *asked), expected)

    def test_nobody(self) -> None:
        """Of a request without identities the line says so, and gives the request a name."""
        [line] = self.lines(Stack(), {}, ("PUT", instance_path("i-1"), provision_body()))
        self.assertRegex(line, "^provision of 'i-1' asked by 'unknown', request '[0-9a-f]{32}'$")

    def test_reads(self) -> None:
        """Reads, and what is malformed, write nothing."""
        asked: list[tuple[str, str, Any]] = [("GET", path, None) for path in READS]
        asked += [("PUT", instance_path("i-1"), b"{"), ("DELETE", instance_path("i-1"), None)]
        self.assertEqual(self.lines(Stack(), {}, *asked), [])

    def test_forged_lines(self) -> None:
        """Whatever ids and identities hold, the line is one, printable, and no longer than 4 KiB."""
        ugly = "\u2028\x1b[31m'\"\U000e0001\u202e" * 2000
        headers = {
            "X-Broker-API-Originating-Identity": identity({"user_id": f"\r\n{ugly}"[:400]}),
            "X-Broker-API-Request-Identity": "'\x85[2J\"" + "\xff" * 500,
        }
        identifier = "%E2%80%A8%27%F3%A0%80%81%22" * 51
        path = binding_path(identifier, identifier)
        (line,) = self.lines(Stack(), headers, ("PUT", path, bind_body()))
        self.assertTrue(line.isprintable())
        self.assertLessEqual(len(line.encode()), 4096)
        self.assertTrue(line.startswith("bind of "))


class BodyHeaderTests(SynchronousTestCase):
    """What the headers say of a body."""

    def test_json(self) -> None:
        """A body is JSON, and may say so in many ways, or not at all."""
        for content_type in (
            None,
            "",
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "Application/JSON",
            "application/vnd.cloudfoundry+json",
        ):
            stack = Stack()
            for method, path, body, status in BODIES:
                answer = stack.request(method, path, body, headers={"Content-Type": content_type})
                self.assertEqual(answer.status, status, content_type)

    def test_other_types(self) -> None:
        """A body that says that it is something else is refused."""
        stack = Stack()
        stack.persister.calls.clear()
        for content_type in (
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "application/xml, application/json",
            "json",
            "x",
        ):
            for method, path, body, _ in BODIES:
                answer = stack.request(method, path, body, headers={"Content-Type": content_type})
                self.assertEqual(answer.status, 415, content_type)
                self.assertIn("Content-Type", answer.description)
        self.assertEqual(stack.persister.calls, [])

    def test_compressed(self) -> None:
        """A body that says that it is compressed is refused before it is looked at."""
        stack = Stack()
        stack.persister.calls.clear()
        for coding in ("gzip", "x-gzip", "deflate", "br", "zstd", "gzip, identity"):
            for method, path, body, _ in BODIES:
                answer = stack.request(method, path, body, headers={"Content-Encoding": coding})
                self.assertEqual(answer.status, 415, coding)
                self.assertIn("Content-Encoding", answer.description)
        self.assertEqual(stack.persister.calls, [])

    def test_not_compressed(self) -> None:
        """A body may say that it is as it is."""
        stack = Stack()
        for method, path, body, status in BODIES:
            answer = stack.request(method, path, body, headers={"Content-Encoding": "Identity"})
            self.assertEqual(answer.status, status)

    def test_where_there_is_no_body(self) -> None:
        """What has no body may say of it what it wants."""
        stack = Stack()
        stack.provision("i-1")
        headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
        self.assertEqual(stack.request("GET", instance_path("i-1"), headers=headers).status, 200)
        answer = stack.request("DELETE", instance_path("i-1") + query(), headers=headers)
        self.assertEqual(answer.status, 200)
