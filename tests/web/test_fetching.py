"""GET of an instance and of a binding."""

from typing import Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.plans import MaintenanceInfo
from tests.stack import CREDENTIALS, REDIS, Stack, binding_path, instance_path, query

INSTANCE: Final = instance_path("i-1")
BINDING: Final = binding_path("i-1", "b-1")
IDS: Final = {"service_id": "redis", "plan_id": "redis_100"}


class FetchTests(SynchronousTestCase):
    """What is shown."""

    def setUp(self) -> None:
        """Start a broker."""
        self.stack = Stack()

    def test_instance(self) -> None:
        """An instance is shown as it was made, and no member is null or empty."""
        self.stack.provision("i-1")
        answer = self.stack.request("GET", INSTANCE)
        self.assertEqual((answer.status, answer.json), (200, IDS))
        self.stack.provision("i-2", parameters={"a": {"b": None}})
        answer = self.stack.request("GET", instance_path("i-2"))
        self.assertEqual((answer.status, answer.json), (200, {**IDS, "parameters": {"a": {"b": None}}}))

    def test_version(self) -> None:
        """The version of its plan is shown."""
        plan = evolve(REDIS.plan, maintenance=MaintenanceInfo(version="1.2.3", description="Newer."))
        self.stack.add_definition(evolve(REDIS, plans=(plan,)))
        self.stack.provision("i-1", maintenance_info={"version": "1.2.3"})
        answer = self.stack.request("GET", INSTANCE)
        self.assertEqual(
            (answer.status, answer.json), (200, {**IDS, "maintenance_info": {"version": "1.2.3"}})
        )

    def test_binding(self) -> None:
        """A binding is shown as it was answered, with its parameters."""
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        answer = self.stack.request("GET", BINDING)
        self.assertEqual((answer.status, answer.json), (200, {"credentials": CREDENTIALS}))
        self.stack.bind("i-1", "b-2", parameters={"a": 1})
        answer = self.stack.request("GET", binding_path("i-1", "b-2"))
        self.assertEqual(answer.json, {"credentials": CREDENTIALS, "parameters": {"a": 1}})

    def test_unknown(self) -> None:
        """What does not exist, not any more, or under another instance, is 404."""
        for path in (INSTANCE, BINDING):
            self.assertEqual(self.stack.request("GET", path).status, 404)
        self.stack.provision("i-1")
        self.stack.provision("i-2")
        self.stack.bind("i-1", "b-1")
        self.assertEqual(self.stack.request("GET", binding_path("i-2", "b-1")).status, 404)
        self.stack.unbind("i-1", "b-1")
        self.stack.deprovision("i-1")
        for path in (INSTANCE, BINDING):
            self.assertEqual(self.stack.request("GET", path).status, 404)

    def test_hints(self) -> None:
        """The ids of the query are hints that may be absent, but neither empty nor given twice."""
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        for path in (INSTANCE, BINDING):
            for text in (query(), "?service_id=redis", "?x=1&x=2"):
                self.assertEqual(self.stack.request("GET", path + text).status, 200)
            for text in ("?service_id=", "?plan_id", "?plan_id=x&plan_id=x", "?service_id=%ff"):
                self.assertEqual(self.stack.request("GET", path + text).status, 400, text)

    def test_head(self) -> None:
        """HEAD has the status of GET, and no body."""
        self.stack.provision("i-1")
        for path, status in ((INSTANCE, 200), (BINDING, 404)):
            answer = self.stack.request("HEAD", path)
            self.assertEqual((answer.status, answer.body), (status, b""))
