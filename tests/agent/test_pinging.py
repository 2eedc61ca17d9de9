"""The pings to brokers that answer, when they come, and how they end."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request

from dockerbroker.agent.answers import LARGEST_ANSWER
from dockerbroker.agent.pinging import pause_after, timeout_of
from tests.agent.brokers import HOST, Answering, Leaf, PingingCase, answering, broker_resource, hanging


class RegistrationTests(PingingCase):
    """A broker that answers."""

    def test_host_is_stored(self) -> None:
        """The broker stores the host as the agent's file describes it, with the first ping."""
        self.pinger(Answering(self.clock, broker_resource(self.persister)).send).start()
        (report,) = self.successResultOf(Deferred.fromCoroutine(self.persister.hosts()))
        self.assertEqual(report.host, HOST)

    def test_one_line(self) -> None:
        """However many pings succeed, the log has one line."""
        broker = Answering(self.clock, broker_resource(self.persister))
        self.pinger(broker.send).start()
        self.pass_time(60)
        self.assertGreater(len(broker.times), 14)
        self.assertEqual(self.lines(), ["Registered with the broker broker:9998"])

    def test_interval(self) -> None:
        """Pings are never further apart than the interval, and seldom equally far."""
        for chance in (0.0, 0.3, 0.999):
            broker = Answering(self.clock, broker_resource(self.persister))
            self.pinger(broker.send, chance=chance).start()
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

        self.pinger(Answering(self.clock, Leaf(answer)).send).start()
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
        self.pinger(Answering(self.clock, answering(200, b"x" * (LARGEST_ANSWER * 20))).send).start()
        self.assertEqual(self.lines(), ["Registered with the broker broker:9998"])


class HurryTests(PingingCase):
    """Pings that are sent before they are due."""

    def test_between_pings(self) -> None:
        """A pinger that is hurried between two pings sends the next one at once, and goes on as ever."""
        broker = Answering(self.clock, broker_resource(self.persister))
        pinger = self.pinger(broker.send)
        pinger.start()
        self.pass_time(1)
        pinger.hurry()
        self.clock.advance(0)
        self.assertEqual(len(broker.times), 2)
        self.pass_time(HOST.keep_alive)
        self.assertEqual(len(broker.times), 3)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_during_ping(self) -> None:
        """A ping that is under way is not disturbed; the next one follows it at once."""
        broker = Answering(self.clock, hanging())
        pinger = self.pinger(broker.send)
        pinger.start()
        self.pass_time(1)
        pinger.hurry()
        self.assertEqual(len(broker.times), 1)
        self.pass_time(timeout_of(HOST.keep_alive) - 0.9)
        self.assertEqual(len(broker.times), 2)
        self.pass_time(timeout_of(HOST.keep_alive) + 0.1)
        self.assertEqual(len(broker.times), 2)

    def test_not_running(self) -> None:
        """A pinger that is not started, or has ended, is not hurried."""
        broker = Answering(self.clock, hanging())
        pinger = self.pinger(broker.send)
        pinger.hurry()
        self.assertEqual(broker.times, [])
        pinger.start()
        self.successResultOf(Deferred.fromCoroutine(pinger.stop()))
        pinger.hurry()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class StopTests(PingingCase):
    """The end of the pings."""

    def test_stop_between_pings(self) -> None:
        """A pinger that is stopped between two pings sends none any more and leaves no timer."""
        broker = Answering(self.clock, broker_resource(self.persister))
        pinger = self.pinger(broker.send)
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
        pinger = self.pinger(Answering(self.clock, hanging()).send)
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
        share=st.floats(0, 1),
        failures=st.integers(1, 10**9),
        chance=st.floats(0, 1, exclude_max=True),
    )
    def test_after_failure(self, keep_alive: float, share: float, failures: int, chance: float) -> None:
        """Between failures there is a pause, and yet the next ping starts within the interval."""
        elapsed = share * timeout_of(keep_alive)
        pause = pause_after(keep_alive, failures=failures, elapsed=elapsed, chance=chance)
        self.assertGreaterEqual(pause, min(0.25, keep_alive / 8.000001))
        self.assertLessEqual(elapsed + pause, keep_alive * 1.000001)

    def test_growing(self) -> None:
        """The pauses double from half a second on, up to the interval."""
        pauses = [pause_after(5, failures=count, elapsed=0, chance=0) for count in range(1, 7)]
        self.assertEqual(pauses, [0.5, 1, 2, 4, 5, 5])

    @given(st.floats(0.05, 86400))
    def test_timeout(self, keep_alive: float) -> None:
        """A ping is given up before the interval ends."""
        self.assertLess(timeout_of(keep_alive), keep_alive)
        self.assertLessEqual(timeout_of(keep_alive), 10)
