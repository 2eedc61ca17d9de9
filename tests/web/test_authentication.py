"""Who is let in: credentials first, then the version, then everything else."""

from base64 import b64encode
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest, Unauthenticated, UnsupportedVersion
from dockerbroker.web.auth import Basic, check_version
from dockerbroker.web.bodies import LARGEST_SUM
from tests.broker.test_authentication import Threads
from tests.model.values import unhurried
from tests.stack import PASSWORD, USER, Answer, Stack, instance_path, provision_body
from tests.web.connection import Connection
from tests.web.routes import routes

GOOD: Final = b"Basic " + b64encode(f"{USER}:{PASSWORD}".encode())


def basic(user: str, password: str) -> str:
    """Return the header of these credentials."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


#: What is not the one right header, in many ways.
JUNK: Final = (
    None,
    "",
    "Basic",
    "Basic ",
    "Basic !!!",
    "Basic YWRtaW4",
    "Basic " + b64encode(b"adminonly").decode(),
    "Basic " + b64encode(b"admin\0:correct horse").decode(),
    "Basic " + b64encode(b"\xff\xfe:\xff").decode(),
    "Bearer " + b64encode(b"admin:correct horse").decode(),
    basic(USER, PASSWORD).replace("Basic ", "Basic"),
    basic(USER, PASSWORD) + "!!!",
    basic(USER, PASSWORD) + " " + basic(USER, PASSWORD),
    basic(USER, PASSWORD) + "=",
    basic("", ""),
    basic(USER, ""),
    basic("", PASSWORD),
    basic(USER, PASSWORD.upper()),
    basic(USER.upper(), PASSWORD),
    basic(USER, PASSWORD[:-1]),
    basic(USER, PASSWORD + "x"),
    basic(USER, PASSWORD + "\n"),
    basic(PASSWORD, USER),
    basic(USER, "x" * 8192),
)


class RouteTests(SynchronousTestCase):
    """Every route, whatever it does."""

    def assert_challenged(self, answer: Answer) -> None:
        """The answer is a 401 that says how to do better, in JSON."""
        self.assertEqual(answer.status, 401)
        self.assertEqual(answer.header("www-authenticate"), 'Basic realm="dockerbroker", charset="UTF-8"')

    def test_no_credentials(self) -> None:
        """Without credentials every route answers 401 with a challenge and a description."""
        stack = Stack()
        for route in routes():
            answer = stack.request(route.method, route.path, auth=None)
            self.assert_challenged(answer)
            if route.method != "HEAD":
                self.assertTrue(answer.description)

    def test_wrong_credentials(self) -> None:
        """Junk, wrong and overlong credentials are answered alike, without any effect."""
        stack = Stack()
        stack.persister.calls.clear()
        for header in JUNK:
            for route in routes():
                # None is one too many.
                stack.advance(2)
                headers = {"Authorization": header}
                self.assert_challenged(stack.request(route.method, route.path, auth=None, headers=headers))
        self.assertLessEqual(set(stack.persister.calls), {"claim"})

    def test_wrong_credentials_come_first(self) -> None:
        """Nothing of a request is looked at before its credentials: not its version, path, method or body."""
        stack = Stack()
        headers = {"X-Broker-API-Version": None}
        for path in (
            "/v2/catalog",
            "/v2/nothing",
            "/nothing",
            "/v2/service_instances/%ff",
            "/%00",
            "//",
            "/",
        ):
            for method in ("GET", "PUT", "TRACE"):
                answer = stack.request(method, path, b"{", auth=None, headers=headers)
                self.assert_challenged(answer)

    def test_several(self) -> None:
        """S23: several Authorization headers are 400, also when each of them is right."""
        stack = Stack()
        connection = Connection(stack)
        for _ in range(2):
            connection.head(b"Authorization: " + GOOD, request=b"GET /v2/catalog")
            self.assertIn(b"HTTP/1.1 400 ", connection.received())
            connection = Connection(stack)

    def test_hundred_at_once(self) -> None:
        """S35: a hundred changes at once with a password that is not known yet are all taken; none is 429."""
        stack = Stack()
        asked = [stack.ask("PUT", instance_path(f"i-{n}"), provision_body()) for n in range(100)]
        statuses = {stack.settle(one).status for one in asked}
        self.assertLessEqual(statuses, {201, 503})
        self.assertIn(201, statuses)

    def test_bodies_that_wait(self) -> None:
        """S7: bodies count while a password is hashed; one that is refused meanwhile has no second answer."""
        stack, threads = Stack(), Threads()
        stack.authenticator.run = threads
        size = 1_000_000
        connections = [Connection(stack) for _ in range(LARGEST_SUM // size + 1)]
        for connection in connections:
            connection.head(
                b"Content-Type: application/json",
                b"Content-Length: %d" % size,
                request=b"PUT /v2/service_instances/i-1",
                authorization=b"Basic " + b64encode(b"nobody:wrong"),
            )
            connection.send(b" " * size)
        threads.work()
        answers = [connection.received() for connection in connections]
        self.assertEqual({answer.count(b"HTTP/1.1 ") for answer in answers}, {1})
        self.assertEqual(sum(b"HTTP/1.1 503 " in answer for answer in answers), 1)
        self.assertEqual(sum(b"HTTP/1.1 401 " in answer for answer in answers), len(answers) - 1)
        self.assertEqual(stack.site._bodies._sum, 0)

    def test_body_of_somebody_known(self) -> None:
        """The body of a request that is worked on does not count among those of strangers."""
        stack = Stack()
        stack.ask("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(stack.site._bodies._sum, 0)

    def test_scheme_in_any_case(self) -> None:
        """The name of the scheme has no case (RFC 7235)."""
        stack = Stack()
        for name in ("basic", "BASIC", "Basic  "):
            header = basic(USER, PASSWORD).replace("Basic", name)
            answer = stack.request("GET", "/v2/catalog", auth=None, headers={"Authorization": header})
            self.assertEqual(answer.status, 200)


class VersionTests(SynchronousTestCase):
    """The version of the API."""

    def test_missing_or_unknown(self) -> None:
        """Every route of platforms answers 412 to a version that is not spoken, and names one that is."""
        stack = Stack()
        for version in (
            None,
            "",
            "2",
            "2.x",
            "3.0",
            "1.14",
            "2.99999999999",
            "2.1.1",
            "x",
            "2.13, 2.14",
            "\u0662.\u0661",
        ):
            for route in routes():
                if not route.is_versioned:
                    continue
                headers = {"X-Broker-API-Version": version}
                if version is not None and not version.isascii():
                    headers = {"X-Broker-API-Version": version.encode().decode("latin-1")}
                answer = stack.request(route.method, route.path, headers=headers)
                self.assertEqual(answer.status, 412)
                if route.method != "HEAD":
                    self.assertIn("2.17", answer.description)

    def test_before_everything_but_credentials(self) -> None:
        """The version is checked before path, method and body."""
        stack = Stack()
        for path in ("/v2/nothing", "/v2", "/v2/", "/v2/service_instances/%ff", "/v2/service_instances/i-1"):
            for method in ("GET", "PUT", "TRACE"):
                answer = stack.request(method, path, b"{", headers={"X-Broker-API-Version": "3.0"})
                self.assertEqual(answer.status, 412)

    def test_every_minor_version(self) -> None:
        """All minor versions of the major version are spoken; they are numbers."""
        for version in (b"2.0", b"2.9", b"2.13", b"2.17", b"2.100", b" 2.17 "):
            check_version([version])

    def test_only_platforms_need_one(self) -> None:
        """Agents and administrators name no version."""
        stack = Stack()
        answer = stack.request("GET", "/docker/images", headers={"X-Broker-API-Version": None})
        self.assertEqual(answer.status, 200)

    @unhurried
    @given(st.lists(st.binary(max_size=20), max_size=2))
    def test_any_header(self, headers: list[bytes]) -> None:
        """Whatever the header holds, the outcome is a known version or a refusal."""
        try:
            check_version(headers)
        except UnsupportedVersion as error:
            self.assertIn("X-Broker-API-Version", error.description)


class BasicTests(SynchronousTestCase):
    """What stands in the header."""

    def test_right(self) -> None:
        """A user name and a password are what they are, and the header is kept as it is."""
        basic = Basic.of([GOOD])
        self.assertEqual(basic, Basic(header=GOOD, user=USER.encode(), password=PASSWORD.encode()))
        self.assertNotIn(PASSWORD, repr(basic))
        self.assertNotIn(GOOD.decode(), repr(basic))

    def test_several_headers(self) -> None:
        """S23: two headers are a malformed request, even when both are right."""
        self.assertRaises(InvalidRequest, Basic.of, [GOOD, GOOD])

    def test_overlong(self) -> None:
        """A header beyond any sense is not even decoded; nor is a password that nobody can have compared."""
        for size in (8193, 100_000):
            header = b"Basic " + b64encode(f"{USER}:".encode() + b"x" * size)
            self.assertRaises(Unauthenticated, Basic.of, [header])

    def test_long(self) -> None:
        """S23: a password may have 8 KiB."""
        header = b"Basic " + b64encode(b"u:" + b"x" * 8192)
        self.assertEqual(len(Basic.of([header]).password), 8192)

    def test_colons_in_the_password(self) -> None:
        """The first colon ends the user name, so that a password may hold more of them."""
        self.assertEqual(Basic.of([b"Basic " + b64encode(b"a:b:c:")]).password, b"b:c:")

    def test_beyond_ascii(self) -> None:
        """User and password are UTF-8, as the challenge says."""
        self.assertEqual(Basic.of([b"Basic " + b64encode("jörg:€".encode())]).user.decode(), "jörg")

    @unhurried
    @given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda data: b"Basic " + b64encode(data)))
    def test_any_header(self, header: bytes) -> None:
        """Whatever the header holds, it is two texts, or refused in a sentence that quotes nothing of it."""
        try:
            basic = Basic.of([header])
        except Unauthenticated as error:
            shown = header.decode("latin-1")[6:]
            self.assertFalse(len(shown) > 12 and shown in error.description)
        else:
            self.assertTrue(basic.user.decode().isprintable())
            self.assertTrue(basic.password.decode().isprintable())
