"""The pings to brokers that do not answer, or not well."""

from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError, ConnectionLost, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseNeverReceived
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.util import Redirect

from dockerbroker.agent.pinging import timeout_of
from dockerbroker.agent.requests import Send
from dockerbroker.errors import Unavailable
from tests.agent.brokers import HOST, Answering, Leaf, PingingCase, answering, broker_resource, hanging

#: What OpenSSL says, and the agent makes of it.
_TOLD_BY_TLS = (
    ("certificate verify failed", "its certificate is not trusted"),
    ("tlsv13 alert certificate required", "it wants another certificate of this agent, or one at all"),
    ("ssl/tls alert bad certificate", "it wants another certificate of this agent, or one at all"),
    ("tlsv1 alert unknown ca", "it wants another certificate of this agent, or one at all"),
    ("wrong version number", "no encrypted connection: what answers there speaks no TLS"),
    ("odd\nwords", "no encrypted connection: odd words"),
)


def _tls(told: str) -> SSL.Error:
    return SSL.Error([("SSL routines", "", told)])


class FailureTests(PingingCase):
    """A broker that does not answer, or not well."""

    def test_lost_and_back(self) -> None:
        """A broker that goes away and comes back is one line each time, the first with the reason."""
        broker = Answering(self.clock, broker_resource(self.persister))
        self.pinger(broker.send).start()
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
        self.persister.fail_next("record_pings", Unavailable("The database does not answer."))
        self.pinger(Answering(self.clock, broker_resource(self.persister)).send).start()
        (line,) = self.lines()
        self.assertIn("The database does not answer.", line)
        self.pass_time(5)
        self.assertEqual(self.lines()[1:], ["Registered with the broker broker:9998"])

    def test_wrong_password(self) -> None:
        """A wrong password is told once, and never shown."""
        broker = Answering(self.clock, broker_resource(self.persister, clock=self.clock))
        self.pinger(broker.send, password="wrong secret").start()
        self.pass_time(60)
        (line,) = self.lines()
        self.assertIn("No way to register with broker:9998: it answered 401: ", line)
        self.assertNotIn("wrong secret", repr(self.events))

    def test_hanging_broker(self) -> None:
        """A ping that is not answered is given up before the interval ends, and the next one is sent."""
        broker = Answering(self.clock, hanging())
        self.pinger(broker.send).start()
        self.pass_time(timeout_of(HOST.keep_alive) + 1.0)
        self.assertEqual(self.lines(), ["No way to register with broker:9998: it did not answer in time"])
        self.assertEqual(len(broker.times), 2)

    def test_hanging_body(self) -> None:
        """An answer that never ends is given up too."""

        def answer(request: Request) -> int:
            request.write(b"{")
            return NOT_DONE_YET

        broker = Answering(self.clock, Leaf(answer))
        self.pinger(broker.send).start()
        self.pass_time(timeout_of(HOST.keep_alive) + 1.0)
        self.assertEqual(self.lines(), ["No way to register with broker:9998: it did not answer in time"])
        self.assertEqual(len(broker.times), 2)

    def test_dead_broker_delays_no_other(self) -> None:
        """While one broker hangs, another one gets its pings in time."""
        dead, alive = Answering(self.clock, hanging()), Answering(self.clock, broker_resource(self.persister))
        self.pinger(dead.send, host="dead").start()
        self.pinger(alive.send, host="alive").start()
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
                "the connection was closed before the answer; if it wants HTTPS, give this agent",
            ),
            (
                RequestTransmissionFailed([Failure(VerificationError([]))]),
                "its certificate is not for the name",
            ),
            *((ResponseNeverReceived([Failure(_tls(told))]), words) for told, words in _TOLD_BY_TLS),
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

    def test_send_that_raises(self) -> None:
        """An error before anything is sent does not end the pings either."""
        attempts: list[float] = []

        def send(*_: Any, **__: Any) -> Deferred[Any]:
            attempts.append(self.clock.seconds())
            raise ZeroDivisionError

        self.pinger(send).start()
        self.pass_time(30)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertGreater(len(attempts), 4)

    def test_each_reason_once(self) -> None:
        """While a broker is away, each new reason is told once, and only so many of them."""
        broker = Answering(self.clock, hanging())
        self.pinger(broker.send).start()
        for number in range(20):
            broker.resource = answering(500 + number % 10, b"not JSON")
            self.pass_time(10)
        lines = self.lines()
        self.assertEqual(len(lines), len(set(lines)))
        self.assertEqual(len(lines), 5)

    def test_redirect(self) -> None:
        """A redirect is not followed, since the credentials are for this broker alone."""
        broker = Answering(self.clock, Redirect(b"http://elsewhere/ping"))
        self.pinger(broker.send).start()
        (line,) = self.lines()
        self.assertIn("it answered 302", line)

    def test_pings_are_levelled(self) -> None:
        """Being registered is information; being lost is a warning."""
        broker = Answering(self.clock, broker_resource(self.persister))
        self.pinger(broker.send).start()
        broker.resource = hanging()
        self.pass_time(20)
        levels = [event["log_level"] for event in self.events if "dockerbroker" in event["log_namespace"]]
        self.assertEqual(levels, [LogLevel.info, LogLevel.warn])

    def _failing(self, error: Exception, attempts: list[float]) -> Send:
        def send(*_: Any, **__: Any) -> Deferred[Any]:
            attempts.append(self.clock.seconds())
            return fail(error.with_traceback(None))

        return send
