"""What is told of a request with several faults: the first one, in an order that platforms rely on.

That credentials come before the version, and the version before all else, is in `test_authentication`.
"""

from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.plans import MaintenanceInfo
from tests.stack import REDIS, Stack, bind_body, binding_path, instance_path, provision_body, query

INSTANCE: Final = instance_path("i-1")
BINDING: Final = binding_path("i-1", "b-1")
OTHER_TYPE: Final = {"Content-Type": "text/plain"}


class OrderCase(SynchronousTestCase):
    """A broker with a plan that has a version and takes long."""

    def setUp(self) -> None:
        """Start the broker."""
        self.stack = Stack()
        maintenance = MaintenanceInfo(version="1.0.0")
        plan = evolve(REDIS.plan, maintenance=maintenance, asynchronous_only=True)
        self.stack.add_definition(evolve(REDIS, plans=(plan,)))
        self.stack.persister.calls.clear()

    def status(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str | None]:
        """Return the status of the answer, and its error code."""
        answer = self.stack.request(method, path, body, **options)
        return answer.status, answer.json.get("error")

    def make(self) -> None:
        """Make the instance and the binding."""
        allowed = "?accepts_incomplete=true"
        self.assertEqual(self.status("PUT", INSTANCE + allowed, provision_body())[0], 201)
        self.assertEqual(self.status("PUT", BINDING + allowed, bind_body())[0], 201)


class EarlyTests(OrderCase):
    """Before anything is looked up."""

    def test_kind_before_path(self) -> None:
        """A body that says that it is no JSON is 415, wherever it goes: it is not read."""
        for path in ("/v2/nothing", INSTANCE, "/docker/image/x", "/nothing", "/ping"):
            self.assertEqual(self.status("PUT", path, b"{", headers=OTHER_TYPE, auth=None), (415, None))

    def test_path_before_body(self) -> None:
        """A wrong path is 404, whatever the method, the query and the body."""
        for method in ("PUT", "PATCH", "DELETE", "TRACE"):
            for path in ("/v2/nothing", f"{INSTANCE}/nothing?accepts_incomplete=maybe"):
                self.assertEqual(self.status(method, path, b"{"), (404, None))

    def test_method_before_body(self) -> None:
        """A wrong method is 405, whatever the query and the body."""
        for method, path in (("POST", INSTANCE), ("PATCH", BINDING), ("PUT", f"{INSTANCE}/last_operation")):
            asked = f"{path}?accepts_incomplete=maybe&operation="
            self.assertEqual(self.status(method, asked, b"{"), (405, None))

    def test_body_before_looking(self) -> None:
        """What is malformed is 400 before anything is looked up."""
        for method, path, body in (
            ("PUT", INSTANCE, b"{"),
            ("PUT", INSTANCE, {}),
            ("PUT", f"{INSTANCE}?accepts_incomplete=maybe", provision_body(plan_id="x")),
            ("PUT", BINDING, {}),
            ("PATCH", INSTANCE, {}),
            ("DELETE", INSTANCE, None),
            ("DELETE", f"{BINDING}?plan_id=x&plan_id=y", None),
            ("GET", f"{INSTANCE}?plan_id=", None),
            ("GET", f"{BINDING}/last_operation?operation=", None),
        ):
            self.assertEqual(self.status(method, path, body), (400, None))
        self.assertEqual(self.stack.persister.calls, [])


class ProvisionTests(OrderCase):
    """PUT of an instance."""

    def test_plan_before_conflict(self) -> None:
        """An unknown plan is 400, also of an instance that exists with another one."""
        self.make()
        body = provision_body(plan_id="x", maintenance_info={"version": "9.9.9"})
        self.assertEqual(self.status("PUT", INSTANCE, body), (400, None))

    def test_existing_before_version(self) -> None:
        """An instance that exists is 409 or 200, whatever version is asked for, and however."""
        self.make()
        wrong = {"maintenance_info": {"version": "9.9.9"}}
        body = provision_body(space_guid="s-2", **wrong)
        self.assertEqual(self.status("PUT", INSTANCE, body), (409, None))
        self.assertEqual(self.status("PUT", INSTANCE, provision_body(**wrong)), (200, None))

    def test_version_before_asynchronous(self) -> None:
        """Of a new instance first the version counts, then whether the answer may come later."""
        body = provision_body(maintenance_info={"version": "9.9.9"})
        self.assertEqual(self.status("PUT", INSTANCE, body), (422, "MaintenanceInfoConflict"))
        self.assertEqual(self.status("PUT", INSTANCE, provision_body()), (422, "AsyncRequired"))
        self.assertEqual(self.stack.engine.world, {})


class BindTests(OrderCase):
    """PUT of a binding."""

    def test_conflict_before_plan(self) -> None:
        """A binding that exists is 409 before its plan is compared with the instance's."""
        self.make()
        self.assertEqual(self.status("PUT", BINDING, bind_body(plan_id="x")), (409, None))
        self.assertEqual(self.status("PUT", BINDING, bind_body(parameters={"a": 1})), (409, None))
        self.assertEqual(self.status("PUT", BINDING, bind_body()), (200, None))

    def test_plan_before_asynchronous(self) -> None:
        """Of a new binding first the plan counts, then whether the answer may come later."""
        self.make()
        path = binding_path("i-1", "b-2")
        self.assertEqual(self.status("PUT", path, bind_body(plan_id="x")), (400, None))
        self.assertEqual(self.status("PUT", path, bind_body()), (422, "AsyncRequired"))


class DeleteTests(OrderCase):
    """DELETE of an instance or a binding."""

    def test_instance(self) -> None:
        """First the ids are needed, then the answer must be allowed to come later, then it is gone."""
        allowed = "&accepts_incomplete=true"
        self.assertEqual(self.status("DELETE", INSTANCE), (400, None))
        self.assertEqual(self.status("DELETE", INSTANCE + query()), (422, "AsyncRequired"))
        self.assertEqual(self.status("DELETE", INSTANCE + query() + allowed), (410, None))
        self.make()
        self.assertEqual(self.status("DELETE", INSTANCE), (400, None))
        self.assertEqual(self.status("DELETE", INSTANCE + query()), (422, "AsyncRequired"))
        self.assertEqual(self.status("DELETE", INSTANCE + query() + allowed), (200, None))

    def test_binding(self) -> None:
        """First the answer must be allowed to come later, then it is gone, then the ids are needed."""
        allowed = "?accepts_incomplete=true"
        self.assertEqual(self.status("DELETE", BINDING + allowed), (410, None))
        self.make()
        unknown = binding_path("i-1", "b-2")
        for path in (BINDING, BINDING + query(), unknown, unknown + query()):
            self.assertEqual(self.status("DELETE", path), (422, "AsyncRequired"))
        self.assertEqual(self.status("DELETE", unknown + allowed), (410, None))
        self.assertEqual(self.status("DELETE", BINDING + allowed), (400, None))
        path = BINDING + query() + "&accepts_incomplete=true"
        self.assertEqual(self.status("DELETE", path), (200, None))
