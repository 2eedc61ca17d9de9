"""Requests that meet each other, clients that go away, and defects."""

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from tests.memory_engine import Hang
from tests.stack import (
    CREDENTIALS,
    Asked,
    Stack,
    bind_body,
    binding_path,
    instance_path,
    provision_body,
    query,
)

CANARY = "canary-8d1f0c"


class HeldCase(SynchronousTestCase):
    """An instance `i-1` with the binding `b-1`, and requests that hang in Docker."""

    def setUp(self) -> None:
        """Make the instance and the binding."""
        self.stack = Stack()
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")

    def hang(self, method: str, path: str, body: object = None, *, at: str) -> tuple[Hang, Asked]:
        """Send a request that hangs in the call of the engine."""
        hang = self.stack.engine.hang_next(at)
        asked = self.stack.ask(method, path, body)
        self.assertTrue(hang.reached)
        self.assertIsNone(asked.answer)
        return hang, asked

    def release(self, hang: Hang, *asked: Asked) -> list[int]:
        """Let the call go on; return the statuses of the answers."""
        hang.release()
        return [self.stack.settle(one).status for one in asked]


class JoinTests(HeldCase):
    """The same request once more while it is carried out."""

    def test_provision(self) -> None:
        """An identical PUT waits for the same operation and gets its answer; one container is made."""
        hang, first = self.hang("PUT", instance_path("i-2"), provision_body(), at="start")
        second = self.stack.ask("PUT", instance_path("i-2"), provision_body())
        self.assertIsNone(second.answer)
        self.assertEqual(self.release(hang, first, second), [201, 201])
        self.assertEqual(len(self.stack.engine.world), 2)

    def test_failed_provision(self) -> None:
        """Both hear of the failure, in the same words."""
        self.stack.image.exit_code = 3
        hang, first = self.hang("PUT", instance_path("i-2"), provision_body(), at="start")
        second = self.stack.ask("PUT", instance_path("i-2"), provision_body())
        self.assertEqual(self.release(hang, first, second), [500, 500])
        self.assertEqual(first.answer and first.answer.json, second.answer and second.answer.json)

    def test_race_for_the_intent(self) -> None:
        """Of two identical PUTs that both found nothing one makes the instance, and both get its answer."""
        hang, first = self.hang("PUT", instance_path("i-2"), provision_body(), at="image")
        other, second = self.hang("PUT", instance_path("i-2"), provision_body(), at="image")
        other.release()
        self.assertEqual(self.release(hang, first, second), [200, 201])
        self.assertEqual(len(self.stack.engine.world), 2)

    def test_bind(self) -> None:
        """An identical PUT of a binding gets the credentials that the first one makes."""
        hang, first = self.hang("PUT", binding_path("i-1", "b-2"), bind_body(), at="start_exec")
        second = self.stack.ask("PUT", binding_path("i-1", "b-2"), bind_body())
        self.assertEqual(self.release(hang, first, second), [201, 201])
        for asked in (first, second):
            self.assertEqual(asked.answer and asked.answer.json, {"credentials": CREDENTIALS})

    def test_deletes(self) -> None:
        """An identical DELETE waits for the same operation, for an instance as for a binding."""
        for path, at in ((binding_path("i-1", "b-1"), "start_exec"), (instance_path("i-1"), "remove")):
            hang, first = self.hang("DELETE", path + query(), at=at)
            second = self.stack.ask("DELETE", path + query())
            self.assertEqual(self.release(hang, first, second), [200, 200])


class BusyTests(HeldCase):
    """Other requests for an instance that an operation holds."""

    def assert_busy(self, method: str, path: str, body: object = None) -> None:
        """The request is answered with 422 and the error that the specification names."""
        answer = self.stack.request(method, path, body)
        self.assertEqual(answer.status, 422)
        self.assertEqual(answer.json["error"], "ConcurrencyError")
        self.assertIn("'i-1'", answer.description)

    def test_while_binding(self) -> None:
        """While a bind runs nothing else is bound, unbound or deprovisioned; a PUT finds the instance."""
        hang, first = self.hang("PUT", binding_path("i-1", "b-2"), bind_body(), at="start_exec")
        self.assert_busy("PUT", binding_path("i-1", "b-3"), bind_body())
        self.assert_busy("DELETE", binding_path("i-1", "b-1") + query())
        self.assert_busy("DELETE", instance_path("i-1") + query())
        self.assertEqual(self.stack.provision("i-1").status, 200)
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 200)
        self.assertEqual(self.stack.bind("i-1", "b-2", app_guid="other").status, 409)
        self.assertEqual(self.release(hang, first), [201])

    def test_while_deprovisioning(self) -> None:
        """While a deprovision runs nothing else is done, and a differing PUT is a conflict."""
        hang, first = self.hang("DELETE", instance_path("i-1") + query(), at="remove")
        self.assert_busy("PUT", binding_path("i-1", "b-3"), bind_body())
        self.assert_busy("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(self.stack.provision("i-1", space_guid="s-2").status, 409)
        self.assertEqual(self.release(hang, first), [200])
        self.assertEqual(self.stack.provision("i-1").status, 201)

    def test_while_provisioning(self) -> None:
        """While a provision runs the instance is neither bound nor updated."""
        self.stack.deprovision("i-1")
        hang, first = self.hang("PUT", instance_path("i-1"), provision_body(), at="create")
        self.assert_busy("PUT", binding_path("i-1", "b-1"), bind_body())
        self.assert_busy("PATCH", instance_path("i-1"), {"service_id": "redis", "parameters": {"a": 1}})
        self.assertEqual(self.stack.provision("i-1", space_guid="s-2").status, 409)
        self.assertEqual(self.release(hang, first), [201])

    def test_other_instances(self) -> None:
        """Other instances do not notice."""
        hang, first = self.hang("PUT", binding_path("i-1", "b-2"), bind_body(), at="start_exec")
        self.assertEqual(self.stack.provision("i-2").status, 201)
        self.assertEqual(self.stack.bind("i-2", "b-2").status, 201)
        self.assertEqual(self.release(hang, first), [201])


class HaltTests(HeldCase):
    """Deletions of what is being made: they end its making (OSB sections Deprovisioning and Unbinding)."""

    def assert_halted(self, path: str, body: object, *, at: str) -> None:
        """A DELETE of what is being made there is done, and the PUT tells what has become of it."""
        hang, put = self.hang("PUT", path, body, at=at)
        delete = self.stack.ask("DELETE", path + query())
        self.assertEqual(self.release(hang, put, delete), [500, 200])
        self.assertIn("deletion", put.answer.description if put.answer is not None else "")
        self.assertEqual(self.stack.request("DELETE", path + query()).status, 410)

    def test_provision(self) -> None:
        """An instance that is being made is deprovisioned, and no container of it is left."""
        self.assert_halted(instance_path("i-2"), provision_body(), at="start")
        self.assertEqual(len(self.stack.engine.world), 1)

    def test_bind(self) -> None:
        """A binding that is being made is unbound; the other ones stay."""
        self.assert_halted(binding_path("i-1", "b-2"), bind_body(), at="start_exec")
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 200)


class DisconnectTests(HeldCase):
    """Clients that go away."""

    def test_operations_go_on(self) -> None:
        """What was begun is carried to its end although nobody waits for the answer."""
        hang, asked = self.hang("PUT", instance_path("i-2"), provision_body(), at="start")
        asked.disconnect()
        hang.release()
        self.stack.advance(1)
        self.assertIsNone(asked.answer)
        self.assertEqual(self.stack.provision("i-2").status, 200)

    def test_before_the_intent(self) -> None:
        """A client that goes away while a host is looked for does not keep the instance from being made."""
        hang, asked = self.hang("PUT", instance_path("i-2"), provision_body(), at="image")
        asked.disconnect()
        hang.release()
        self.stack.advance(1)
        self.assertEqual(self.stack.provision("i-2").status, 200)

    def test_failure_that_nobody_hears(self) -> None:
        """A failure after the client has gone is undone as ever, and is nobody's unhandled error."""
        self.stack.image.exit_code = 1
        hang, asked = self.hang("PUT", instance_path("i-2"), provision_body(), at="start")
        asked.disconnect()
        hang.release()
        self.stack.advance(60)
        self.assertEqual(len(self.stack.engine.world), 1)
        self.assertNotIn("i-2", self.stack.persister.tables.instances)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_deletes_go_on(self) -> None:
        """A deprovision is carried to its end as well."""
        hang, asked = self.hang("DELETE", instance_path("i-1") + query(), at="remove")
        asked.disconnect()
        hang.release()
        self.stack.advance(1)
        self.assertEqual(self.stack.deprovision("i-1").status, 410)


class DefectTests(SynchronousTestCase):
    """What a client sees of what should not happen."""

    def test_unexpected_error(self) -> None:
        """A defect in the broker is answered with 500 in JSON, which tells nothing of the inside."""
        for method, path, body, call in (
            ("GET", "/v2/catalog", None, "images"),
            ("GET", "/docker/images", None, "images"),
            ("PUT", instance_path("i-1"), provision_body(), "instance"),
            ("PUT", binding_path("i-1", "b-1"), bind_body(), "instance"),
            ("PATCH", instance_path("i-1"), {"service_id": "redis"}, "instance"),
            ("DELETE", instance_path("i-1") + query(), None, "instance"),
            ("GET", instance_path("i-1"), None, "instance"),
            ("GET", binding_path("i-1", "b-1"), None, "instance"),
            ("GET", instance_path("i-1") + "/last_operation", None, "last_operation"),
            ("GET", binding_path("i-1", "b-1") + "/last_operation?operation=x", None, "operation"),
            ("DELETE", "/docker/image/redis", None, "delete_image"),
        ):
            stack = Stack()
            stack.persister.fail_next(call, RuntimeError(f"{CANARY} at /secret/path"))
            answer = stack.request(method, path, body)
            self.assertEqual(answer.status, 500)
            self.assertEqual(answer.description, "The broker failed unexpectedly; its log tells more.")
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_database_that_does_not_answer(self) -> None:
        """A database that does not answer is told with 503 and the persister's own sentence."""
        stack = Stack()
        stack.persister.fail_next("images", Unavailable("The database does not answer."))
        answer = stack.request("GET", "/v2/catalog")
        self.assertEqual((answer.status, answer.description), (503, "The database does not answer."))
        self.assertEqual(stack.request("GET", "/v2/catalog").status, 200)
