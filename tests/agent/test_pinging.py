"""The pings: to the real web resource in memory, whatever brokers do."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from treq.testing import StubTreq
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError, ConnectionLost, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.util import Redirect

from dockerbroker.agent.answers import LARGEST_ANSWER
from dockerbroker.agent.pinging import Pinger, Post, pause_after, timeout_of
from dockerbroker.config import BrokerServer
from dockerbroker.errors import Unavailable
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.secrets import Secret
from dockerbroker.web.agents import Agents
from dockerbroker.web.auth import Credentials
from dockerbroker.web.site import Gate, Root
from tests.memory_persister import MemoryPersister

PASSWORD = "correct horse"
HOST = DockerHost(
    key=HostKey(service_host="10.0.0.1", docker_host="10.0.0.2", docker_port=2375),
    perf_factor=1.22,
    keep_alive=4.0,
    exec_command="DockerCommandExec",
    exec_arguments=("ssh", "root@10.0.0.2"),
    portbind_min=20000,
    portbind_max=20010,
)


def broker_resource(persister: MemoryPersister) -> IResource:
    """The real resource that agents ping."""
    gate = Gate(Agents(persister).resource(), Credentials(user="admin", password=Secret(PASSWORD)))
    return Root(platform=gate, agents=gate, administrators=gate)


@define(eq=False)
class Answering:
    """Posts to what is in `resource` at the moment, and writes down when."""

    clock: Clock
    resource: IResource
    times: list[float] = field(factory=list)

    def post(self, *arguments: Any, **options: Any) -> Deferred[Any]:
        """Post, as treq does."""
        self.times.append(self.clock.seconds())
        treq: Any = StubTreq(self.resource)
        answer: Deferred[Any] = treq.post(*arguments, **options)
        return answer


@define(eq=False)
class _Leaf(Resource):
    """Answers every request in one way."""

    answer: Callable[[Request], Any]
    isLeaf = True

    def render(self, request: Request) -> Any:
        """Answer."""
        return self.answer(request)


def hanging() -> IResource:
    """A broker that takes requests and never answers."""
    return _Leaf(lambda _: NOT_DONE_YET)


def answering(status: int, body: bytes) -> IResource:
    """A broker that answers always the same."""

    def answer(request: Request) -> bytes:
        request.setResponseCode(status)
        return body

    return _Leaf(answer)


class _Pinging(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.persister = MemoryPersister(self.clock.seconds)
        self.events = self.enterContext(capturedLogs())

    def pinger(
        self, post: Post, *, password: str = PASSWORD, chance: float = 0.5, host: str = "broker"
    ) -> Pinger:
        """A pinger that is stopped when the test ends."""
        server = BrokerServer(host=host, port=9998, user="admin", password=Secret(password))
        pinger = Pinger(
            server=server,
            host=HOST,
            post=post,
            clock=self.clock,
            now=lambda: datetime(2026, 1, 2, tzinfo=UTC),
            chance=lambda: chance,
        )
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(pinger.stop())))
        return pinger

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds * 20)):
            self.clock.advance(0.05)

    def lines(self) -> list[str]:
        """What was logged by the agent."""
        return [
            formatEvent(event) or ""
            for event in self.events
            if event["log_namespace"].startswith("dockerbroker.agent")
        ]


class RegistrationTests(_Pinging):
    """A broker that answers."""

    def test_host_is_stored(self) -> None:
        """The broker stores the host as the agent's file describes it, with the first ping."""
        self.pinger(Answering(self.clock, broker_resource(self.persister)).post).start()
        (report,) = self.successResultOf(Deferred.fromCoroutine(self.persister.hosts()))
        self.assertEqual(report.host, HOST)

    def test_one_line(self) -> None:
        """However many pings succeed, the log has one line."""
        broker = Answering(self.clock, broker_resource(self.persister))
        self.pinger(broker.post).start()
        self.pass_time(60)
        self.assertGreater(len(broker.times), 14)
        self.assertEqual(self.lines(), ["Registered with the broker broker:9998"])

    def test_interval(self) -> None:
        """Pings are never further apart than the interval, and seldom equally far."""
        for chance in (0.0, 0.3, 0.999):
            broker = Answering(self.clock, broker_resource(self.persister))
            self.pinger(broker.post, chance=chance).start()
            self.pass_time(40)
            pauses = [later - sooner for sooner, later in zip(broker.times, broker.times[1:], strict=False)]
            self.assertLessEqual(max(pauses), HOST.keep_alive + 0.051)
            self.assertGreaterEqual(min(pauses), HOST.keep_alive * 0.8 - 0.001)

    def test_what_is_sent(self) -> None:
        """A ping is JSON in the format of the README, with the credentials and a version of the API."""
        requests: list[Any] = []

        def answer(request: Request) -> bytes:
            requests.append(
                (request.uri, request.requestHeaders, request.content.read() if request.content else b"")
            )
            return b"{}"

        self.pinger(Answering(self.clock, _Leaf(answer)).post).start()
        ((uri, headers, body),) = requests
        self.assertEqual(uri, b"/ping")
        self.assertEqual(headers.getRawHeaders("host"), ["broker:9998"])
        self.assertEqual(headers.getRawHeaders("authorization"), ["Basic YWRtaW46Y29ycmVjdCBob3JzZQ=="])
        self.assertEqual(headers.getRawHeaders("content-type"), ["application/json"])
        self.assertEqual(headers.getRawHeaders("x-broker-api-version"), ["2.17"])
        self.assertIn(b'"LastPing":"2026-01-02T00:00:00+00:00"', body)
        self.assertIn(b'"ExecArgs":"ssh,root@10.0.0.2"', body)

    def test_large_answer(self) -> None:
        """Of a large answer only the beginning is read; it registers the host all the same."""
        self.pinger(Answering(self.clock, answering(200, b"x" * (LARGEST_ANSWER * 20))).post).start()
        self.assertEqual(self.lines(), ["Registered with the broker broker:9998"])


class FailureTests(_Pinging):
    """A broker that does not answer, or not well."""

    def test_lost_and_back(self) -> None:
        """A broker that goes away and comes back is one line each time, the first with the reason."""
        broker = Answering(self.clock, broker_resource(self.persister))
        self.pinger(broker.post).start()
        broker.resource = answering(503, b'{"description": "The database is gone."}')
        self.pass_time(60)
        broker.resource = broker_resource(self.persister)
        self.pass_time(60)
        self.assertEqual(
            self.lines(),
            [
                "Registered with the broker broker:9998",
                "Lost the broker broker:9998: it answered 503: The database is gone.",
                "Registered with the broker broker:9998",
            ],
        )

    def test_unavailable_persister(self) -> None:
        """A broker whose database does not answer is told with its own description."""
        self.persister.fail_next("record_ping", Unavailable("The database does not answer."))
        self.pinger(Answering(self.clock, broker_resource(self.persister)).post).start()
        (line,) = self.lines()
        self.assertIn("The database does not answer.", line)
        self.pass_time(5)
        self.assertEqual(self.lines()[1:], ["Registered with the broker broker:9998"])

    def test_wrong_password(self) -> None:
        """A wrong password is told once, and never shown."""
        broker = Answering(self.clock, broker_resource(self.persister))
        self.pinger(broker.post, password="wrong secret").start()
        self.pass_time(60)
        (line,) = self.lines()
        self.assertIn("No way to register with broker:9998: it answered 401: ", line)
        self.assertNotIn("wrong secret", repr(self.events))

    def test_hanging_broker(self) -> None:
        """A ping that is not answered is given up before the interval ends, and the next one is sent."""
        broker = Answering(self.clock, hanging())
        self.pinger(broker.post).start()
        self.pass_time(timeout_of(HOST.keep_alive) + 1.0)
        self.assertEqual(self.lines(), ["No way to register with broker:9998: it did not answer in time"])
        self.assertEqual(len(broker.times), 2)

    def test_hanging_body(self) -> None:
        """An answer that never ends is given up too."""

        def answer(request: Request) -> int:
            request.write(b"{")
            return NOT_DONE_YET

        broker = Answering(self.clock, _Leaf(answer))
        self.pinger(broker.post).start()
        self.pass_time(timeout_of(HOST.keep_alive) + 1.0)
        self.assertEqual(self.lines(), ["No way to register with broker:9998: it did not answer in time"])
        self.assertEqual(len(broker.times), 2)

    def test_dead_broker_delays_no_other(self) -> None:
        """While one broker hangs, another one gets its pings in time."""
        dead, alive = Answering(self.clock, hanging()), Answering(self.clock, broker_resource(self.persister))
        self.pinger(dead.post, host="dead").start()
        self.pinger(alive.post, host="alive").start()
        self.pass_time(40)
        self.assertGreaterEqual(len(alive.times), 10)

    def test_reasons(self) -> None:
        """Each way of failing has its words, and none ends the pings."""
        for error, words in (
            (Refused(), "the connection was refused"),
            (DNSLookupError("no such host"), "its name is not known"),
            (ConnectError(string="No route to host"), "no connection: "),
            (OSError("odd"), "no connection: odd"),
            (
                ResponseNeverReceived([Failure(ConnectionLost())]),
                "the connection was closed before the answer",
            ),
        ):
            before = len(self.lines())
            attempts: list[float] = []
            pinger = self.pinger(self._failing(error, attempts))
            pinger.start()
            self.pass_time(30)
            self.successResultOf(Deferred.fromCoroutine(pinger.stop()))
            (line,) = self.lines()[before:]
            self.assertIn(f"No way to register with broker:9998: {words}", line)
            self.assertGreater(len(attempts), 4)

    def test_unexpected_errors(self) -> None:
        """Errors that nobody expects are logged as failures, once, and the pings go on."""
        for error in (ZeroDivisionError("odd"), CancelledError(), AssertionError("odd")):
            attempts: list[float] = []
            self.pinger(self._failing(error, attempts)).start()
            self.pass_time(30)
            self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)
            self.assertGreater(len(attempts), 4)

    def test_post_that_raises(self) -> None:
        """An error before anything is sent does not end the pings either."""
        attempts: list[float] = []

        def post(*_: Any, **__: Any) -> Deferred[Any]:
            attempts.append(self.clock.seconds())
            raise ZeroDivisionError

        self.pinger(post).start()
        self.pass_time(30)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertGreater(len(attempts), 4)

    def test_each_reason_once(self) -> None:
        """While a broker is away, each new reason is told once, and only so many of them."""
        broker = Answering(self.clock, hanging())
        self.pinger(broker.post).start()
        for number in range(20):
            broker.resource = answering(500 + number % 10, b"not JSON")
            self.pass_time(10)
        lines = self.lines()
        self.assertEqual(len(lines), len(set(lines)))
        self.assertEqual(len(lines), 5)

    def test_redirect(self) -> None:
        """A redirect is not followed, since the credentials are for this broker alone."""
        broker = Answering(self.clock, Redirect(b"http://elsewhere/ping"))
        self.pinger(broker.post).start()
        (line,) = self.lines()
        self.assertIn("it answered 302", line)

    def test_pings_are_levelled(self) -> None:
        """Being registered is information; being lost is a warning."""
        broker = Answering(self.clock, broker_resource(self.persister))
        self.pinger(broker.post).start()
        broker.resource = hanging()
        self.pass_time(20)
        levels = [event["log_level"] for event in self.events if "dockerbroker" in event["log_namespace"]]
        self.assertEqual(levels, [LogLevel.info, LogLevel.warn])

    def _failing(self, error: Exception, attempts: list[float]) -> Post:
        def post(*_: Any, **__: Any) -> Deferred[Any]:
            attempts.append(self.clock.seconds())
            return fail(error.with_traceback(None))

        return post


class StopTests(_Pinging):
    """The end of the pings."""

    def test_stop_between_pings(self) -> None:
        """A pinger that is stopped between two pings sends none any more and leaves no timer."""
        broker = Answering(self.clock, broker_resource(self.persister))
        pinger = self.pinger(broker.post)
        pinger.start()
        self.successResultOf(Deferred.fromCoroutine(pinger.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.pass_time(20)
        self.assertEqual(len(broker.times), 1)

    def test_stop_during_ping(self) -> None:
        """A ping that is under way is given up at once, and that is no failure."""
        cancelled: list[object] = []
        pinger = self.pinger(lambda *_, **__: Deferred(cancelled.append))
        pinger.start()
        self.successResultOf(Deferred.fromCoroutine(pinger.stop()))
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lines(), [])

    def test_stop_twice(self) -> None:
        """Stopping what does not run does nothing."""
        pinger = self.pinger(Answering(self.clock, hanging()).post)
        self.successResultOf(Deferred.fromCoroutine(pinger.stop()))
        self.successResultOf(Deferred.fromCoroutine(pinger.stop()))


class PauseTests(SynchronousTestCase):
    """How long to wait until the next ping."""

    @given(
        keep_alive=st.floats(0.05, 86400),
        share=st.floats(0, 1),
        chance=st.floats(0, 1, exclude_max=True),
    )
    def test_after_success(self, keep_alive: float, share: float, chance: float) -> None:
        """Whatever the last ping took, the next one starts within the interval of its start."""
        elapsed = share * timeout_of(keep_alive)
        pause = pause_after(keep_alive, failures=0, elapsed=elapsed, chance=chance)
        self.assertGreaterEqual(pause, 0)
        self.assertLessEqual(elapsed + pause, keep_alive * 1.000001)

    @given(
        keep_alive=st.floats(0.05, 86400),
        failures=st.integers(1, 10**9),
        chance=st.floats(0, 1, exclude_max=True),
    )
    def test_after_failure(self, keep_alive: float, failures: int, chance: float) -> None:
        """The pauses between failures have bounds at both ends."""
        pause = pause_after(keep_alive, failures=failures, elapsed=0, chance=chance)
        self.assertGreaterEqual(pause, 0.25)
        self.assertLessEqual(pause, max(8, keep_alive))

    @given(st.floats(0.05, 86400))
    def test_timeout(self, keep_alive: float) -> None:
        """A ping is given up before the interval ends."""
        self.assertLess(timeout_of(keep_alive), keep_alive)
        self.assertLessEqual(timeout_of(keep_alive), 10)
