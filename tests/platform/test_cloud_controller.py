"""The model of Cloud Controller sends and believes what Cloud Controller sends and believes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.platform.beliefs import Belief, Resource
from tests.platform.scripted import FAILED, IN_PROGRESS, OFFERING, SUCCEEDED, Answer, Scene
from tests.platform.verdicts import Lost

_INSTANCE = "/v2/service_instances/i-1"
_BINDING = f"{_INSTANCE}/service_bindings/b-1"
_ACCEPTED = (202, {"operation": "op-1"})
_GONE = Resource("i-1")


class RequestTests(SynchronousTestCase):
    """What is sent."""

    def setUp(self) -> None:
        """Start a platform."""
        self.scene = Scene()

    def test_provision(self) -> None:
        """A provision carries the ids, the context and the headers; parameters only when there are any."""
        self.scene.run(self.scene.platform.create_service("i-1", "service", "small"), (201, {}))
        (sent,) = self.scene.broker.sent
        self.assertEqual((sent.method, sent.path), ("PUT", f"{_INSTANCE}?accepts_incomplete=true"))
        self.assertEqual(
            set(sent.body), {"service_id", "plan_id", "organization_guid", "space_guid", "context"}
        )
        self.assertEqual(sent.body["context"]["platform"], "cloudfoundry")
        self.assertEqual(sent.headers["X-Broker-Api-Version"], "2.15")
        self.assertEqual(sent.headers["Content-Type"], "application/json")
        self.assertIn("X-Broker-Api-Originating-Identity", sent.headers)

    def test_maintenance_info(self) -> None:
        """A plan's maintenance information is sent whole with a provision, and its version with an update."""
        plans = [{**plan, "maintenance_info": {"version": "1.0.0"}} for plan in OFFERING["plans"]]
        scene = Scene({**OFFERING, "plans": plans})
        scene.run(scene.platform.create_service("i-1", "service", "small"), (201, {}))
        scene.run(scene.platform.update_service("i-1", plan_id="large"), (200, {}))
        self.assertEqual(
            [sent.body["maintenance_info"] for sent in scene.broker.sent], [{"version": "1.0.0"}] * 2
        )

    def test_update(self) -> None:
        """An update always carries parameters, be they empty, and the values that were."""
        self.scene.created()
        outcome = self.scene.run(self.scene.platform.update_service("i-1", plan_id="large"), (200, {}))
        (sent,) = self.scene.broker.sent
        self.assertEqual((sent.method, outcome.state), ("PATCH", "succeeded"))
        self.assertEqual((sent.body["plan_id"], sent.body["parameters"]), ("large", {}))
        self.assertEqual(sent.body["previous_values"]["plan_id"], "small")

    def test_needless_update(self) -> None:
        """A new name is not sent unless the offering wants to know of it."""
        self.scene.created()
        self.assertEqual(
            self.scene.run(self.scene.platform.update_service("i-1", name="new")).state, "succeeded"
        )
        self.assertEqual(self.scene.broker.sent, [])
        wanting = Scene({**OFFERING, "allow_context_updates": True})
        wanting.created()
        wanting.run(wanting.platform.update_service("i-1", name="new"), (200, {}))
        self.assertEqual(wanting.broker.sent[0].body["context"]["instance_name"], "new")

    def test_plan_that_stays(self) -> None:
        """The plan is not changed where the offering does not allow it."""
        scene = Scene({**OFFERING, "plan_updateable": False})
        scene.created()
        outcome = scene.run(scene.platform.update_service("i-1", plan_id="large"))
        self.assertEqual((outcome.state, scene.broker.sent), ("refused", []))

    def test_bind(self) -> None:
        """A binding of an application names it twice; a key has no application."""
        self.scene.created()
        self.scene.run(self.scene.platform.bind("i-1", "b-1"), (201, {}))
        self.scene.run(self.scene.platform.bind("i-1", "b-2", None, {"role": "reader"}), (201, {}))
        app, key = (sent.body for sent in self.scene.broker.sent)
        self.assertEqual((app["app_guid"], app["bind_resource"]["app_guid"]), ("app-1", "app-1"))
        self.assertNotIn("app_guid", key)
        self.assertEqual((key["bind_resource"], key["parameters"]), ({}, {"role": "reader"}))

    def test_delete(self) -> None:
        """A DELETE has a sorted query and no body; the plan is the one that the instance has by now."""
        self.scene.created()
        self.scene.run(self.scene.platform.update_service("i-1", plan_id="large"), (200, {}))
        self.scene.run(self.scene.platform.delete_service("i-1"), (200, {}))
        sent = self.scene.broker.sent[-1]
        query = "accepts_incomplete=true&plan_id=large&service_id=service"
        self.assertEqual((sent.path, sent.body), (f"{_INSTANCE}?{query}", None))
        self.assertNotIn("Content-Type", sent.headers)

    def test_operation(self) -> None:
        """A poll carries the operation, percent-encoded, and only when the broker gave one."""
        create = self.scene.platform.create_service
        self.scene.run(create("i-1", "service", "small"), (202, {"operation": "a&b"}), SUCCEEDED, (200, {}))
        self.scene.run(create("i-2", "service", "small"), (202, {}), SUCCEEDED, (200, {}))
        polls = [sent.path for sent in self.scene.broker.sent if "last_operation" in sent.path]
        self.assertIn("operation=a%26b&plan_id=small&service_id=service", polls[0])
        self.assertNotIn("operation=", polls[1].partition("?")[2])


class LifeTests(SynchronousTestCase):
    """Bindings, removals, and what goes on at the same time."""

    def setUp(self) -> None:
        """Make an instance."""
        self.scene = Scene()
        self.scene.created()
        self.platform = self.scene.platform

    def test_fetch_after_bind(self) -> None:
        """The credentials of an asynchronous bind are fetched."""
        fetched = (200, {"credentials": {"password": "p"}})
        outcome = self.scene.run(self.platform.bind("i-1", "b-1"), _ACCEPTED, SUCCEEDED, fetched)
        self.assertEqual(outcome.document, {"credentials": {"password": "p"}})
        self.assertEqual(self.platform.believed_bindings, {("i-1", "b-1")})

    def test_fetch_fails(self) -> None:
        """A binding that cannot be fetched has failed, and is left alone."""
        for answer in ((404, {}), (200, {"credentials": None}), Lost.REFUSED):
            scene = Scene()
            scene.created()
            outcome = scene.run(scene.platform.bind("i-1", "b-1"), _ACCEPTED, SUCCEEDED, answer)
            self.assertEqual((outcome.state, len(scene.broker.sent)), ("failed", 3))
            self.assertEqual(scene.platform.beliefs.of(Resource("i-1", "b-1")), Belief.UNKNOWN)

    def test_not_retrievable(self) -> None:
        """A bind must not be asynchronous when bindings cannot be fetched."""
        scene = Scene({**OFFERING, "bindings_retrievable": False})
        scene.created()
        outcome = scene.run(scene.platform.bind("i-1", "b-1"), _ACCEPTED)
        self.assertEqual((outcome.error, len(scene.broker.sent)), ("BindingNotRetrievable", 1))

    def test_unbinds_first(self) -> None:
        """A removal unbinds what is bound, and polls that to the end, before it removes the instance."""
        self.scene.bound("b-1")
        self.scene.bound("b-2")
        removal = self.platform.delete_service("i-1")
        outcome = self.scene.run(removal, _ACCEPTED, IN_PROGRESS, SUCCEEDED, (410, {}), (200, {}))
        self.assertEqual(outcome.state, "succeeded")
        second = _BINDING.replace("b-1", "b-2")
        polls = [f"GET {_BINDING}/last_operation"] * 2
        self.assertEqual(
            self.scene.lines, [f"DELETE {_BINDING}", *polls, f"DELETE {second}", f"DELETE {_INSTANCE}"]
        )
        self.assertEqual(len(self.platform.believed_gone), 3)

    def test_unbind_fails(self) -> None:
        """An instance is not removed while a binding cannot be."""
        self.scene.bound()
        outcome = self.scene.run(self.platform.delete_service("i-1"), (500, {}))
        self.assertEqual((outcome.state, len(self.scene.broker.sent)), ("failed", 1))
        self.assertEqual(self.platform.believed_instances, {"i-1"})

    def test_busy_broker(self) -> None:
        """A removal that the broker refuses for concurrency has changed nothing."""
        outcome = self.scene.run(self.platform.delete_service("i-1"), (422, {"error": "ConcurrencyError"}))
        self.assertEqual((outcome.state, outcome.error), ("failed", "ApiError"))
        self.assertEqual(self.platform.believed_instances, {"i-1"})

    def test_removal_of_unknown_end(self) -> None:
        """After a removal that was lost nobody knows, and the user can ask again."""
        self.scene.run(self.platform.delete_service("i-1"), Lost.TIMEOUT)
        self.assertEqual(self.platform.beliefs.of(_GONE), Belief.UNKNOWN)
        outcome = self.scene.run(self.platform.delete_service("i-1"), (410, {}))
        self.assertEqual((outcome.state, self.platform.believed_gone), ("succeeded", {_GONE}))

    def test_busy_platform(self) -> None:
        """While a change goes on, the platform itself refuses everything else."""
        going = self.scene.begin(
            self.platform.update_service("i-1", parameters={"a": 1}), _ACCEPTED, IN_PROGRESS
        )
        jobs = [
            self.platform.update_service("i-1", parameters={}),
            self.platform.bind("i-1", "b-1"),
            self.platform.delete_service("i-1"),
        ]
        self.assertEqual([self.scene.run(job).state for job in jobs], ["refused"] * 3)
        self.scene.broker.script.append(SUCCEEDED)
        self.assertEqual(self.scene.through(going)[0].state, "succeeded")

    def test_removal_during_create(self) -> None:
        """A create that is in progress can be removed, and is then not polled any more."""
        create = self.scene.begin(
            self.platform.create_service("i-2", "service", "small"), _ACCEPTED, IN_PROGRESS
        )
        self.assertEqual(self.scene.run(self.platform.delete_service("i-2"), (200, {})).state, "succeeded")
        self.assertEqual(self.scene.through(create)[0].state, "superseded")
        self.assertIn(Resource("i-2"), self.platform.believed_gone)

    def test_refused_removal_during_create(self) -> None:
        """A create goes on when its removal is refused."""
        create = self.scene.begin(
            self.platform.create_service("i-2", "service", "small"), _ACCEPTED, IN_PROGRESS
        )
        refused = self.scene.run(self.platform.delete_service("i-2"), (422, {"error": "ConcurrencyError"}))
        self.scene.broker.script.extend([SUCCEEDED, (200, {})])
        self.assertEqual((refused.state, self.scene.through(create)[0].state), ("failed", "succeeded"))
        self.assertEqual(self.platform.believed_instances, {"i-1", "i-2"})

    def test_lost_removal_during_create(self) -> None:
        """When a removal is lost, nobody knows, even if the creation was reported meanwhile."""
        create = self.scene.begin(
            self.platform.create_service("i-2", "service", "small"), _ACCEPTED, IN_PROGRESS
        )
        removal = self.scene.begin(self.platform.delete_service("i-2"), Lost.TIMEOUT, SUCCEEDED, (200, {}))
        self.scene.settle()
        self.assertEqual([outcome.state for outcome in (*create, *removal)], ["succeeded", "failed"])
        self.assertEqual(self.platform.beliefs.of(Resource("i-2")), Belief.UNKNOWN)

    def test_unanswered_create(self) -> None:
        """A create that the broker has not answered yet cannot be removed."""
        create = self.scene.begin(self.platform.create_service("i-2", "service", "small"), Lost.TIMEOUT)
        self.assertEqual(self.scene.run(self.platform.delete_service("i-2")).state, "refused")
        self.scene.broker.script.append((200, {}))
        self.assertEqual(self.scene.through(create)[0].error, "HttpClientTimeout")

    def test_rejected_create(self) -> None:
        """What a broker rejects does not exist and is no orphan; the user can remove what is left of it."""
        outcome = self.scene.run(
            self.platform.create_service("i-2", "service", "small"), (400, {"description": "No."})
        )
        self.assertEqual(
            (outcome.error, outcome.description), ("RequestRejected", "Service broker error: No.")
        )
        self.assertIn(Resource("i-2"), self.platform.believed_gone)
        self.assertEqual(self.scene.run(self.platform.delete_service("i-2"), (410, {})).state, "succeeded")

    def test_created_again(self) -> None:
        """Who creates an instance again whose creation failed has the orphan of the first one deleted."""
        create = self.platform.create_service
        self.scene.run(create("i-2", "service", "small"), _ACCEPTED, FAILED)
        self.scene.broker.sent.clear()
        again = self.scene.run(create("i-3", "service", "small", replaces="i-2"), (410, {}), (201, {}))
        self.assertEqual(again.state, "succeeded")
        paths = [_INSTANCE.replace("i-1", name) for name in ("i-2", "i-3")]
        self.assertEqual(self.scene.lines, [f"DELETE {paths[0]}", f"PUT {paths[1]}"])

    def test_history(self) -> None:
        """Each transmission begins and ends in the history: done, not done, or nobody knows."""
        self.platform.history.clear()
        update = self.platform.update_service
        answers: list[Answer] = [(200, {}), (400, {}), (500, {}), (200, b"x"), Lost.REFUSED]
        for answer in answers:
            self.scene.run(update("i-1", parameters={"a": 1}), answer)
        kinds = [event.kind for event in self.platform.history]
        self.assertEqual(kinds[::2], ["invoke"] * 5)
        self.assertEqual(kinds[1::2], ["ok", "fail", "info", "info", "fail"])
        self.assertEqual(
            [event.number for event in self.platform.history[::2]],
            [event.number for event in self.platform.history[1::2]],
        )
