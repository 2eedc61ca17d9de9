"""Answers that come before the work is done, and polls (OSB section Asynchronous Operations)."""

from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.secrets import Secret
from tests.memory_engine import Hang
from tests.model.values import renamed
from tests.stack import (
    CREDENTIALS,
    REDIS,
    Answer,
    Stack,
    add_service,
    bind_body,
    binding_path,
    instance_path,
    provision_body,
    query,
)

INSTANCE: Final = instance_path("i-1")
BINDING: Final = binding_path("i-1", "b-1")
ALLOWED: Final = "?accepts_incomplete=true"
STATIC: Final = renamed(
    REDIS,
    "static",
    image="static",
    credentials=Secret({"uri": "redis://$HOST:$PORT"}),
    dashboard_url="http://$HOST:$PORT_6379/",
)


class AsynchronousCase(SynchronousTestCase):
    """A broker whose engine hangs when told to."""

    def setUp(self) -> None:
        """Start a broker."""
        self.stack = Stack()

    def accepted(self, method: str, path: str, body: Any = None, *, at: str) -> tuple[Hang, Answer]:
        """Send a request whose work hangs in the call of the engine; it is answered with 202."""
        hang = self.stack.engine.hang_next(at)
        answer = self.stack.request(method, path, body)
        self.assertTrue(hang.reached)
        self.assertEqual(answer.status, 202, answer.body)
        self.assertTrue(answer.json["operation"])
        return hang, answer

    def poll(self, path: str, operation: str | None = None) -> Answer:
        """Ask how the last operation, or the one named, is going."""
        text = "" if operation is None else f"?operation={operation}"
        return self.stack.request("GET", f"{path}/last_operation{text}")

    def assert_running(self, path: str, operation: str) -> None:
        """A poll says that the operation goes on, in words, and when to ask again."""
        for name in (None, operation):
            answer = self.poll(path, name)
            self.assertEqual((answer.status, answer.json["state"]), (200, "in progress"))
            self.assertEqual(set(answer.json), {"state", "description"})
            self.assertTrue(int(answer.header("retry-after") or "") > 0)

    def assert_succeeded(self, path: str, operation: str) -> None:
        """A poll says that the operation has succeeded, however often it is asked."""
        for name in (None, operation, operation):
            answer = self.poll(path, name)
            self.assertEqual((answer.status, answer.json["state"]), (200, "succeeded"))
            self.assertEqual(set(answer.json), {"state", "description"})
            self.assertIsNone(answer.header("retry-after"))

    def release(self, hang: Hang) -> None:
        """Let the call go on, and what follows be done."""
        hang.release()
        self.stack.advance(60)


class InstanceTests(AsynchronousCase):
    """Instances."""

    def test_provision(self) -> None:
        """What takes long is 202, is polled, is fetched when it is there, and is then 200."""
        hang, answer = self.accepted("PUT", INSTANCE + ALLOWED, provision_body(), at="start")
        self.assertEqual(set(answer.json), {"operation"})
        again = self.stack.request("PUT", INSTANCE + ALLOWED, provision_body())
        self.assertEqual((again.status, again.json), (202, answer.json))
        self.assert_running(INSTANCE, answer.json["operation"])
        self.assertEqual(self.stack.request("GET", INSTANCE).status, 404)
        self.release(hang)
        self.assert_succeeded(INSTANCE, answer.json["operation"])
        self.assertEqual(self.stack.request("GET", INSTANCE).status, 200)
        again = self.stack.request("PUT", INSTANCE + ALLOWED, provision_body())
        self.assertEqual((again.status, again.json), (200, {}))

    def test_quick(self) -> None:
        """What is done at once is answered at once, although the platform would wait."""
        body = provision_body()
        self.assertEqual(self.stack.request("PUT", INSTANCE + ALLOWED, body).status, 201)
        self.assertEqual(self.stack.request("PUT", BINDING + ALLOWED, bind_body()).status, 201)
        for path in (BINDING, INSTANCE):
            answer = self.stack.request("DELETE", path + query() + "&accepts_incomplete=true")
            self.assertEqual((answer.status, answer.json), (200, {}))

    def test_dashboard(self) -> None:
        """A dashboard that is known is told with the 202."""
        self.stack.add_definition(STATIC)
        add_service(self.stack.engine, STATIC)
        body = provision_body(service_id="static", plan_id="static_100")
        hang, answer = self.accepted("PUT", INSTANCE + ALLOWED, body, at="start")
        self.assertEqual(answer.json["dashboard_url"], "http://10.0.0.1:20000/")
        self.release(hang)
        again = self.stack.request("PUT", INSTANCE, body)
        self.assertEqual((again.status, again.json), (200, {"dashboard_url": "http://10.0.0.1:20000/"}))

    def test_failed_provision(self) -> None:
        """A failure is told by the poll, in the words of a synchronous one; nothing is left."""
        self.stack.image.exit_code = 3
        hang, answer = self.accepted("PUT", INSTANCE + ALLOWED, provision_body(), at="start")
        self.release(hang)
        poll = self.poll(INSTANCE, answer.json["operation"])
        self.assertEqual((poll.status, poll.json["state"]), (200, "failed"))
        self.assertEqual(set(poll.json), {"state", "description"})
        self.assertEqual(self.stack.engine.world, {})
        synchronous = self.stack.request("PUT", instance_path("i-2"), provision_body())
        self.assertEqual((synchronous.status, synchronous.description), (500, poll.json["description"]))

    def test_deprovision(self) -> None:
        """A removal that takes long is 202, the same again the same, and is remembered when it is done."""
        self.stack.provision("i-1")
        path = INSTANCE + query() + "&accepts_incomplete=true"
        hang, answer = self.accepted("DELETE", path, at="remove")
        self.assertEqual(set(answer.json), {"operation"})
        again = self.stack.request("DELETE", path)
        self.assertEqual((again.status, again.json), (202, answer.json))
        self.assert_running(INSTANCE, answer.json["operation"])
        self.release(hang)
        self.assert_succeeded(INSTANCE, answer.json["operation"])
        self.assertEqual(self.stack.request("GET", INSTANCE).status, 404)
        self.assertEqual(self.stack.request("DELETE", path).status, 410)

    def test_update(self) -> None:
        """A change that takes long is 202, and the instance is not shown until it is done."""
        self.stack.image.scripts["/update"] = lambda _stdin, _environment: (0, b"", b"")
        self.stack.image.scripts["/provision"] = lambda _stdin, _environment: (0, b"", b"")
        self.stack.provision("i-1")
        body = {"service_id": "redis", "parameters": {"a": 1}}
        hang, answer = self.accepted("PATCH", INSTANCE + ALLOWED, body, at="start_exec")
        again = self.stack.request("PATCH", INSTANCE + ALLOWED, body)
        self.assertEqual((again.status, again.json), (202, answer.json))
        self.assert_running(INSTANCE, answer.json["operation"])
        self.assertEqual(self.stack.request("GET", INSTANCE).json["error"], "ConcurrencyError")
        self.release(hang)
        self.assert_succeeded(INSTANCE, answer.json["operation"])
        self.assertEqual(self.stack.request("GET", INSTANCE).json["parameters"], {"a": 1})

    def test_failed_update(self) -> None:
        """Of a change that failed the poll tells what that means for the instance."""
        self.stack.image.scripts["/update"] = lambda _stdin, _environment: (1, b"", b"no")
        self.stack.provision("i-1")
        body = {"service_id": "redis", "parameters": {"a": 1}}
        hang, answer = self.accepted("PATCH", INSTANCE + ALLOWED, body, at="start_exec")
        self.release(hang)
        poll = self.poll(INSTANCE, answer.json["operation"]).json
        self.assertEqual(poll["state"], "failed")
        self.assertEqual(set(poll), {"state", "description", "instance_usable", "update_repeatable"})


class BindingTests(AsynchronousCase):
    """Bindings."""

    def setUp(self) -> None:
        """Make an instance."""
        super().setUp()
        self.stack.provision("i-1")

    def test_bind(self) -> None:
        """A bind that takes long is 202 without credentials, which are fetched when it is done."""
        hang, answer = self.accepted("PUT", BINDING + ALLOWED, bind_body(), at="start_exec")
        self.assertEqual(set(answer.json), {"operation"})
        again = self.stack.request("PUT", BINDING + ALLOWED, bind_body())
        self.assertEqual((again.status, again.json), (202, answer.json))
        self.assert_running(BINDING, answer.json["operation"])
        self.assertEqual(self.stack.request("GET", BINDING).status, 404)
        self.release(hang)
        self.assert_succeeded(BINDING, answer.json["operation"])
        fetched = self.stack.request("GET", BINDING)
        self.assertEqual((fetched.status, fetched.json), (200, {"credentials": CREDENTIALS}))

    def test_unbind(self) -> None:
        """An unbind that takes long is 202, and is remembered when it is done."""
        self.stack.bind("i-1", "b-1")
        path = BINDING + query() + "&accepts_incomplete=true"
        hang, answer = self.accepted("DELETE", path, at="start_exec")
        self.assertEqual(set(answer.json), {"operation"})
        again = self.stack.request("DELETE", path)
        self.assertEqual((again.status, again.json), (202, answer.json))
        self.assert_running(BINDING, answer.json["operation"])
        self.release(hang)
        self.assert_succeeded(BINDING, answer.json["operation"])
        self.assertEqual(self.stack.request("GET", BINDING).status, 404)


class PollTests(AsynchronousCase):
    """Polls that are not as they should be."""

    def test_unknown(self) -> None:
        """What never was, and an operation that is not of what is asked about, is 404."""
        for path in (INSTANCE, BINDING):
            for operation in (None, "o-1", "x" * 9000, "%25"):
                self.assertEqual(self.poll(path, operation).status, 404)
        hang, answer = self.accepted("PUT", INSTANCE + ALLOWED, provision_body(), at="start")
        for path in (instance_path("i-2"), BINDING, binding_path("i-2", "b-1")):
            self.assertEqual(self.poll(path, answer.json["operation"]).status, 404)
        self.release(hang)

    def test_hints(self) -> None:
        """The other ids of a query are hints: none of them makes an answer final."""
        hang, answer = self.accepted("PUT", INSTANCE + ALLOWED, provision_body(), at="start")
        text = f"?operation={answer.json['operation']}&service_id=mysql&plan_id=other&x=1"
        answer = self.stack.request("GET", f"{INSTANCE}/last_operation{text}")
        self.assertEqual((answer.status, answer.json["state"]), (200, "in progress"))
        self.release(hang)

    def test_malformed(self) -> None:
        """An empty parameter, and one that is given twice, is 400."""
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        for name in ("operation", "service_id", "plan_id"):
            for text in (f"{name}=", name, f"{name}=x&{name}=x", f"{name}=%00", f"{name}=%ff"):
                for path in (INSTANCE, BINDING):
                    answer = self.stack.request("GET", f"{path}/last_operation?{text}")
                    self.assertEqual(answer.status, 400, text)
                    self.assertTrue(answer.description)


class RequiredTests(SynchronousTestCase):
    """A plan whose work does not fit into a request."""

    def setUp(self) -> None:
        """Offer such a plan."""
        self.stack = Stack()
        plan = evolve(REDIS.plan, asynchronous_only=True)
        self.stack.add_definition(evolve(REDIS, plans=(plan,)))

    def assert_required(self, method: str, path: str, body: Any = None) -> None:
        """The request is answered with the error that the specification names."""
        answer = self.stack.request(method, path, body)
        self.assertEqual((answer.status, answer.json["error"]), (422, "AsyncRequired"))

    def test_required(self) -> None:
        """Each change needs accepts_incomplete, also of what does not exist; `false` is not enough."""
        for text in ("", "?accepts_incomplete=false"):
            self.assert_required("PUT", INSTANCE + text, provision_body())
        for text in ("", "&accepts_incomplete=false"):
            self.assert_required("DELETE", INSTANCE + query() + text)
        self.assertEqual(self.stack.persister.tables.instances, {})
        self.assertEqual(self.stack.request("PUT", INSTANCE + ALLOWED, provision_body()).status, 201)
        self.assert_required("PUT", BINDING, bind_body())
        self.assert_required("DELETE", BINDING + query())
        self.assert_required("DELETE", INSTANCE + query())
        self.assertEqual(self.stack.request("PUT", BINDING + ALLOWED, bind_body()).status, 201)

    def test_malformed_first(self) -> None:
        """What is malformed is told before."""
        for method, path, body in (
            ("PUT", INSTANCE, {}),
            ("PUT", INSTANCE, provision_body(plan_id="x")),
            ("PUT", f"{INSTANCE}?accepts_incomplete=maybe", provision_body()),
            ("DELETE", INSTANCE, None),
        ):
            self.assertEqual(self.stack.request(method, path, body).status, 400)
