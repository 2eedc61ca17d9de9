"""Binds and unbinds: what they make and remove, and what a failure leaves."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import BadCommand
from dockerbroker.model.instances import BindingState
from dockerbroker.model.secrets import Secret
from tests.broker.ledger import complaints, never, printing, stack_binding, stack_with_ledger
from tests.stack import CREDENTIALS, REDIS, Stack, bind_body, binding_path

CANARY = "canary-8d1f0c"


class BindTests(SynchronousTestCase):
    """Binds."""

    def setUp(self) -> None:
        """Make an instance."""
        self.stack, self.ledger = stack_with_ledger()
        self.stack.provision("i-1")

    def state(self) -> BindingState:
        """Return where the binding `b-1` stands."""
        state: BindingState = stack_binding(self.stack, "i-1", "b-1").state
        return state

    def assert_gone(self) -> None:
        """Neither the row nor the user is left, and the instance can be used."""
        self.assertEqual(self.stack.persister.tables.bindings, {})
        self.assertEqual(self.ledger.users, set())
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_executable(self) -> None:
        """`/bind` learns which binding is meant, and every binding has credentials of its own."""
        for name in ("b-1", "b-2"):
            answer = self.stack.bind("i-1", name, parameters={"role": name}, app_guid="app-1")
            self.assertEqual(answer.json["credentials"]["username"], name)
        last = self.ledger.runs[-1]
        self.assertEqual((last["binding_id"], last["app_guid"]), ("b-2", "app-1"))
        self.assertEqual(
            (last["parameters"], last["provision"]["dashboard_url"]), ({"role": "b-2"}, "http://10.0.0.1/i-1")
        )
        self.assertEqual(self.ledger.users, {("i-1", "b-1"), ("i-1", "b-2")})

    def test_static_credentials(self) -> None:
        """Configured credentials are filled in for the instance; nothing is run."""
        stack, ledger = stack_with_ledger()
        template = {"uri": "redis://$HOST:$PORT_6379", "nested": [{"port": "$PORT"}], "number": 1}
        stack.add_definition(evolve(REDIS, credentials=Secret(template)))
        stack.provision("i-1")
        expected = {"uri": "redis://10.0.0.1:20000", "nested": [{"port": "20000"}], "number": 1}
        self.assertEqual(stack.bind("i-1", "b-1").json, {"credentials": expected})
        self.assertEqual(stack.unbind("i-1", "b-1").status, 200)
        self.assertEqual(ledger.actions(), [])

    def test_dashboard_alone(self) -> None:
        """A service that is static by its dashboard alone has empty credentials."""
        stack = Stack()
        stack.add_definition(evolve(REDIS, dashboard_url="http://$HOST"))
        stack.provision("i-1")
        self.assertEqual(stack.bind("i-1", "b-1").json, {"credentials": {}})

    def test_whole_binding(self) -> None:
        """What `/bind` prints beside credentials is answered too, without its null members."""
        printed = b'{"credentials": {"a": 1}, "endpoints": [], "syslog_drain_url": null}'
        self.stack.image.scripts["/bind"] = printing(printed)
        expected = {"credentials": {"a": 1}, "endpoints": []}
        self.assertEqual(self.stack.bind("i-1", "b-1").json, expected)

    def test_absent_executable(self) -> None:
        """An image without `/bind`, and without configured credentials, is told by name; nothing is left."""
        del self.stack.image.scripts["/bind"]
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("has no executable /bind", answer.description)
        self.assertIn("redis", answer.description)
        self.assert_gone()

    def test_failure(self) -> None:
        """A failing `/bind` is told with its last line; `/unbind` is run, and the row is gone."""
        self.stack.image.scripts["/bind"] = printing(b"", b"too many users\n", exit_code=7)
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn(
            "/bind of the service image failed with exit status 7: too many users", answer.description
        )
        self.assertEqual(self.ledger.actions(), ["provision", "unbind"])
        self.assert_gone()
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 410)

    def test_secrets_in_the_message(self) -> None:
        """Neither parameters nor what was provisioned are shown in the description or logged."""
        script = printing(b"", f"bad {CANARY} at http://10.0.0.1/i-1\n".encode(), exit_code=1)
        self.stack.image.scripts["/bind"] = script
        answer = self.stack.bind("i-1", "b-1", parameters={"password": [CANARY]})
        self.assertIn("bad [redacted] at [redacted]", answer.description)
        self.stack.engine.fail_next("start_exec", BadCommand(f"OCI runtime exec failed: {CANARY}"))
        answer = self.stack.bind("i-1", "b-1", parameters={"password": [CANARY]})
        self.assertIn("OCI runtime exec failed: [redacted]", answer.description)

    def test_garbage(self) -> None:
        """A `/bind` that prints anything but one good object has failed, and is undone."""
        for printed in (b"{}{}", b"[]", b"oops", b'{"credentials": 1}', b'{"credentials": {}, "x": 1}'):
            self.stack.image.scripts["/bind"] = printing(printed)
            answer = self.stack.bind("i-1", "b-1")
            self.assertEqual(answer.status, 500)
            self.assertIn("/bind of the service image printed", answer.description)
            self.assert_gone()

    def test_failure_that_cannot_be_cleaned_up(self) -> None:
        """When `/unbind` fails as well both failures are told, and the binding is dirty until it can go."""
        good = self.stack.image.scripts["/unbind"]
        self.stack.image.scripts["/bind"] = printing(b"", b"first\n", exit_code=1)
        self.stack.image.scripts["/unbind"] = printing(b"", b"second\n", exit_code=1)
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("first Cleaning up failed as well", answer.description)
        self.assertIn("second", answer.description)
        self.assertIs(self.state(), BindingState.DIRTY)
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 409)
        self.stack.image.scripts["/unbind"] = good
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 200)
        self.assert_gone()

    def test_overrun_that_is_ended(self) -> None:
        """A `/bind` that hangs is killed at its deadline and undone."""
        self.stack.image.scripts["/bind"] = never
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("did not end within 30 seconds", answer.description)
        self.assertEqual(self.ledger.actions(), ["provision", "unbind"])
        self.assert_gone()

    def test_overrun_that_goes_on(self) -> None:
        """Without a shell it cannot be killed: the binding is dirty, the description says so, it can go."""
        self.stack.image.scripts["/bind"] = never
        self.stack.image.shell = False
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("may still be running; unbind it", answer.description)
        self.assertIs(self.state(), BindingState.DIRTY)
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 200)
        self.assert_gone()

    def test_too_much_output(self) -> None:
        """A `/bind` that prints more than 64 KiB has failed."""
        self.stack.image.scripts["/bind"] = printing(b" " * 65537)
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("65536 bytes", answer.description)

    def test_container_that_was_stopped(self) -> None:
        """A container that somebody stopped is started again, and bound when it is ready."""
        (container,) = self.stack.engine.world.values()
        self.stack.engine.crash(container.id)
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 201)
        self.assertTrue(container.running)

    def test_container_that_was_removed(self) -> None:
        """A container that somebody removed is told with what to do about it."""
        self.stack.engine.world.clear()
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("removed by somebody else", answer.description)
        self.assertEqual(self.stack.persister.tables.bindings, {})
        self.assertEqual(self.stack.deprovision("i-1").status, 200)


class UnbindTests(SynchronousTestCase):
    """Unbinds."""

    def setUp(self) -> None:
        """Make an instance and a binding."""
        self.stack, self.ledger = stack_with_ledger()
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")

    def test_executable(self) -> None:
        """`/unbind` learns which binding is meant, and its credentials."""
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 200)
        last = self.ledger.runs[-1]
        self.assertEqual((last["action"], last["binding_id"]), ("unbind", "b-1"))
        self.assertEqual(last["credentials"], {"username": "b-1", "password": "swordfish"})
        self.assertEqual(self.ledger.users, set())

    def test_absent_executable(self) -> None:
        """An image without `/unbind` has nothing to do."""
        del self.stack.image.scripts["/unbind"]
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 200)
        self.assertEqual(self.stack.persister.tables.bindings, {})

    def test_failure(self) -> None:
        """A failing `/unbind` keeps the binding as dirty, and the next DELETE tries again."""
        good = self.stack.image.scripts["/unbind"]
        self.stack.image.scripts["/unbind"] = printing(b"", b"still in use\n", exit_code=1)
        answer = self.stack.unbind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("still in use", answer.description)
        self.assertIs(stack_binding(self.stack, "i-1", "b-1").state, BindingState.DIRTY)
        self.stack.image.scripts["/unbind"] = good
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 200)
        self.assertEqual(self.ledger.users, set())

    def test_hanging(self) -> None:
        """A hanging `/unbind` is ended at its deadline, and told."""
        self.stack.image.scripts["/unbind"] = never
        answer = self.stack.unbind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("did not end within 30 seconds", answer.description)

    def test_container_that_does_not_run(self) -> None:
        """When the own container does not run, its users cannot log in, and the binding goes."""
        (container,) = self.stack.engine.world.values()
        self.stack.engine.crash(container.id)
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 200)

    def test_intent_before_effect(self) -> None:
        """The operation is written down, and the exec's id, before `/bind` is started."""
        hang = self.stack.engine.hang_next("start_exec")
        asked = self.stack.ask("PUT", binding_path("i-1", "b-2"), bind_body())
        operation = self.stack.persister.history()[-1]
        self.assertEqual((operation.kind.value, operation.binding_id), ("bind", "b-2"))
        self.assertIn(operation.exec_id, self.stack.engine.execs)
        hang.release()
        self.assertEqual(self.stack.settle(asked).json["credentials"]["password"], CREDENTIALS["password"])
