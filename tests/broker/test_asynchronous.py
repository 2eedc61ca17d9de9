"""Requests that allow that the work goes on after the answer (OSB section Asynchronous Operations)."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import AsyncRequired, ConcurrencyError, InvalidRequest, OperationFailed
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.instances import InstanceState
from dockerbroker.model.requests import Accepted, Bound, Provisioned, Updated
from tests.broker.calls import SERVICE, SMALL, Call, Platform, platforms, stack_with_plans
from tests.broker.ledger import complaints, printing, stack_instance

#: The five changes that a platform asks for: what there is before, what is asked, and a call of Docker in it.
CHANGES: tuple[tuple[str, Callable[[Platform], Call], str], ...] = (
    ("", Platform.provision, "create"),
    ("provision", lambda platform: platform.update("large"), "create"),
    ("provision", Platform.bind, "start_exec"),
    ("provision bind", Platform.unbind, "start_exec"),
    ("provision bind", Platform.deprovision, "remove"),
)
ON_BINDING = (Platform.bind, Platform.unbind)


def world(before: str, definition: ImageDefinition = SERVICE, **limits: float) -> tuple[Platform, Platform]:
    """Return a patient and an asynchronous platform of a broker, after what was asked for before."""
    stack, _ = stack_with_plans(definition, **limits)
    patient, other = platforms(stack)
    for name in before.split():
        getattr(patient, name)().result()
    return patient, other


class AnswerTests(SynchronousTestCase):
    """When the answer comes, and what it is."""

    def test_at_once(self) -> None:
        """What is done within the time of an answer is answered as if it had been waited for."""
        results = [ask(world(before)[1]).result() for before, ask, _ in CHANGES]
        provisioned, updated, bound, unbound, deprovisioned = results
        self.assertIsInstance(provisioned, Provisioned)
        self.assertTrue(provisioned.created)
        self.assertIsInstance(updated, Updated)
        self.assertIsInstance(bound, Bound)
        self.assertTrue(bound.created)
        self.assertEqual((unbound, deprovisioned), (None, None))

    def test_just_in_time(self) -> None:
        """So is what is done a little before that time is over."""
        for before, ask, at in CHANGES:
            platform = world(before)[1]
            hang = platform.stack.engine.hang_next(at)
            call = ask(platform)
            platform.stack.advance(9.5)
            self.assertFalse(call.is_over)
            hang.release()
            platform.stack.advance(0.4)
            self.assertTrue(call.is_over)
            self.assertNotIsInstance(call.result(), Accepted)

    def test_later(self) -> None:
        """What takes longer is accepted, can be asked about, and goes on to its end."""
        for before, ask, at in CHANGES:
            platform = world(before)[1]
            hang = platform.stack.engine.hang_next(at)
            operation_id = ask(platform).accepted().operation_id
            binding_id = "b-1" if ask in ON_BINDING else None
            self.assertEqual(platform.poll(operation_id, binding_id).state, "in progress")
            self.assertEqual(platform.poll(None, binding_id).state, "in progress")
            hang.release()
            platform.stack.advance(5)
            self.assertEqual(platform.poll(operation_id, binding_id).state, "succeeded")
            self.assertEqual(platform.poll(None, binding_id).state, "succeeded")
            self.assertEqual(complaints(platform.stack), [])

    def test_never_waiting(self) -> None:
        """With no time for an answer everything is accepted at once, also what is done at once."""
        for before, ask, _ in CHANGES:
            platform = world(before, answer=0)[1]
            call = ask(platform)
            self.assertTrue(call.is_over)
            operation_id = call.accepted().operation_id
            platform.stack.advance(5)
            binding_id = "b-1" if ask in ON_BINDING else None
            self.assertEqual(platform.poll(operation_id, binding_id).state, "succeeded")

    def test_repeated(self) -> None:
        """The same request is answered at once with the same operation while that runs."""
        for before, ask, at in CHANGES:
            platform = world(before)[1]
            hang = platform.stack.engine.hang_next(at)
            first = ask(platform).accepted()
            again = ask(platform)
            self.assertTrue(again.is_over)
            self.assertEqual(again.accepted().operation_id, first.operation_id)
            hang.release()
            platform.stack.advance(5)
            self.assertEqual(complaints(platform.stack), [])

    def test_repeated_on_another_broker(self) -> None:
        """So it is when another broker carries it out."""
        for before, ask, at in CHANGES:
            platform = world(before)[1]
            hang = platform.stack.engine.hang_next(at)
            first = ask(platform).accepted()
            neighbour = Platform(platform.stack.neighbour(), asynchronous=True)
            self.assertEqual(ask(neighbour).accepted().operation_id, first.operation_id)
            hang.release()
            platform.stack.advance(5)
            self.assertEqual(complaints(platform.stack), [])

    def test_repeated_by_whoever_waits(self) -> None:
        """Who must have the outcome waits for it, and is told that the instance is busy when that is late."""
        for before, ask, at in CHANGES:
            patient, platform = world(before)
            platform.stack.engine.hang_next(at)
            ask(platform).accepted()
            self.assertIsInstance(ask(patient).error(within=45), ConcurrencyError)

    def test_what_is_being_made(self) -> None:
        """An accepted provision or update tells what there will be, so that its dashboard can be answered."""
        static = evolve(SERVICE, dashboard_url="http://$HOST:$PORT")
        platform = world("", static, answer=0)[1]
        made = platform.provision().accepted().instance
        assert made is not None
        self.assertEqual(made.dashboard_url, "http://10.0.0.1:20000")
        platform.stack.advance(5)
        platform.stack.engine.hang_next("create")
        updated = platform.update("large").accepted().instance
        again = platform.update("large").accepted().instance
        assert updated is not None
        assert again is not None
        self.assertEqual((updated.plan.name, again.plan.name), ("large", "large"))

    def test_nobody_asks(self) -> None:
        """An accepted operation is carried to its end though nobody asks how it stands."""
        platform = world("", answer=0)[1]
        platform.provision().accepted()
        platform.stack.advance(60)
        self.assertIs(stack_instance(platform.stack, "i-1").state, InstanceState.READY)


class FailureTests(SynchronousTestCase):
    """Accepted operations that fail."""

    def test_told(self) -> None:
        """Why it failed is told to whoever asks, for as long as it is known; nothing is left of it."""
        platform = world("", answer=0)[1]
        platform.stack.image.scripts["/provision"] = printing(b"", b"no space\n", exit_code=1)
        operation_id = platform.provision().accepted().operation_id
        platform.stack.advance(5)
        for _ in range(2):
            answer = platform.poll(operation_id)
            self.assertEqual(answer.state, "failed")
            self.assertIn("no space", answer.description)
        self.assertEqual((platform.stack.engine.world, complaints(platform.stack)), ({}, []))
        platform.stack.image.scripts["/provision"] = printing()
        platform.provision().accepted()
        platform.stack.advance(5)
        self.assertEqual(platform.poll().state, "succeeded")
        self.assertEqual(platform.poll(operation_id).state, "failed", "the earlier one")

    def test_update(self) -> None:
        """Of a failed update it is told that the instance can be used, and the update tried again."""
        platform = world("provision", answer=0)[1]
        platform.stack.image.scripts["/update"] = printing(b"", b"no\n", exit_code=1)
        operation_id = platform.update("large").accepted().operation_id
        platform.stack.advance(5)
        answer = platform.poll(operation_id)
        self.assertEqual(
            (answer.state, answer.instance_usable, answer.update_repeatable), ("failed", True, True)
        )

    def test_waiting_for_a_host(self) -> None:
        """What failed and cannot be undone now is told to go on, until it is undone."""
        platform = world("")[1]
        hang = platform.stack.engine.hang_reply("create")
        call = platform.provision()
        platform.stack.engine.reachable = False
        hang.release()
        operation_id = call.accepted().operation_id
        platform.stack.advance(700)
        self.assertEqual(platform.poll(operation_id).state, "in progress")
        self.assertEqual(len(platform.stack.engine.world), 1)
        platform.stack.engine.reachable = True
        platform.stack.advance(100)
        self.assertEqual(platform.poll(operation_id).state, "failed")
        self.assertEqual((platform.stack.engine.world, complaints(platform.stack)), ({}, []))


class TimeTests(SynchronousTestCase):
    """How long an accepted operation may take."""

    def given_up_after(self, definition: ImageDefinition, **limits: float) -> float:
        """Return after how many seconds a provision is given up whose host went away."""
        platform = world("", definition, answer=0, **limits)[1]
        hang = platform.stack.engine.hang_next("start")
        operation_id = platform.provision().accepted().operation_id
        self.assertTrue(hang.reached)
        started = platform.stack.clock.seconds()
        while platform.poll(operation_id).description.startswith("starting"):
            platform.stack.advance(1)
        return platform.stack.clock.seconds() - started

    def test_limit(self) -> None:
        """It has ten minutes unless told otherwise, however soon it was answered."""
        self.assertAlmostEqual(self.given_up_after(SERVICE), 600, delta=1)
        self.assertAlmostEqual(self.given_up_after(SERVICE, asynchronous=90), 90, delta=1)

    def test_patience_of_the_platform(self) -> None:
        """A plan whose platform asks for a shorter time has less than that, to be undone in."""
        for polled, expected in ((300, 240), (10, 5), (86400, 600)):
            plan = evolve(SMALL, maximum_polling_duration=polled)
            found = self.given_up_after(evolve(SERVICE, plans=(plan,)))
            self.assertAlmostEqual(found, expected, delta=1)

    def test_who_waits_has_less(self) -> None:
        """What is waited for is given up in time to be undone within its request."""
        for before, ask, at in CHANGES:
            patient, _ = world(before)
            patient.stack.engine.hang_next(at)
            self.assertIsInstance(ask(patient).error(within=45), OperationFailed)
            patient.stack.advance(60)
            self.assertEqual(complaints(patient.stack), [], at)


class PlanTests(SynchronousTestCase):
    """What plans and services say of requests."""

    def test_asynchronous_only(self) -> None:
        """A plan whose work takes long refuses whoever must have the outcome, and begins nothing."""
        slow = evolve(SERVICE, plans=tuple(evolve(plan, asynchronous_only=True) for plan in SERVICE.plans))
        for before, ask, _ in CHANGES:
            patient, platform = world("", slow)
            for name in before.split():
                getattr(platform, name)().result()
            operations = len(patient.stack.persister.history())
            self.assertIsInstance(ask(patient).error(), AsyncRequired)
            self.assertEqual(len(patient.stack.persister.history()), operations)
            ask(platform).result()

    def test_asynchronous_only_and_there(self) -> None:
        """Nothing is refused of what is done already; the removal of what never was is, before all else."""
        slow = evolve(SERVICE, plans=(evolve(SMALL, asynchronous_only=True),))
        patient, platform = world("", slow)
        self.assertIsInstance(patient.deprovision().error(), AsyncRequired)
        platform.provision().result()
        platform.bind().result()
        self.assertFalse(patient.provision().result().created)
        self.assertFalse(patient.bind().result().created)
        self.assertFalse(patient.update("small").result() is None)

    def test_no_bindings(self) -> None:
        """Instances of a plan that cannot be bound are not bound; nothing is begun."""
        unbindable = evolve(SERVICE, plans=(evolve(SMALL, bindable=False),))
        patient, _ = world("provision", unbindable)
        error = patient.bind().error()
        self.assertIsInstance(error, InvalidRequest)
        self.assertIn("'small' cannot be bound", error.description)
        self.assertEqual(len(patient.stack.persister.history()), 1)

    def test_bindings_that_cannot_be_fetched(self) -> None:
        """A binding that the platform could not fetch later is waited for, and answered whole."""
        hidden = evolve(SERVICE, bindings_retrievable=False)
        platform = world("provision", hidden, answer=0)[1]
        hang = platform.stack.engine.hang_next("start_exec")
        call = platform.bind()
        platform.stack.advance(30)
        self.assertFalse(call.is_over)
        hang.release()
        self.assertIsInstance(call.result(), Bound)
        self.assertIsNotNone(platform.unbind().accepted())
