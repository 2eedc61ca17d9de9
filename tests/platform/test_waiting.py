"""The model of Cloud Controller waits, polls, sends again and cleans up as Cloud Controller does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.platform.beliefs import Belief, Resource
from tests.platform.scripted import FAILED, IN_PROGRESS, OFFERING, SUCCEEDED, Scene
from tests.platform.verdicts import Lost

_INSTANCE = "/v2/service_instances/i-1"
_BINDING = f"{_INSTANCE}/service_bindings/b-1"
_ACCEPTED = (202, {"operation": "op-1"})
_GONE = Resource("i-1")


class LossTests(SynchronousTestCase):
    """What is done when no answer comes."""

    def setUp(self) -> None:
        """Start a platform."""
        self.scene = Scene()

    def create(self, *answers: Any) -> Any:
        """Create an instance with these answers."""
        return self.scene.run(self.scene.platform.create_service("i-1", "service", "small"), *answers)

    def test_timeout(self) -> None:
        """After 60 s the request has failed, is not sent again, and what it may have made is deleted."""
        outcome = self.create(Lost.TIMEOUT, (410, {}))
        self.assertEqual((outcome.state, outcome.error), ("failed", "HttpClientTimeout"))
        self.assertEqual(self.scene.lines, [f"PUT {_INSTANCE}", f"DELETE {_INSTANCE}"])
        self.assertEqual(self.scene.times, [0.0, 60.0])

    def test_dropped_once(self) -> None:
        """A connection that ends before a status line makes the same request be sent again at once (R1)."""
        outcome = self.create(Lost.DROPPED, (201, {}))
        self.assertEqual((outcome.state, self.scene.times), ("succeeded", [0.0, 0.0]))
        first, second = self.scene.broker.sent
        self.assertEqual((first.body, first.headers), (second.body, second.headers))
        self.assertEqual(
            [event.kind for event in self.scene.platform.history], ["invoke", "info", "invoke", "ok"]
        )

    def test_dropped_twice(self) -> None:
        """It is sent again once only; nothing is deleted, and nobody knows what there is (R2)."""
        outcome = self.create(Lost.DROPPED, Lost.DROPPED)
        self.assertEqual((outcome.error, len(self.scene.broker.sent)), ("HttpRequestError", 2))
        self.assertEqual(self.scene.platform.beliefs.of(_GONE), Belief.UNKNOWN)

    def test_refused(self) -> None:
        """A connection that is refused means that nothing was made, and nothing is deleted (R2)."""
        outcome = self.create(Lost.REFUSED)
        self.assertEqual((outcome.error, len(self.scene.broker.sent)), ("ApiUnreachable", 1))
        self.assertEqual(self.scene.platform.beliefs.of(_GONE), Belief.GONE)

    def test_dropped_then_refused(self) -> None:
        """What was sent before the connection was refused may have been done."""
        self.create(Lost.DROPPED, Lost.REFUSED)
        self.assertEqual(self.scene.platform.beliefs.of(_GONE), Belief.UNKNOWN)


class PollingTests(SynchronousTestCase):
    """When it polls, and what it makes of it (R4)."""

    def setUp(self) -> None:
        """Start a platform."""
        self.scene = Scene()

    def create(self, *answers: Any) -> Any:
        """Create an instance asynchronously with these answers to the polls."""
        job = self.scene.platform.create_service("i-1", "service", "small")
        return self.scene.run(job, _ACCEPTED, *answers)

    def test_times(self) -> None:
        """The first poll is made at once and the others every 60 s; then the instance is fetched."""
        outcome = self.create(IN_PROGRESS, IN_PROGRESS, SUCCEEDED, (200, {"dashboard_url": "http://d"}))
        self.assertEqual(outcome.document, {"dashboard_url": "http://d"})
        self.assertEqual(self.scene.times, [0.0, 0.0, 60.0, 120.0, 120.0])
        self.assertEqual(self.scene.platform.believed_instances, {"i-1"})

    def test_retry_after(self) -> None:
        """`Retry-After` only makes polls rarer, is in seconds, and counts until another one comes."""
        later = [(200, {"state": "in progress"}, {"Retry-After": text}) for text in ("90", "5", "200000")]
        dated = (200, {"state": "in progress"}, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"})
        self.create(later[0], IN_PROGRESS, later[1], dated, later[2], SUCCEEDED, (200, {}))
        polls = self.scene.times[1:-1]
        self.assertEqual(polls, [0.0, 90.0, 180.0, 240.0, 300.0, 86700.0])

    def test_failed(self) -> None:
        """A failure that the broker reports is final, and begins no orphan mitigation."""
        outcome = self.create(FAILED)
        self.assertEqual((outcome.state, outcome.description), ("failed", "No luck."))
        self.assertEqual(len(self.scene.broker.sent), 2)
        self.assertIn(_GONE, self.scene.platform.believed_gone)

    def test_careless_400(self) -> None:
        """A 400 to a poll is a failure that is final, and its description is shown."""
        outcome = self.create((400, {"description": "What?"}))
        self.assertEqual((outcome.state, outcome.description), ("failed", "Service broker error: What?"))

    def test_anything_else(self) -> None:
        """Whatever is no answer to a poll means that it polls again."""
        odd: list[Any] = [
            (404, {}),
            (401, {}),
            (422, {}),
            (500, {}),
            (410, {}),
            (200, b"x"),
            (200, {"state": "?"}),
        ]
        lost = [Lost.REFUSED, Lost.DROPPED, Lost.DROPPED]
        outcome = self.create(*odd, *lost, SUCCEEDED, (500, {}))
        self.assertEqual(outcome.state, "succeeded")
        self.assertEqual(self.scene.times[-1], 60.0 * 9)

    def test_slow_poll(self) -> None:
        """A poll that is not answered is given up after 60 s, and the next one comes 60 s later."""
        self.create(Lost.TIMEOUT, SUCCEEDED, (200, {}))
        self.assertEqual(self.scene.times[1:3], [0.0, 120.0])

    def test_limit_of_plan(self) -> None:
        """When the next poll would be too late for the plan, the create has failed and is undone."""
        plans = [{**plan, "maximum_polling_duration": 150} for plan in OFFERING["plans"]]
        scene = Scene({**OFFERING, "plans": plans})
        job = scene.platform.create_service("i-1", "service", "small")
        outcome = scene.run(job, _ACCEPTED, IN_PROGRESS, IN_PROGRESS, IN_PROGRESS, (200, {}))
        self.assertEqual((outcome.state, outcome.error), ("failed", "JobTimeout"))
        self.assertEqual(scene.times, [0.0, 0.0, 60.0, 120.0, 120.0])
        self.assertEqual(scene.lines[-1], f"DELETE {_INSTANCE}")

    def test_limit_of_platform(self) -> None:
        """Without a limit of the plan, and with one beyond it, polls go on for a week."""
        plans = [{**plan, "maximum_polling_duration": 10**9} for plan in OFFERING["plans"]]
        scene = Scene({**OFFERING, "plans": plans})
        polls = [IN_PROGRESS] * (7 * 24 * 60 + 1)
        outcome = scene.run(
            scene.platform.create_service("i-1", "service", "small"), _ACCEPTED, *polls, (200, {})
        )
        self.assertEqual((outcome.error, scene.times[-1]), ("JobTimeout", 7 * 86400.0))

    def test_update(self) -> None:
        """The polls of an update name the old plan; when it takes too long, nothing is deleted."""
        plans = [{**plan, "maximum_polling_duration": 30} for plan in OFFERING["plans"]]
        scene = Scene({**OFFERING, "plans": plans})
        scene.created()
        update = scene.platform.update_service("i-1", plan_id="large")
        outcome = scene.run(update, _ACCEPTED, IN_PROGRESS)
        self.assertEqual((outcome.error, scene.lines[-1]), ("JobTimeout", f"GET {_INSTANCE}/last_operation"))
        self.assertIn("plan_id=small", scene.broker.sent[-1].path)
        self.assertEqual(scene.platform.believed_instances, {"i-1"})

    def test_removal(self) -> None:
        """410 and a success end the polls of a removal; 404 does not."""
        for end in (SUCCEEDED, (410, {})):
            scene = Scene()
            scene.created()
            outcome = scene.run(scene.platform.delete_service("i-1"), _ACCEPTED, (404, {}), end)
            self.assertEqual((outcome.state, len(scene.broker.sent)), ("succeeded", 3))
            self.assertEqual(scene.platform.believed_gone, {_GONE})


class MitigationTests(SynchronousTestCase):
    """When orphans are deleted, and how long it is tried (R3)."""

    def test_attempts(self) -> None:
        """It is tried at once and then after 2, 4, 8 ... minutes, 11 times in all."""
        scene = Scene()
        job = scene.platform.create_service("i-1", "service", "small")
        scene.run(job, (500, {}), *[(500, {})] * 11)
        self.assertFalse(scene.platform.is_idle)
        scene.settle()
        tries = scene.times[1:]
        gaps = [after - before for before, after in pairwise(tries)]
        self.assertEqual((tries[0], gaps), (0.0, [60.0 * 2**n for n in range(1, 11)]))
        self.assertTrue(scene.platform.is_idle)
        self.assertEqual(scene.platform.beliefs.of(_GONE), Belief.UNKNOWN)

    def test_done(self) -> None:
        """200, 202 and 410 end it; a 202 is not polled."""
        for end in ((200, {}), _ACCEPTED, (410, {})):
            scene = Scene()
            scene.run(scene.platform.create_service("i-1", "service", "small"), (503, {}), (404, {}), end)
            scene.settle()
            self.assertEqual(scene.lines, [f"PUT {_INSTANCE}", *[f"DELETE {_INSTANCE}"] * 2])
            self.assertEqual(scene.platform.beliefs.of(_GONE), Belief.GONE)

    def test_nobody_asked(self) -> None:
        """The deletion of an orphan is caused by no user."""
        scene = Scene()
        scene.run(scene.platform.create_service("i-1", "service", "small"), (500, {}), (200, {}))
        self.assertNotIn("X-Broker-Api-Originating-Identity", scene.broker.sent[1].headers)

    def test_binding(self) -> None:
        """A bind that may have been done is undone as well."""
        scene = Scene()
        scene.created()
        scene.run(scene.platform.bind("i-1", "b-1"), (500, {}), (200, {}))
        self.assertEqual(scene.lines, [f"PUT {_BINDING}", f"DELETE {_BINDING}"])

    def test_never(self) -> None:
        """Changes and removals are not undone."""
        scene = Scene()
        scene.created()
        scene.bound()
        scene.run(scene.platform.update_service("i-1", parameters={"a": 1}), (500, {}))
        scene.run(scene.platform.unbind("i-1", "b-1"), (500, {}))
        outcome = scene.run(scene.platform.delete_service("i-1"), (200, {}), (500, {}))
        self.assertEqual((outcome.state, outcome.error), ("failed", "BadResponse"))
        self.assertEqual(len(scene.broker.sent), 4)
