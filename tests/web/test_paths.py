"""Paths, methods and the form of every error."""

from typing import Final

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.stack import Answer, Stack, provision_body
from tests.web.routes import methods_of, routes

#: Identifiers as they stand in a URL that are none.
NO_IDENTIFIERS: Final = (
    "%ff",
    "%00",
    "a%00b",
    "%0d%0aX:1",
    "%c2%85",
    "..%2F..%2Fetc%2Fpasswd",
    "a%2fb",
    "x" * 256,
    "%C3%A9" * 256,
    ".",
    "..",
    "%2e%2e",
    "",
    "%zz",
    "a%",
    "%f",
)
NOWHERE: Final = (
    "/",
    "//",
    "/v2",
    "/v2/",
    "/v2/catalog/",
    "/v2/catalog/x",
    "//v2//catalog",
    "/v2//catalog",
    "/V2/catalog",
    "/v2/catalog;x",
    "/v2/../admin",
    "/v2/%2e%2e/docker/images",
    "/v2/images",
    "/v2/image/redis",
    "/ping/",
    "/ping/x",
    "//ping",
    "/docker/image/",
    "/docker/images/",
    "/v2/service_instances",
    "/v2/service_instances/i-1/",
    "/v2/service_instances/i-1/last_operation/",
    "/v2/service_instances/i-1/last_operation/x",
    "/v2/service_instances/i-1/other",
    "/v2/service_instances/i-1/service_bindings/b-1/",
    "/v2/service_instances/i-1/service_bindings/b-1/last_operation/",
    "/v2/service_instances/i-1/service_bindings/b-1/other",
    "/v2/last_operation",
    "/v2/service_instances/i-1/service_bindings",
    "/*",
)
#: Identifiers, some of which differ by case, by a blank, or by Unicode normalisation alone.
IDENTIFIERS: Final = (
    "i-1",
    "i-1%20",
    "%20i-1",
    "caf%C3%A9",
    "cafe%CC%81",
    "x" * 255,
    "%C3%A9" * 255,
    "i%20",
    "%20",
    "I-1",
    "i;1",
    "a+b",
    "...",
    "%25zz",
    "'--",
    "%5c",
)


class PathTests(SynchronousTestCase):
    """Where there is nothing, and what cannot be a path."""

    def assert_described(self, answer: Answer, status: int) -> None:
        """The answer has the status and JSON with a description, and says what kind it is."""
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(set(answer.json), {"description"})
        self.assertTrue(answer.description.endswith("."))
        self.assertEqual(answer.header("x-content-type-options"), "nosniff")
        self.assertEqual(answer.header("server"), "dockerbroker")

    def test_nothing_there(self) -> None:
        """A path that no route has is answered with 404."""
        stack = Stack()
        for path in NOWHERE:
            self.assert_described(stack.request("GET", path), 404)

    def test_no_identifiers(self) -> None:
        """An id of an instance or binding that could not be kept as it is is answered with 400."""
        stack = Stack()
        stack.persister.calls.clear()
        events = self.enterContext(capturedLogs())
        for identifier in NO_IDENTIFIERS:
            for method, body in (("PUT", provision_body()), ("DELETE", None), ("GET", None), ("POST", None)):
                for path in (
                    f"/v2/service_instances/{identifier}",
                    f"/v2/service_instances/{identifier}/last_operation",
                    f"/v2/service_instances/i-1/service_bindings/{identifier}",
                    f"/v2/service_instances/i-1/service_bindings/{identifier}/last_operation",
                    f"/v2/service_instances/{identifier}/service_bindings/b-1",
                ):
                    self.assert_described(stack.request(method, path, body), 400)
        self.assertEqual((stack.persister.calls, stack.engine.calls), ([], []))
        self.assertEqual([event for event in events if "dockerbroker" in event["log_namespace"]], [])

    def test_identifiers(self) -> None:
        """Any other id is kept exactly: what was made under it is found under it alone."""
        stack = Stack()
        for identifier in IDENTIFIERS:
            self.assertEqual(stack.provision(identifier).status, 201, identifier)
            self.assertEqual(stack.bind(identifier, identifier).status, 201)
        self.assertEqual(len(stack.engine.world), len(IDENTIFIERS))
        for identifier in IDENTIFIERS:
            self.assertEqual(stack.provision(identifier).status, 200)
            self.assertEqual(stack.deprovision(identifier).status, 200)
        self.assertEqual(stack.engine.world, {})

    def test_undecodable_elsewhere(self) -> None:
        """Paths of other routes that are no text, or hold what no name holds, are answered with 400."""
        stack = Stack()
        for path in (
            "/%ff",
            "/v2/%ff",
            "/docker/image/%ff",
            "/docker/image/%00",
            "/doc%0aker/images",
            "/%c2%85",
        ):
            self.assert_described(stack.request("GET", path), 400)

    def test_wrong_method(self) -> None:
        """A route answers other methods with 405 and tells its own."""
        stack = Stack()
        for path in {route.path for route in routes()}:
            allowed = methods_of(path)
            for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "TRACE", "OPTIONS", "QUERY", "CONNECT"):
                if method in allowed:
                    continue
                answer = stack.request(method, path, b"{")
                self.assert_described(answer, 405)
                self.assertEqual(set((answer.header("allow") or "").split(", ")), allowed)

    def test_head(self) -> None:
        """HEAD is answered as GET is, without a body."""
        stack = Stack()
        for path, status in (("/v2/catalog", 200), ("/docker/images", 200), ("/docker/image/redis", 200)):
            answer = stack.request("HEAD", path)
            self.assertEqual((answer.status, answer.body), (status, b""))
        self.assertEqual(stack.request("HEAD", "/nothing").status, 404)
        self.assertEqual(stack.request("HEAD", "/v2/service_instances/i-1").status, 404)
        self.assertEqual(stack.request("HEAD", "/ping").status, 405)

    def test_host_header(self) -> None:
        """A Host header at which a router would fail is answered with 400, one that names a host is not."""
        stack = Stack()
        for host in ("a" * 64, "..", "a b", "%", "ä", "x:y"):
            answer = stack.request("GET", "/v2/catalog", headers={"Host": host.encode().decode("latin-1")})
            self.assert_described(answer, 400)
        for host in ("broker", "broker.", "10.0.0.1:9998", "[::1]:9998", "my_host.example:80"):
            self.assertEqual(stack.request("GET", "/v2/catalog", headers={"Host": host}).status, 200)
