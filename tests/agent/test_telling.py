"""What pings say, and at which interval they come."""

from itertools import pairwise
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource

from dockerbroker.agent.telling import asked_interval
from dockerbroker.model.vitals import Vitals
from tests.agent.brokers import Answering, PingingCase, answering, broker_resource, hanging


class AskedTests(SynchronousTestCase):
    """The interval for which a broker asks."""

    @given(asked=st.floats(1e-9, 1e300) | st.integers(1), own=st.floats(0.05, 86400))
    def test_bounds(self, asked: float, own: float) -> None:
        """Whatever is asked, an agent pings neither without a pause nor hardly ever."""
        interval = asked_interval({"KeepAlive": asked}, own)
        assert interval is not None
        self.assertGreaterEqual(interval, min(own, 0.25))
        self.assertLessEqual(interval, max(own, 300))

    @given(st.floats(0.05, 86400))
    def test_own(self, own: float) -> None:
        """The agent's own interval is within bounds, whatever it is."""
        self.assertEqual(asked_interval({"KeepAlive": own}, own), own)

    def test_nothing_asked(self) -> None:
        """Answers without an interval, as old brokers give, or with nonsense ask for nothing."""
        nonsense: tuple[Any, ...] = (None, 0, -1, True, "5", [], {})
        for answer in ({}, *({"KeepAlive": one} for one in nonsense)):
            self.assertIsNone(asked_interval(answer, 5.0), answer)


class SayingTests(PingingCase):
    """What pings say."""

    def interval_of(self, seconds: float) -> IResource:
        """A broker that asks for this interval."""
        return answering(200, b'{"KeepAlive": %g}' % seconds)

    def test_session_and_sequence(self) -> None:
        """The pings of one run of the agent have one session and are counted, to whomever they go."""
        brokers = [Answering(self.clock, broker_resource(self.persister)) for _ in range(2)]
        for number, broker in enumerate(brokers):
            self.pinger(broker.send, host=f"broker{number}").start()
        self.pass_time(20)
        pings = [ping for broker in brokers for ping in broker.pings]
        self.assertEqual({ping["Session"] for ping in pings}, {"s-1"})
        self.assertEqual(sorted(ping["Sequence"] for ping in pings), [*range(1, len(pings) + 1)])

    def test_vitals(self) -> None:
        """A ping says how the host is at that moment, and the broker stores it."""
        broker = Answering(self.clock, broker_resource(self.persister))
        self.vitals = Vitals(engine_id="e-1", memory_free=7)
        self.pinger(broker.send).start()
        self.vitals = evolve(self.vitals, trouble="Docker did not answer within 5 s.", memory_free=5)
        self.pass_time(5)
        told = [(ping.get("DockerTrouble"), ping["MemoryFree"]) for ping in broker.pings]
        self.assertEqual(told, [(None, 7), ("Docker did not answer within 5 s.", 5)])
        (report,) = self.successResultOf(Deferred.fromCoroutine(self.persister.hosts()))
        assert report.vitals is not None
        self.assertEqual((report.vitals.memory_free, report.vitals.session), (5, "s-1"))

    def test_asked_interval(self) -> None:
        """The ping after the one whose answer asks for another interval is the first to name it."""
        broker = Answering(self.clock, self.interval_of(1))
        self.pinger(broker.send, chance=0).start()
        self.pass_time(9)
        self.assertEqual([ping["KeepAlive"] for ping in broker.pings[:3]], [4, 1, 1])
        self.assertEqual([ping.get("OwnKeepAlive") for ping in broker.pings[:3]], [None, 4, 4])
        # Until it is named, the broker waits as long as it was told before.
        pauses = [later - sooner for sooner, later in pairwise(broker.times)]
        self.assertEqual(round(pauses[0]), 4)
        self.assertEqual(round(pauses[1]), 1)

    def test_brokers_that_ask(self) -> None:
        """A broker goes on asking for its interval until it is configured otherwise."""
        broker = Answering(self.clock, broker_resource(self.persister, 1.0))
        self.pinger(broker.send).start()
        self.pass_time(20)
        self.assertEqual({ping["KeepAlive"] for ping in broker.pings[1:]}, {1})
        broker.resource = broker_resource(self.persister)
        self.pass_time(10)
        self.assertEqual(broker.pings[-1]["KeepAlive"], 4)

    def test_longer_interval(self) -> None:
        """A longer interval is not kept before the broker knows of it, so that it takes nobody for dead."""
        broker = Answering(self.clock, self.interval_of(20))
        self.pinger(broker.send, chance=0).start()
        self.pass_time(30)
        self.assertEqual(round(broker.times[1]), 4)
        self.assertEqual(round(broker.times[2]), 24)

    def test_longer_interval_lost(self) -> None:
        """As long as a ping that names a longer interval gets no answer, the next come as before."""
        broker = Answering(self.clock, self.interval_of(300))
        self.pinger(broker.send, chance=0).start()
        broker.resource = hanging()
        self.pass_time(11.9)
        self.assertEqual([ping["KeepAlive"] for ping in broker.pings[:2]], [4, 300])
        # The broker calls the host dead after twelve seconds.
        self.assertGreaterEqual(len(broker.times), 4)

    def test_back_to_its_own(self) -> None:
        """A broker that asks for nothing special any more gets the agent's own interval."""
        broker = Answering(self.clock, self.interval_of(1))
        self.pinger(broker.send).start()
        self.pass_time(6)
        broker.resource = broker_resource(self.persister)
        self.pass_time(6)
        self.assertEqual(broker.pings[-1]["KeepAlive"], 4)
        self.assertNotIn("OwnKeepAlive", broker.pings[-1])

    def test_shortest(self) -> None:
        """Of several brokers the one that asks for the shortest interval is heeded, until it is lost."""
        fast, slow = Answering(self.clock, self.interval_of(1)), Answering(self.clock, self.interval_of(3))
        self.pinger(fast.send, host="fast").start()
        self.pinger(slow.send, host="slow").start()
        self.pass_time(20)
        self.assertEqual(slow.pings[-1]["KeepAlive"], 1)
        fast.resource = answering(503, b"{}")
        self.pass_time(10)
        self.assertEqual(slow.pings[-1]["KeepAlive"], 3)


class RefusedTests(PingingCase):
    """Agents that a broker refuses."""

    def test_other_engine(self) -> None:
        """An agent whose host had another engine is told so, once, and what to do about it."""
        self.vitals = Vitals(engine_id="e-1")
        broker = Answering(self.clock, broker_resource(self.persister))
        self.pinger(broker.send).start()
        self.vitals = Vitals(engine_id="e-2")
        self.pass_time(60)
        registered, refused = self.lines()
        self.assertEqual(registered, "Registered with the broker broker:9998")
        self.assertIn(
            "Lost the broker broker:9998: it refuses this agent: The Docker host 10.0.0.1 ", refused
        )
        self.assertIn("let an administrator forget the host", refused)

    def test_replaced(self) -> None:
        """An agent that another one of the same host has replaced is told that only one may run."""
        broker = Answering(self.clock, broker_resource(self.persister))
        old = self.pinger(broker.send, host="seen-by-old")
        old.start()
        self.teller = self.new_teller("s-2")
        self.pinger(broker.send, host="seen-by-new").start()
        self.pass_time(6)
        self.assertTrue([line for line in self.lines() if "seen-by-old" in line and "only one" in line])

    def test_overtaken(self) -> None:
        """A ping that is refused because a later one to another broker was quicker is made anew at once."""
        broker = Answering(self.clock, answering(409, b'{"description": "older"}'))
        sent: list[int] = []

        def overtaken(method: str, url: str, **options: Any) -> Deferred[Any]:
            answer = broker.send(method, url, **options)
            sent.append(broker.pings[-1]["Sequence"])
            if len(sent) == 1:
                self.teller.next_ping()
                broker.resource = broker_resource(self.persister)
            return answer

        self.pinger(overtaken).start()
        self.assertEqual(sent, [1, 3])
        self.assertEqual(self.lines(), ["Registered with the broker broker:9998"])

    def test_refused_once(self) -> None:
        """A refusal of the last ping is no reason to send it again at once."""
        broker = Answering(self.clock, answering(409, b'{"description": "older"}'))
        self.pinger(broker.send).start()
        self.assertEqual(len(broker.pings), 1)
