"""Every request is answered within 45 seconds, whatever hangs, and what hung is undone."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.limits import Limits
from dockerbroker.errors import PortLeased, Unavailable
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import BindingState
from tests.broker.ledger import complaints, never, stack_binding, stack_with_ledger
from tests.stack import (
    HOST,
    Answer,
    Stack,
    add_service,
    bind_body,
    binding_path,
    instance_path,
    provision_body,
    query,
)

#: Another host, tried when the first does not answer.
SLOW = evolve(HOST, key=HostKey(service_host="10.0.0.9", docker_host="10.0.0.9", docker_port=2375))
#: Seconds within which every request is answered; Cloud Controller gives up at 60.
BOUND = 45.0


class TimeTests(SynchronousTestCase):
    """The bound."""

    def timely(self, stack: Stack, method: str, path: str, body: object = None) -> Answer:
        """Return the answer to the request, which must come in time by the broker's clock."""
        started = stack.clock.seconds()
        answer = stack.request(method, path, body)
        self.assertLessEqual(stack.clock.seconds() - started, BOUND)
        return answer

    def test_provision(self) -> None:
        """A provision that hangs in Docker is answered with 500 that names the step, and undone."""
        for call in ("create", "start", "keep_running"):
            stack = Stack()
            stack.engine.hang_next(call)
            answer = self.timely(stack, "PUT", instance_path("i-1"), provision_body())
            self.assertEqual(answer.status, 500)
            self.assertIn("took too long", answer.description)
            stack.advance(60)
            self.assertEqual(complaints(stack), [])
            self.assertEqual(stack.engine.world, {})

    def test_races_that_are_lost(self) -> None:
        """Losing one race after the other, on hosts that are slow, does not make it later."""
        stack = Stack()
        for _ in range(10):
            stack.persister.fail_next("begin", PortLeased("A port is leased."))
            stack.engine.hang_next("image")
        answer = self.timely(stack, "PUT", instance_path("i-1"), provision_body())
        self.assertIn(answer.status, {422, 503})
        stack.advance(60)
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))

    def test_begun_late(self) -> None:
        """What could be begun only late has so much less time to go forward."""
        stack = Stack()
        stack.add_host(SLOW)
        stack.engine.hang_next("image")
        add_service(stack.engines(SLOW))
        stack.engines(SLOW).hang_next("start")
        answer = self.timely(stack, "PUT", instance_path("i-1"), provision_body())
        self.assertEqual(answer.status, 500)
        self.assertEqual((stack.engines(SLOW).world, complaints(stack)), ({}, []), "undone by then")

    def test_undoing_that_hangs(self) -> None:
        """When the undoing hangs as well the answer comes in time and says so; the broker goes on."""
        stack = Stack()
        stack.engine.hang_next("start")
        stack.engine.hang_next("remove")
        answer = self.timely(stack, "PUT", instance_path("i-1"), provision_body())
        self.assertEqual(answer.status, 500)
        self.assertIn("the broker undoes it", answer.description)
        stack.advance(200)
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))

    def test_everything_as_slow_as_allowed(self) -> None:
        """A service that is ready late, and executables that use up their time, do not make it later."""
        stack, _ = stack_with_ledger()
        stack.image.scripts["/provision"] = never
        stack.image.scripts["/deprovision"] = never
        ready_at = 29.0
        stack.image.scripts["healthy"] = lambda _stdin, _environment: (
            0 if stack.clock.seconds() > ready_at else 1,
            b"",
            b"",
        )
        answer = self.timely(stack, "PUT", instance_path("i-1"), provision_body())
        self.assertEqual(answer.status, 500)
        stack.advance(120)
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))

    def test_bind_that_hangs(self) -> None:
        """A bind that hangs in Docker is undone: whatever its `/bind` does is ended before `/unbind` runs."""
        stack, ledger = stack_with_ledger()
        stack.provision("i-1")
        stack.engine.hang_reply("start_exec")
        answer = self.timely(stack, "PUT", binding_path("i-1", "b-1"), bind_body())
        self.assertEqual(answer.status, 500)
        self.assertIn("took too long", answer.description)
        self.assertEqual(ledger.actions(), ["provision", "bind", "unbind"])
        self.assertEqual((stack.persister.tables.bindings, complaints(stack, ledger)), ({}, []))

    def test_bind_that_hangs_and_cannot_be_ended(self) -> None:
        """It leaves a dirty binding when its `/bind` may still be at work."""
        stack, ledger = stack_with_ledger()
        stack.provision("i-1")
        stack.image.shell = False
        stack.engine.hang_reply("start_exec")
        answer = self.timely(stack, "PUT", binding_path("i-1", "b-1"), bind_body())
        self.assertEqual(answer.status, 500)
        self.assertIn("may still run", answer.description)
        self.assertIs(stack_binding(stack, "i-1", "b-1").state, BindingState.DIRTY)
        self.assertEqual(ledger.users, {("i-1", "b-1")})
        self.assertEqual(stack.unbind("i-1", "b-1").status, 200)
        self.assertEqual(ledger.users, set())

    def test_bind_of_a_container_that_is_slow_to_start(self) -> None:
        """A container that has to be started first, and a `/bind` that hangs, share the time of the bind."""
        stack, _ = stack_with_ledger()
        stack.provision("i-1")
        stack.engine.restart()
        stack.image.scripts["/bind"] = never
        ready_at = stack.clock.seconds() + 20
        stack.image.scripts["healthy"] = lambda _stdin, _environment: (
            0 if stack.clock.seconds() > ready_at else 1,
            b"",
            b"",
        )
        answer = self.timely(stack, "PUT", binding_path("i-1", "b-1"), bind_body())
        self.assertEqual(answer.status, 500)
        self.assertIn("did not end within", answer.description)
        self.assertEqual((stack.persister.tables.bindings, complaints(stack)), ({}, []))

    def test_deletes_that_hang(self) -> None:
        """A delete that hangs is answered in time, and the next one ends it."""
        for path, call in ((binding_path("i-1", "b-1"), "has_file"), (instance_path("i-1"), "remove")):
            stack, ledger = stack_with_ledger()
            stack.provision("i-1")
            stack.bind("i-1", "b-1")
            stack.engine.hang_next(call)
            answer = self.timely(stack, "DELETE", path + query())
            self.assertEqual(answer.status, 500)
            self.assertEqual(self.timely(stack, "DELETE", path + query()).status, 200)
            self.assertEqual(complaints(stack, ledger), [])

    def test_database_that_is_away_for_a_while(self) -> None:
        """What was done is recorded when the database answers again, however long that takes."""
        for times in (3, 30):
            stack = Stack()
            hang = stack.engine.hang_next("keep_running")
            asked = stack.ask("PUT", instance_path("i-1"), provision_body())
            for _ in range(times):
                stack.persister.fail_next("commit", Unavailable("The database does not answer."))
            hang.release()
            self.assertIn(stack.settle(asked).status, {201, 500})
            stack.advance(300)
            self.assertEqual(complaints(stack), [])

    def test_time_that_is_used_up(self) -> None:
        """No step is begun when the time of the operation has run out while the database was away."""
        stack, ledger = stack_with_ledger()
        hang = stack.engine.hang_next("start")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        for _ in range(15):
            stack.persister.fail_next("commit", Unavailable("The database does not answer."))
        hang.release()
        self.assertEqual(stack.settle(asked).status, 500)
        stack.advance(300)
        self.assertNotIn("provision", ledger.actions())
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_other_limits(self) -> None:
        """`readywithin` and `executewithin` are what the configuration says."""
        stack = Stack(limits=Limits(ready_within=3, execute_within=2))
        stack.provision("i-1")
        stack.image.scripts["/bind"] = never
        self.assertIn("did not end within 2 seconds", stack.bind("i-1", "b-1").description)
        stack.image.scripts["healthy"] = never
        self.assertIn("was not ready within 3 s", stack.provision("i-2").description)
