"""PATCH of an instance."""

from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.plans import MaintenanceInfo
from tests.stack import REDIS, Answer, Stack, instance_path

INSTANCE: Final = instance_path("i-1")
OFFERED: Final = evolve(
    REDIS,
    plan_updateable=True,
    plans=(
        evolve(REDIS.plan, maintenance=MaintenanceInfo(version="2.0.0")),
        evolve(REDIS.plan, id="redis_200", name="200", maintenance=MaintenanceInfo(version="3.0.0")),
    ),
)


class UpdateTests(SynchronousTestCase):
    """What may change, and what may not."""

    def setUp(self) -> None:
        """Make an instance whose image has `/update`."""
        self.stack = Stack()
        self.stack.add_definition(OFFERED)
        self.stack.image.scripts["/update"] = lambda _stdin, _environment: (0, b"", b"")
        self.stack.provision("i-1", parameters={"a": 1})

    def update(self, instance_id: str = "i-1", **members: Any) -> Answer:
        """Send an update."""
        body = {"service_id": "redis", **members}
        return self.stack.request("PATCH", instance_path(instance_id), body)

    def shown(self) -> Any:
        """Return the instance as platforms see it."""
        return self.stack.request("GET", INSTANCE).json

    def test_parameters(self) -> None:
        """Given parameters change, the others stay; an empty object changes nothing."""
        for parameters, expected in (
            ({"b": 2}, {"a": 1, "b": 2}),
            ({}, {"a": 1, "b": 2}),
            (None, {"a": 1, "b": 2}),
        ):
            answer = self.update(parameters=parameters)
            self.assertEqual((answer.status, answer.json), (200, {}))
            self.assertEqual(self.shown()["parameters"], expected)

    def test_plan(self) -> None:
        """Another plan is moved to, with its version; the same one is nothing to do."""
        for plan_id, version in (("redis_100", "2.0.0"), ("redis_200", "3.0.0")):
            answer = self.update(plan_id=plan_id, maintenance_info={"version": version})
            self.assertEqual((answer.status, answer.json), (200, {}))
            shown = self.shown()
            self.assertEqual((shown["plan_id"], shown["maintenance_info"]), (plan_id, {"version": version}))

    def test_what_cloud_controller_sends(self) -> None:
        """A rename, as Cloud Controller sends it, is taken: null in the previous values, no parameters."""
        answer = self.update(
            plan_id="redis_100",
            parameters={},
            context={"platform": "cloudfoundry", "instance_name": "new"},
            previous_values={"plan_id": "redis_100", "service_id": "redis", "maintenance_info": None},
        )
        self.assertEqual((answer.status, answer.json), (200, {}))
        self.assertEqual(self.shown()["parameters"], {"a": 1})

    def test_version(self) -> None:
        """A version that is not the catalog's is refused with its own error."""
        answer = self.update(maintenance_info={"version": "9.9.9"})
        self.assertEqual((answer.status, answer.json["error"]), (422, "MaintenanceInfoConflict"))

    def test_refused(self) -> None:
        """A change that is not supported is 422 without a code, and says what to do."""
        self.stack.add_definition(evolve(OFFERED, plan_updateable=False))
        self.stack.provision("i-2")
        answer = self.update("i-2", plan_id="redis_200")
        self.assertEqual((answer.status, set(answer.json)), (422, {"description"}))
        self.assertIn("another plan", answer.description)

    def test_unknown(self) -> None:
        """An unknown instance is 404, an unknown plan or another service 400."""
        self.assertEqual(self.update("i-2").status, 404)
        self.assertEqual(self.update(plan_id="redis_300").status, 400)
        self.assertEqual(self.update(service_id="mysql").status, 400)

    def test_malformed(self) -> None:
        """What is malformed is 400 and names the member; nothing is changed."""
        before = self.shown()
        wrong: tuple[dict[str, Any], ...] = (
            {"service_id": ""},
            {"service_id": None},
            {"plan_id": ""},
            {"plan_id": 1},
            {"parameters": []},
            {"context": "x"},
            {"maintenance_info": "2.0.0"},
            {"maintenance_info": {"version": 2}},
            {"previous_values": []},
            {"previous_values": {"plan_id": 1}},
        )
        for members in wrong:
            answer = self.update(**{"parameters": {"b": 1}, **members})
            self.assertEqual(answer.status, 400, members)
            self.assertIn(next(iter(members)), answer.description)
        self.assertEqual(self.shown(), before)

    def test_failure(self) -> None:
        """A change that failed tells whether the instance can be used, and the change be tried again."""
        self.stack.image.scripts["/update"] = lambda _stdin, _environment: (1, b"", b"no")
        answer = self.update(parameters={"b": 1})
        self.assertEqual(answer.status, 500)
        self.assertEqual(set(answer.json), {"description", "instance_usable", "update_repeatable"})
