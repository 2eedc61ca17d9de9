"""The Open Service Broker API: statuses and bodies."""

from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.secrets import Secret
from tests.model.values import renamed
from tests.stack import (
    CREDENTIALS,
    REDIS,
    Stack,
    add_service,
    bind_body,
    binding_path,
    instance_path,
    provision_body,
    query,
)

STATIC: Final = renamed(
    REDIS,
    "static",
    image="static",
    credentials=Secret({"uri": "redis://$HOST:$PORT"}),
    dashboard_url="http://$HOST:$PORT_6379/",
)
WRONG_TEXTS: Final[tuple[Any, ...]] = ("", 1, [], {}, True)
WRONG_OBJECTS: Final[tuple[Any, ...]] = ("", 1, [], "x", True)


class CatalogTests(SynchronousTestCase):
    """GET /v2/catalog."""

    def test_catalog(self) -> None:
        """The catalog holds an offering with one plan for each image."""
        stack = Stack()
        stack.add_definition(STATIC)
        answer = stack.request("GET", "/v2/catalog")
        self.assertEqual(answer.status, 200)
        self.assertEqual([offering["id"] for offering in answer.json["services"]], ["redis", "static"])


class ProvisionTests(SynchronousTestCase):
    """PUT of an instance."""

    def test_created(self) -> None:
        """A new instance is answered with 201, and an identical request for it with 200 and the same body."""
        stack = Stack()
        stack.add_definition(STATIC)
        add_service(stack.engine, STATIC)
        for service, body in (("redis", {}), ("static", {"dashboard_url": "http://10.0.0.1:20001/"})):
            changes = {"service_id": service, "plan_id": f"{service}_100"}
            for status in (201, 200, 200):
                answer = stack.provision(f"i-{service}", **changes)
                self.assertEqual((answer.status, answer.json), (status, body))
        self.assertEqual(len(stack.engine.world), 2)

    def test_other_attributes(self) -> None:
        """A request for the same id with other attributes is answered with 409 and changes nothing."""
        stack = Stack()
        stack.add_definition(renamed(REDIS, "other"))
        stack.provision("i-1", parameters={"a": 1})
        for changes in (
            {"organization_guid": "o-2"},
            {"space_guid": "s-2"},
            {"parameters": {"a": True}},
            {"parameters": None},
            {"service_id": "other", "plan_id": "other_100"},
        ):
            answer = stack.provision("i-1", **{"parameters": {"a": 1}, **changes})
            self.assertEqual(answer.status, 409)
            self.assertIn("'i-1'", answer.description)
        self.assertEqual(stack.provision("i-1", parameters={"a": 1}).status, 200)

    def test_changed_context(self) -> None:
        """The context may change between two identical requests, and unknown members do not count."""
        stack = Stack()
        self.assertEqual(stack.provision("i-1", context={"instance_name": "one"}).status, 201)
        again = stack.provision("i-1", context={"instance_name": "two"}, maintenance="x")
        self.assertEqual(again.status, 200)

    def test_required_members(self) -> None:
        """A required member that is missing, null, empty or no string is answered with 400 and named."""
        stack = Stack()
        for key in ("service_id", "plan_id", "organization_guid", "space_guid"):
            for value in WRONG_TEXTS:
                answer = stack.provision("i-1", **{key: value})
                self.assertEqual(answer.status, 400)
                self.assertIn(f"{key}: ", answer.description)
            for body in (provision_body(**{key: None}), {**provision_body(), key: None}):
                self.assertEqual(stack.request("PUT", instance_path("i-1"), body).status, 400)
        self.assertEqual(stack.persister.tables.instances, {})

    def test_optional_members(self) -> None:
        """Parameters and context are objects; null is as good as absent."""
        for key in ("parameters", "context"):
            for value in WRONG_OBJECTS:
                answer = Stack().provision("i-1", **{key: value})
                self.assertEqual(answer.status, 400)
                self.assertIn(f"{key}: ", answer.description)
            body = {**provision_body(), key: None}
            self.assertEqual(Stack().request("PUT", instance_path("i-1"), body).status, 201)

    def test_unknown_service_or_plan(self) -> None:
        """A service or plan that the catalog does not have is answered with 400 and named."""
        stack = Stack()
        for changes in ({"service_id": "mysql"}, {"plan_id": "redis_200"}, {"plan_id": "REDIS_100"}):
            answer = stack.provision("i-1", **changes)
            self.assertEqual(answer.status, 400)
            self.assertIn(next(iter(changes.values())), answer.description)


class BindTests(SynchronousTestCase):
    """PUT of a binding."""

    def test_created(self) -> None:
        """A new binding is answered with 201, and an identical request with 200 and the same credentials."""
        stack = Stack()
        stack.provision("i-1")
        for status in (201, 200, 200):
            answer = stack.bind("i-1", "b-1", bind_resource={"app_guid": "app-1"})
            self.assertEqual((answer.status, answer.json), (status, {"credentials": CREDENTIALS}))

    def test_other_attributes(self) -> None:
        """A request for the same id with other attributes is answered with 409, whatever its plan is."""
        stack = Stack()
        stack.provision("i-1")
        stack.bind("i-1", "b-1")
        for changes in (
            {"parameters": {"a": 1}},
            {"app_guid": "app-1"},
            {"plan_id": "x"},
            {"service_id": "x"},
        ):
            self.assertEqual(stack.bind("i-1", "b-1", **changes).status, 409)
        self.assertEqual(stack.bind("i-1", "b-1").status, 200)

    def test_unknown_instance(self) -> None:
        """Without the instance a bind is answered with 404, after the plan was found."""
        stack = Stack()
        self.assertEqual(stack.bind("i-1", "b-1").status, 404)
        self.assertEqual(stack.bind("i-1", "b-1", service_id="mysql").status, 400)

    def test_another_plan(self) -> None:
        """A service or plan that is not the instance's is answered with 400."""
        stack = Stack()
        stack.provision("i-1")
        for changes in ({"service_id": "mysql"}, {"plan_id": "redis_200"}):
            self.assertEqual(stack.bind("i-1", "b-1", **changes).status, 400)

    def test_members(self) -> None:
        """A wrong member is answered with 400 and named; the required ones are the two ids."""
        stack = Stack()
        stack.provision("i-1")
        wrong: tuple[dict[str, Any], ...] = (
            {"service_id": ""},
            {"service_id": 1},
            {"plan_id": []},
            {"app_guid": ""},
            {"app_guid": 1},
            {"bind_resource": []},
            {"bind_resource": {"app_guid": ""}},
            {"bind_resource": {"app_guid": 1}},
            {"parameters": "x"},
            {"context": 1},
        )
        for changes in wrong:
            answer = stack.bind("i-1", "b-1", **changes)
            self.assertEqual(answer.status, 400, changes)
            self.assertIn(next(iter(changes)), answer.description)
        for key in ("service_id", "plan_id"):
            self.assertEqual(stack.bind("i-1", "b-1", **{key: None}).status, 400)
        self.assertEqual(stack.persister.tables.bindings, {})

    def test_both_places_of_the_application(self) -> None:
        """The application's id counts in its old place as in its new one."""
        stack = Stack()
        stack.provision("i-1")
        stack.bind("i-1", "b-1", bind_resource={"app_guid": "app-1"})
        binding = self.successResultOf(stack.persister.binding("i-1", "b-1"))
        self.assertEqual(binding and binding.app_guid, "app-1")
        stack.bind("i-1", "b-2", app_guid="app-2", bind_resource={"app_guid": None})
        binding = self.successResultOf(stack.persister.binding("i-1", "b-2"))
        self.assertEqual(binding and binding.app_guid, "app-2")


class DeleteTests(SynchronousTestCase):
    """DELETE of an instance or a binding."""

    def test_deleted(self) -> None:
        """What was deleted is answered with 200 and an empty object, and once more with 410."""
        stack = Stack()
        stack.provision("i-1")
        stack.bind("i-1", "b-1")
        for path in (binding_path("i-1", "b-1"), instance_path("i-1")):
            answer = stack.request("DELETE", path + query())
            self.assertEqual((answer.status, answer.json), (200, {}))
            answer = stack.request("DELETE", path + query())
            self.assertEqual(answer.status, 410)
            self.assertIn("gone", answer.description)

    def test_unknown(self) -> None:
        """What never was is answered with 410; for a binding even without a query."""
        stack = Stack()
        answer = stack.deprovision("i-1")
        self.assertEqual(answer.status, 410)
        self.assertIn("Failed to find the service instance 'i-1'", answer.description)
        self.assertEqual(stack.request("DELETE", binding_path("i-1", "b-1")).status, 410)
        stack.provision("i-1")
        self.assertEqual(stack.request("DELETE", binding_path("i-1", "b-1")).status, 410)
        self.assertEqual(stack.unbind("i-1", "b-1").status, 410)

    def test_query(self) -> None:
        """A query that lacks an id, repeats one, or is no text is answered with 400 and changes nothing."""
        stack = Stack()
        stack.provision("i-1")
        stack.bind("i-1", "b-1")
        for text in (
            "",
            "?",
            "?service_id=redis",
            "?plan_id=redis_100",
            "?service_id=&plan_id=redis_100",
            "?service_id=redis&plan_id=",
            "?service_id=redis&service_id=redis&plan_id=redis_100",
            "?service_id=%ff&plan_id=redis_100",
            "?service_id=mysql&plan_id=redis_100",
        ):
            for path in (binding_path("i-1", "b-1"), instance_path("i-1")):
                answer = stack.request("DELETE", path + text)
                self.assertEqual(answer.status, 400, text)
                self.assertTrue(answer.description)
        self.assertEqual(stack.bind("i-1", "b-1").status, 200)

    def test_another_plan(self) -> None:
        """A platform that knows another plan than the instance's can delete all the same."""
        stack = Stack()
        stack.provision("i-1")
        stack.bind("i-1", "b-1")
        for path in (binding_path("i-1", "b-1"), instance_path("i-1")):
            text = "?service_id=redis&plan_id=redis_200"
            self.assertEqual(stack.request("DELETE", path + text).status, 200)

    def test_query_of_an_unknown_instance(self) -> None:
        """The query of a deprovision is checked before the instance is looked for."""
        self.assertEqual(Stack().request("DELETE", instance_path("i-1")).status, 400)

    def test_body_is_ignored(self) -> None:
        """A body of a DELETE says nothing."""
        stack = Stack()
        stack.provision("i-1")
        self.assertEqual(stack.request("DELETE", instance_path("i-1") + query(), b"{").status, 200)

    def test_bindings_that_are_left(self) -> None:
        """A deprovision removes the bindings that were left."""
        stack = Stack()
        stack.provision("i-1")
        stack.bind("i-1", "b-1")
        stack.bind("i-1", "b-2")
        self.assertEqual(stack.deprovision("i-1").status, 200)
        self.assertEqual(stack.persister.tables.bindings, {})
        self.assertEqual(stack.unbind("i-1", "b-1").status, 410)


class BodyTests(SynchronousTestCase):
    """Bodies beside those of the tests above."""

    def test_unknown_members(self) -> None:
        """Members that this broker does not know are ignored."""
        stack = Stack()
        self.assertEqual(stack.provision("i-1", x=1, maintenance=None).status, 201)
        self.assertEqual(stack.bind("i-1", "b-1", app="x", y=[]).status, 201)

    def test_keys_of_platforms_have_a_case(self) -> None:
        """Only configuration and pings are without case: what a platform sends is not."""
        body = {key.upper(): value for key, value in bind_body().items()}
        stack = Stack()
        stack.provision("i-1")
        self.assertEqual(stack.request("PUT", binding_path("i-1", "b-1"), body).status, 400)
