"""Whether the broker is up, and whether it is ready."""

from typing import Any, Final, cast

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from dockerbroker.web.health import DEADLINE
from tests.stack import Answer, Asked, Stack
from tests.web.connection import Connection
from tests.web.routes import routes

PROBES: Final = ("/healthz", "/readyz")
#: What no answer may tell.
SECRET: Final = "db.internal:5432"


class _Database:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred[None]] = []

    async def ask(self) -> None:
        """Wait."""
        self.asked.append(Deferred())
        await self.asked[-1]


class HealthCase(SynchronousTestCase):
    """A broker, and who looks after it without knowing credentials."""

    def setUp(self) -> None:
        """Start the broker, whose database is open."""
        self.stack = Stack()
        self.listen()

    def listen(self) -> None:
        """Collect what the log is told."""
        self.told: list[LogEvent] = []
        observer = cast("ILogObserver", self.told.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def probe(self, path: str, method: str = "GET", **options: Any) -> Answer:
        """Ask without credentials and version."""
        return self.stack.settle(self.ask(path, method, **options))

    def ask(self, path: str, method: str = "GET", **headers: str) -> Asked:
        """Ask, and return at once."""
        sent = {"X-Broker-API-Version": None, "Content-Type": None, **headers}
        return self.stack.ask(method, path, headers=sent, auth=None)

    def hang(self) -> _Database:
        """Open the site on a database that answers when it is told to."""
        database = _Database()
        self.stack.site.open(evolve(self.stack.apis, ask=database.ask))
        return database

    def assert_not_ready(self, answer: Answer, words: str) -> None:
        """S20: it is told that the broker is not ready, and nothing else; the log is told why, once."""
        self.assertEqual((answer.status, answer.json), (503, {"status": "not ready"}))
        [why] = [
            event["why"] for event in self.told if event.get("log_format", "").startswith("the broker is not")
        ]
        self.assertIn(words, why)
        self.assertNotIn(SECRET, why)


class ProbeTests(HealthCase):
    """Both paths."""

    def test_well(self) -> None:
        """Whoever asks is told that the broker is up and ready."""
        self.assertEqual(self.probe("/healthz").json, {"status": "up"})
        self.assertEqual(self.probe("/readyz").json, {"status": "ready"})
        for path in PROBES:
            self.assertEqual(self.probe(path).status, 200)

    def test_head(self) -> None:
        """HEAD has the status and the headers of GET, and no body."""
        for path in PROBES:
            head, get = self.probe(path, "HEAD"), self.probe(path)
            self.assertEqual((head.status, head.body), (200, b""))
            self.assertEqual(head.header("content-length"), str(len(get.body)))
            self.assertEqual(head.header("content-type"), "application/json")

    def test_other_methods(self) -> None:
        """Any other method is 405, and told which are not."""
        for path in PROBES:
            for method in ("PUT", "POST", "DELETE", "OPTIONS", "TRACE"):
                answer = self.probe(path, method)
                self.assertEqual((answer.status, answer.header("allow")), (405, "GET, HEAD"))
                self.assertIn("GET, HEAD", answer.description)

    def test_old_clients(self) -> None:
        """Probes of HTTP/1.0, which name no host, are answered as well, and a kept connection is kept."""
        for path in (b"/healthz", b"/readyz"):
            old = Connection(self.stack)
            old.send(b"GET %b HTTP/1.0\r\n\r\n" % path)
            self.assertTrue(old.received().startswith(b"HTTP/1.0 200 "), old.received())
            self.assertTrue(old.transport.disconnecting)
            kept = Connection(self.stack)
            kept.send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path * 2)
            self.assertEqual(kept.received().count(b"HTTP/1.1 200 "), 2)
            self.assertFalse(kept.transport.disconnecting)

    def test_other_paths(self) -> None:
        """What only begins like them needs credentials."""
        for path in ("/healthz/", "/readyz/x", "//readyz", "/Healthz", "/v2/healthz"):
            self.assertEqual(self.probe(path).status, 401, path)

    def test_calm_database(self) -> None:
        """Whether the broker is up is no question for the database."""
        self.stack.persister.calls.clear()
        self.probe("/healthz")
        self.assertEqual(self.stack.persister.calls, [])


class ReadyTests(HealthCase):
    """Whether the broker is ready."""

    def test_database_that_fails(self) -> None:
        """With a database that says no the broker is not ready, until it says yes."""
        self.stack.persister.fail_next("cluster_id", Unavailable(f"The server {SECRET} is down."))
        self.assert_not_ready(self.probe("/readyz"), "database does not answer")
        self.assertEqual(self.probe("/readyz").status, 200)

    def test_defect(self) -> None:
        """With a defect it is not ready either; the log has it."""
        self.stack.persister.fail_next("cluster_id", ZeroDivisionError(SECRET))
        self.assert_not_ready(self.probe("/readyz"), "its log tells more")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_database_that_hangs(self) -> None:
        """With a database that takes long the broker is not ready, but it is up."""
        database = self.hang()
        asked = self.ask("/readyz")
        self.stack.advance(DEADLINE * 0.9)
        self.assertIsNone(asked.answer)
        self.stack.advance(DEADLINE * 0.1)
        assert asked.answer is not None
        self.assert_not_ready(asked.answer, "does not answer in time")
        self.assertEqual(self.probe("/healthz").status, 200)
        database.asked[0].callback(None)

    def test_many(self) -> None:
        """However many ask at once, the database is asked once, also when nobody waits any more."""
        database = self.hang()
        first = [self.ask("/readyz") for _ in range(50)]
        self.stack.advance(DEADLINE)
        second = [self.ask("/readyz") for _ in range(50)]
        self.assertEqual(len(database.asked), 1)
        database.asked[0].callback(None)
        statuses = [self.stack.settle(asked).status for asked in (*first, *second)]
        self.assertEqual(statuses, [503] * 50 + [200] * 50)
        last = self.ask("/readyz")
        self.assertEqual(len(database.asked), 2)
        database.asked[1].errback(Unavailable("It is down."))
        self.assertEqual(self.stack.settle(last).status, 503)

    def test_told_once(self) -> None:
        """However often it is asked, the log is told once that it is not ready, and once that it is."""
        for count in (1, 2):
            for _ in range(5):
                self.stack.persister.fail_next("cluster_id", Unavailable("Down."))
                self.assertEqual(self.probe("/readyz").status, 503)
            for _ in range(5):
                self.assertEqual(self.probe("/readyz").status, 200)
            formats = [event.get("log_format") or "" for event in self.told]
            lines = [text for text in formats if text.startswith("the broker is ")]
            self.assertEqual(len(lines), 2 * count)

    def test_client_that_goes_away(self) -> None:
        """A client that is gone before the database has answered does no harm."""
        database = self.hang()
        gone, other = Connection(self.stack), self.ask("/readyz")
        gone.head(request=b"GET /readyz")
        gone.end()
        database.asked[0].callback(None)
        self.assertEqual(gone.received(), b"")
        self.assertEqual(self.stack.settle(other).status, 200)

    def test_ending(self) -> None:
        """A broker that is ending is not ready, and says so on a connection that was open."""
        kept = Connection(self.stack)
        self.stack.site.drain()
        kept.head(request=b"GET /readyz")
        self.assertTrue(kept.received().startswith(b"HTTP/1.1 503 "))
        self.assertNotIn(b"ending", kept.received())
        self.assertIn("The broker is ending.", [event.get("why") for event in self.told])


class ClosedTests(HealthCase):
    """A broker whose database is not open yet."""

    def setUp(self) -> None:
        """Start the broker."""
        self.stack = Stack(is_open=False)
        self.listen()

    def test_probes(self) -> None:
        """It is up, but not ready until its database is open."""
        self.assertEqual(self.probe("/healthz").json, {"status": "up"})
        self.assert_not_ready(self.probe("/readyz"), "database does not answer yet")
        self.stack.site.open(self.stack.apis)
        self.assertEqual(self.probe("/readyz").status, 200)

    def test_every_route(self) -> None:
        """Every route, and every other path, says in JSON that the database does not answer yet."""
        asked = [(route.method, route.path) for route in routes()]
        for method, path in (*asked, ("GET", "/v2/nothing"), ("TRACE", "/nothing")):
            answer = self.stack.request(method, path, {})
            self.assertEqual(answer.status, 503, (method, path))
            if method != "HEAD":
                self.assertIn("database does not answer yet", answer.description)
        self.assertEqual(self.stack.request("HEAD", "/v2/catalog").body, b"")

    def test_order(self) -> None:
        """Credentials, the version and a broken path are complained of before."""
        for path, status, options in (
            ("/v2/catalog", 401, {"auth": None}),
            ("/ping", 401, {"auth": ("admin", "wrong")}),
            ("/docker/images", 401, {"auth": None}),
            ("/v2/catalog", 412, {"headers": {"X-Broker-API-Version": None}}),
            ("/%ff", 400, {}),
        ):
            self.assertEqual(self.stack.request("GET", path, **options).status, status, path)

    def test_opened(self) -> None:
        """When the database is open, requests are served, on connections that were open before as well."""
        kept = Connection(self.stack)
        kept.head(request=b"GET /v2/catalog")
        self.assertTrue(kept.received().startswith(b"HTTP/1.1 503 "))
        self.stack.site.open(self.stack.apis)
        kept.head(request=b"GET /v2/catalog")
        self.assertIn(b"HTTP/1.1 200 ", kept.received())
        self.assertEqual(self.stack.provision("i-1").status, 201)
