"""Updates that change an instance where it is, and those that are refused."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import (
    ConcurrencyError,
    InvalidRequest,
    MaintenanceInfoConflict,
    NoCapacity,
    NotFound,
    OperationFailed,
    UpdateRefused,
)
from dockerbroker.model.containers import ContainerSpec
from dockerbroker.model.instances import InstanceState, Phase
from dockerbroker.model.requests import Updated
from tests.broker.calls import BETTER, LARGE, SERVICE, SMALL, Platform, stack_with_plans
from tests.broker.ledger import complaints, never, printing, stack_instance
from tests.broker.updates import UpdateCase
from tests.memory_engine import MemoryContainer

CANARY = "canary-8d1f0c"


class InPlaceTests(UpdateCase):
    """Updates that need no other container."""

    def test_parameters(self) -> None:
        """Parameters that are given are merged into those that there are, and `/update` is told both."""
        updated = self.platform.update(parameters={"a": 3}).result()
        self.assertIsInstance(updated, Updated)
        self.assertEqual(updated.instance.parameters.reveal(), {"a": 3, "b": 2})
        self.assertEqual(self.instance().parameters, updated.instance.parameters)
        run = self.ledger.runs[-1]
        self.assertEqual((run["action"], run["parameters"]), ("update", {"a": 3, "b": 2}))
        self.assertEqual(
            run["previous"],
            {"plan": {"id": "small", "name": "small"}, "parameters": {"a": 1, "b": 2}},
        )
        self.assertEqual(self.changes(), [])
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_next_update(self) -> None:
        """What one update has changed is what the next one begins with."""
        self.platform.update(parameters={"a": 3}).result()
        self.platform.update(parameters={"c": 4}).result()
        self.assertEqual(self.ledger.runs[-1]["previous"]["parameters"], {"a": 3, "b": 2})
        self.assertEqual(self.instance().parameters.reveal(), {"a": 3, "b": 2, "c": 4})

    def test_nothing_to_do(self) -> None:
        """An update that changes nothing is answered at once: nothing is written, and nothing is run."""
        operations = len(self.stack.persister.history())
        same: tuple[dict[str, Any], ...] = (
            {},
            {"plan": "small"},
            {"parameters": {}},
            {"context": {"instance_name": "one"}},
        )
        for members in same:
            call = self.platform.update(**members)
            self.assertTrue(call.is_over)
            self.assertEqual(call.result().instance, self.before)
        self.assertEqual(len(self.stack.persister.history()), operations)
        self.assertEqual((self.ledger.actions(), self.changes()), (["provision"], []))

    def test_renamed(self) -> None:
        """A new name of the instance is recorded, as an operation that has succeeded; nothing is run."""
        updated = self.platform.update(context={"instance_name": "two"}).result()
        self.assertEqual(updated.instance.context, {"instance_name": "two"})
        self.assertEqual(self.instance().context, {"instance_name": "two"})
        last = self.stack.persister.history()[-1]
        self.assertEqual((last.kind.value, last.phase), ("update", Phase.SUCCEEDED))
        self.assertEqual((self.ledger.actions(), self.changes()), (["provision"], []))
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_plan_with_the_same_container(self) -> None:
        """A plan that wants the same container leaves it alone; `/update` learns of the plan."""
        updated = self.platform.update("better").result()
        self.assertEqual(updated.instance.plan, BETTER)
        self.assertEqual((self.instance().plan, self.ledger.plans), (BETTER, {"i-1": "better"}))
        self.assertIs(self.container(), self.old)
        self.assertEqual(self.changes(), [])

    def test_without_the_executable(self) -> None:
        """An image without `/update` has nothing to do for parameters; they are stored."""
        del self.stack.image.scripts["/update"]
        self.platform.update(parameters={"a": 3}).result()
        self.assertEqual(self.instance().parameters.reveal(), {"a": 3, "b": 2})

    def test_what_it_prints(self) -> None:
        """What `/update` prints is added to what `/provision` printed; a dashboard replaces the old one."""
        self.assertEqual(self.before.dashboard_url, "http://10.0.0.1/i-1")
        self.stack.image.scripts["/update"] = printing(b'{"dashboard_url": "http://new", "note": 1}')
        updated = self.platform.update(parameters={"a": 3}).result()
        self.assertEqual(updated.instance.dashboard_url, "http://new")
        self.assertEqual(updated.instance.provisioned.reveal(), {"dashboard_url": "http://new", "note": 1})
        self.stack.image.scripts["/update"] = printing()
        self.assertEqual(
            self.platform.update(parameters={"a": 4}).result().instance.dashboard_url, "http://new"
        )

    def test_stopped_container(self) -> None:
        """A container that somebody stopped is started before its `/update` is run."""
        self.stack.engine.crash(self.old.id)
        self.platform.update(parameters={"a": 3}).result()
        self.assertTrue(self.old.running)
        self.assertEqual(self.ledger.actions()[-1], "update")

    def test_failure(self) -> None:
        """A failing `/update` is told with its last line; the instance is as it was, and can be updated."""
        self.stack.image.scripts["/update"] = printing(b"", b"too small\n", exit_code=1)
        error = self.platform.update(parameters={"a": 3}).error()
        self.assertIsInstance(error, OperationFailed)
        self.assertIn("/update of the service image failed with exit status 1: too small", error.description)
        self.assertEqual((error.instance_usable, error.update_repeatable), (True, True))
        self.assert_as_before()
        self.ledger.install(self.stack.image)
        self.platform.update(parameters={"a": 3}).result()

    def test_secrets_of_before(self) -> None:
        """Neither a new parameter nor the one that it replaces is shown in the description."""
        self.platform.update(parameters={"password": f"{CANARY}-old"}).result()
        text = f"cannot change {CANARY}-old to {CANARY}-new\n".encode()
        self.stack.image.scripts["/update"] = printing(b"", text, exit_code=1)
        error = self.platform.update(parameters={"password": f"{CANARY}-new"}).error()
        self.assertIn("cannot change [redacted] to [redacted]", error.description)

    def test_overrun(self) -> None:
        """An `/update` that hangs is ended at its deadline, and has failed like any other."""
        self.stack.image.scripts["/update"] = never
        error = self.platform.update(parameters={"a": 3}).error()
        self.assertIn("did not end within 30 seconds", error.description)
        self.assert_as_before()

    def test_overrun_that_goes_on(self) -> None:
        """What cannot be ended makes the instance unusable, and it is said how to clean up."""
        self.stack.image.scripts["/update"] = never
        self.stack.image.shell = False
        error = self.platform.update(parameters={"a": 3}).error()
        self.assertIn("deprovision it", error.description)
        self.assertEqual((error.instance_usable, error.update_repeatable), (False, False))
        self.assertIs(self.instance().state, InstanceState.FAILED)
        self.assertIsInstance(self.platform.update(parameters={"a": 4}).error(), UpdateRefused)
        self.platform.deprovision().result()
        self.assertEqual((self.stack.engine.world, complaints(self.stack)), ({}, []))


class RefusedTests(UpdateCase):
    """Updates that are refused: before anything is written, with the errors that OSB names."""

    def assert_refused(self, error: type[Exception], **members: Any) -> None:
        """The update raises the error, and nothing was written or done."""
        operations = len(self.stack.persister.history())
        self.assertIsInstance(self.platform.update(**members).error(), error)
        self.assertEqual(len(self.stack.persister.history()), operations)
        self.assertEqual(self.changes(), [])
        self.assert_as_before()

    def test_unknown(self) -> None:
        """An unknown instance is not found, and an unknown plan is no valid request."""
        self.assert_refused(NotFound, instance_id="i-2")
        self.assert_refused(InvalidRequest, plan="huge")

    def test_plan_that_cannot_be_left(self) -> None:
        """A service whose plans cannot be changed refuses that."""
        self.stack.add_definition(evolve(SERVICE, plan_updateable=False))
        self.assert_refused(UpdateRefused, plan="large")

    def test_version(self) -> None:
        """A version that the catalog does not have is a conflict."""
        self.assert_refused(MaintenanceInfoConflict, maintenance_version="7.0.0")

    def test_schema(self) -> None:
        """Parameters are checked against the schema for updates of the plan that is asked for."""
        text = {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"type": "string"}}}
        strict = evolve(LARGE, schemas={"service_instance": {"update": {"parameters": text}}})
        self.stack.add_definition(evolve(SERVICE, plans=(SMALL, strict)))
        self.assert_refused(InvalidRequest, plan="large", parameters={"a": 1})
        self.platform.update(parameters={"a": 1, "c": 1}).result()

    def test_no_room(self) -> None:
        """An image that the host does not have is told before anything is done."""
        self.stack.add_definition(evolve(SERVICE, image="redis:8"))
        self.assert_refused(NoCapacity, plan="large")

    def test_busy(self) -> None:
        """While something else is done to the instance, it cannot be updated."""
        hang = self.stack.engine.hang_next("start_exec")
        binding = self.platform.bind()
        self.assertIsInstance(self.platform.update("large").error(), ConcurrencyError)
        hang.release()
        binding.result()


class ExistingContainerTests(SynchronousTestCase):
    """Services in a container that is not the broker's."""

    def test_in_place(self) -> None:
        """Plan and parameters change by `/update` alone: the container is neither stopped nor replaced."""
        existing = evolve(SERVICE, numinstances=0, container_name="mine")
        stack, ledger = stack_with_plans(existing)
        spec = ContainerSpec(name="mine", image="redis", labels={}, ports={"6379/tcp": 7000})
        container = MemoryContainer(id="c-mine", spec=spec, image=stack.image, running=True)
        stack.engine.world[container.id] = container
        platform = Platform(stack)
        platform.provision().result()
        updated = platform.update("large", parameters={"a": 1}).result()
        self.assertEqual((updated.instance.plan.name, ledger.plans), ("large", {"i-1": "large"}))
        changing = {"create", "start", "stop", "remove", "keep_running"}
        self.assertEqual(changing & {call[0] for call in stack.engine.calls}, set())
        self.assertEqual(stack_instance(stack, "i-1").generation, 1)
        last = json.loads(next(reversed(stack.engine.execs.values())).stdin or b"{}")
        self.assertEqual(last["previous"]["plan"]["name"], "small")
