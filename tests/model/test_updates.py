"""What an update makes of an instance, and when it may."""

from itertools import product
from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import (
    BrokerError,
    ConcurrencyError,
    InvalidRequest,
    MaintenanceInfoConflict,
    NotFound,
    UpdateRefused,
)
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.instances import InstanceState, Operation, OperationKind, Phase, ServiceInstance
from dockerbroker.model.plans import ContainerOptions, MaintenanceInfo, Plan
from dockerbroker.model.requests import UpdateRequest
from dockerbroker.model.secrets import Secret
from dockerbroker.model.transitions import Begin, Done, Join
from dockerbroker.model.updates import Record, check_request, successor, update_decision
from tests.model.values import EXISTING, REDIS, instance, operation

SMALL: Final = Plan(id="small", name="small", maintenance=MaintenanceInfo(version="1.0.0"))
LARGE: Final = Plan(id="large", name="large", options=ContainerOptions(memory=2**30))
OFFERED: Final = evolve(REDIS, plans=(SMALL, LARGE), plan_updateable=True)
ASK: Final = UpdateRequest(instance_id="i-1", service_id="redis")


def narrowed(plan: Plan, **members: Any) -> ImageDefinition:
    """Return the offered definition, with changes, narrowed to this plan."""
    return evolve(OFFERED, plans=(plan,), **members)


def small(**members: Any) -> ServiceInstance:
    """Return an instance of the small plan."""
    return instance(narrowed(SMALL), parameters=Secret({"a": 1, "b": 2}), **members)


def wanted(request: UpdateRequest, stored: ServiceInstance, *plans: Plan) -> ServiceInstance:
    """Return what the request makes of the instance while the catalog offers these plans."""
    offered = evolve(OFFERED, plans=plans or OFFERED.plans)
    return successor(request, stored, offered.narrowed(request.plan_id or stored.plan.id))


class ParameterTests(SynchronousTestCase):
    """Parameters, of which an update gives those that change."""

    def test_merged(self) -> None:
        """What is given replaces the parameter of the same name, whole, and the others stay."""
        for given, expected in (
            ({}, {"a": 1, "b": 2}),
            ({"a": 3}, {"a": 3, "b": 2}),
            ({"c": {"d": None}}, {"a": 1, "b": 2, "c": {"d": None}}),
            ({"a": None}, {"a": None, "b": 2}),
        ):
            found = wanted(evolve(ASK, parameters=Secret(given)), small())
            self.assertEqual(found.parameters.reveal(), expected)

    def test_nothing_else_changes(self) -> None:
        """Parameters alone never move an instance to what the catalog offers now, and need no container."""
        changed = evolve(SMALL, options=ContainerOptions(memory=1), description="new")
        found = wanted(evolve(ASK, parameters=Secret({"a": 3})), small(), changed)
        self.assertEqual(evolve(found, parameters=small().parameters), small())

    def test_of_a_plan_that_is_not_offered_any_more(self) -> None:
        """An instance whose plan has left the catalog can still get other parameters."""
        found = successor(evolve(ASK, parameters=Secret({"a": 3})), small(), None)
        self.assertEqual(found.parameters.reveal(), {"a": 3, "b": 2})


class ContextTests(SynchronousTestCase):
    """The context, which may change alone."""

    def test_merged(self) -> None:
        """What is given replaces the members of the same name; no context leaves all as it was."""
        stored = small(context={"instance_name": "one", "platform": "cloudfoundry"})
        found = wanted(evolve(ASK, context={"instance_name": "two"}), stored)
        self.assertEqual(found.context, {"instance_name": "two", "platform": "cloudfoundry"})
        self.assertEqual(wanted(ASK, stored), stored)


class PlanTests(SynchronousTestCase):
    """Another plan, or another version of it."""

    def test_another_plan(self) -> None:
        """The instance gets the offered definition of the plan, and a new container where that differs."""
        found = wanted(evolve(ASK, plan_id="large"), small())
        self.assertEqual(found.definition, narrowed(LARGE))
        self.assertEqual((found.generation, found.container_id), (2, None))
        self.assertEqual((found.ports, found.parameters), (small().ports, small().parameters))

    def test_same_plan(self) -> None:
        """The present plan, named, is no move, whatever the catalog says of it now."""
        changed = evolve(SMALL, options=ContainerOptions(memory=1), updateable=False)
        self.assertEqual(wanted(evolve(ASK, plan_id="small"), small(), changed), small())

    def test_upgrade(self) -> None:
        """Another version moves the instance to what the catalog offers now; the present one does not."""
        newer = evolve(SMALL, maintenance=MaintenanceInfo(version="2.0.0"))
        found = wanted(evolve(ASK, maintenance_version="2.0.0"), small(), newer)
        self.assertEqual(found.plan, newer)
        self.assertEqual(found.generation, 1, "nothing of its container has changed")
        reworded = evolve(SMALL, description="the same version, described anew")
        self.assertEqual(wanted(evolve(ASK, maintenance_version="1.0.0"), small(), reworded), small())

    def test_upgrade_of_what_had_no_version(self) -> None:
        """An instance that was made before its plan had versions can be upgraded to the first."""
        old = evolve(SMALL, maintenance=None)
        stored = instance(narrowed(old))
        self.assertEqual(wanted(evolve(ASK, maintenance_version="1.0.0"), stored, SMALL).plan, SMALL)

    def test_version_of_the_target(self) -> None:
        """With another plan the version is compared with that of the plan that is asked for."""
        versioned = evolve(LARGE, maintenance=MaintenanceInfo(version="3.0.0"))
        good = evolve(ASK, plan_id="large", maintenance_version="3.0.0")
        self.assertEqual(wanted(good, small(), SMALL, versioned).plan, versioned)
        bad = evolve(good, maintenance_version="1.0.0")
        self.assertRaises(MaintenanceInfoConflict, wanted, bad, small(), SMALL, versioned)
        self.assertRaises(MaintenanceInfoConflict, wanted, bad, small(), SMALL, LARGE)

    def test_version_of_a_plan_that_is_not_offered_any_more(self) -> None:
        """A version can only be asked for of what the catalog offers."""
        asked = evolve(ASK, maintenance_version="1.0.0")
        self.assertRaises(UpdateRefused, successor, asked, small(), None)

    def test_whether_it_may_move(self) -> None:
        """A plan's own flag counts, or else what the offering says now, which may have changed since."""
        for made, now, plan, moves in (
            (True, True, None, True),
            (False, False, None, False),
            (False, True, None, True),
            (True, False, None, False),
            (False, False, True, True),
            (True, True, False, False),
        ):
            stored = instance(narrowed(evolve(SMALL, updateable=plan), plan_updateable=made))
            offered = narrowed(LARGE, plan_updateable=now)
            request = evolve(ASK, plan_id="large")
            if moves:
                self.assertEqual(successor(request, stored, offered).plan, LARGE)
            else:
                self.assertRaises(UpdateRefused, successor, request, stored, offered)

    def test_upgrade_needs_no_flag(self) -> None:
        """A new version can be had of a plan that instances cannot be moved away from."""
        newer = evolve(SMALL, maintenance=MaintenanceInfo(version="2.0.0"))
        stored = instance(narrowed(SMALL, plan_updateable=False))
        offered = narrowed(newer, plan_updateable=False)
        found = successor(evolve(ASK, maintenance_version="2.0.0"), stored, offered)
        self.assertEqual(found.plan, newer)

    def test_existing_containers(self) -> None:
        """An existing container is never replaced, nor exchanged for an own or for another one."""
        existing = evolve(EXISTING, plan_updateable=True)
        stored = instance(evolve(existing, plans=(SMALL,)))
        request = evolve(ASK, plan_id="large")
        found = successor(request, stored, evolve(existing, plans=(LARGE,), image="redis:8"))
        self.assertEqual((found.generation, found.container_id), (1, "c-1"))
        for offered in (narrowed(LARGE), evolve(existing, plans=(LARGE,), container_name="other")):
            self.assertRaises(UpdateRefused, successor, request, stored, offered)
        own = instance(narrowed(SMALL))
        self.assertRaises(UpdateRefused, successor, request, own, evolve(existing, plans=(LARGE,)))


class ContainerTests(SynchronousTestCase):
    """When a container is replaced."""

    def test_what_shapes_it(self) -> None:
        """The image and each option shape the container; all else of a definition does not."""
        shaping: tuple[dict[str, Any], ...] = (
            {"environment": {"A": "1"}},
            {"command": ("redis-server",)},
            {"memory": 2**24},
            {"cpus": 0.5},
            {"pids": 100},
            {"restart": "always"},
            {"volumes": {"data": "/data"}},
        )
        moved = [narrowed(evolve(LARGE, options=ContainerOptions(**one))) for one in shaping]
        moved.append(narrowed(evolve(LARGE, options=SMALL.options), image="redis:8"))
        for offered in moved:
            found = successor(evolve(ASK, plan_id="large"), small(), offered)
            self.assertEqual((found.generation, found.container_id), (2, None), offered)
        others: tuple[dict[str, Any], ...] = ({}, {"description": "x"}, {"credentials": Secret({})})
        for members in others:
            offered = narrowed(evolve(LARGE, options=SMALL.options), **members)
            found = successor(evolve(ASK, plan_id="large"), small(), offered)
            self.assertEqual((found.generation, found.container_id), (1, "c-1"), members)

    def test_what_it_is_afterwards(self) -> None:
        """What an update makes is ready, and has no successor of its own."""
        busy = small(state=InstanceState.UPDATING, successor=small())
        found = wanted(evolve(ASK, plan_id="large"), busy)
        self.assertEqual((found.state, found.successor), (InstanceState.READY, None))


class DecisionTests(SynchronousTestCase):
    """PATCH of an instance: stored state x running operation x request."""

    changing: Final = evolve(ASK, parameters=Secret({"a": 3}))

    def decided(
        self, request: UpdateRequest, stored: ServiceInstance, running: Operation | None = None
    ) -> str:
        """Return the decision in one word."""
        words: dict[type, str] = {
            Begin: "begin",
            Join: "join",
            Done: "done",
            Record: "record",
            ConcurrencyError: "busy",
            UpdateRefused: "refused",
        }
        try:
            decision = update_decision(request, stored, wanted(request, stored), running)
        except BrokerError as error:
            self.assertTrue(error.description.endswith("."))
            return words[type(error)]
        return words[type(decision)]

    def test_free(self) -> None:
        """Only an instance that is ready is updated."""
        for state in InstanceState:
            expected = "begin" if state is InstanceState.READY else "refused"
            self.assertEqual(self.decided(self.changing, small(state=state)), expected, state)

    def test_busy(self) -> None:
        """Whatever holds an instance keeps it from being updated, but for the same update going forward."""
        pending = wanted(self.changing, small())
        for kind, phase, state in product(OperationKind, (Phase.FORWARD, Phase.FAILING), InstanceState):
            stored = small(state=state, successor=pending if kind is OperationKind.UPDATE else None)
            joins = kind is OperationKind.UPDATE and phase is Phase.FORWARD
            found = self.decided(self.changing, stored, operation(kind, phase=phase))
            self.assertEqual(found, "join" if joins else "busy", (kind, phase, state))

    def test_another_update(self) -> None:
        """An update that would make something else of the instance waits for the one that runs."""
        stored = small(state=InstanceState.UPDATING, successor=wanted(self.changing, small()))
        running = operation(OperationKind.UPDATE)
        for other in (
            ASK,
            evolve(ASK, plan_id="large"),
            evolve(ASK, parameters=Secret({"a": 4})),
            evolve(self.changing, plan_id="large"),
        ):
            self.assertEqual(self.decided(other, stored, running), "busy", other)
        self.assertEqual(self.decided(evolve(self.changing, plan_id="small"), stored, running), "join")

    def test_nothing_to_do(self) -> None:
        """What is as it is asked for is done, such as an update with empty parameters."""
        stored = small(context={"instance_name": "one"})
        for request in (
            ASK,
            evolve(ASK, plan_id="small"),
            evolve(ASK, parameters=Secret({"a": 1})),
            evolve(ASK, maintenance_version="1.0.0"),
            evolve(ASK, context={"instance_name": "one"}),
        ):
            self.assertEqual(self.decided(request, stored), "done", request)

    def test_equal_as_json(self) -> None:
        """To JSON, true is not 1."""
        self.assertEqual(self.decided(evolve(ASK, parameters=Secret({"a": True})), small()), "begin")

    def test_context_alone(self) -> None:
        """Another name of the instance is only recorded."""
        stored = small(context={"instance_name": "one"})
        renamed = evolve(ASK, context={"instance_name": "two"})
        self.assertEqual(self.decided(renamed, stored), "record")
        self.assertEqual(self.decided(evolve(renamed, parameters=Secret({"a": 9})), stored), "begin")


class CheckTests(SynchronousTestCase):
    """What is looked at first."""

    def test_instance(self) -> None:
        """The instance must exist and be of the service, which cannot be changed."""
        self.assertEqual(check_request(ASK, small()), small())
        self.assertRaises(NotFound, check_request, ASK, None)
        self.assertRaises(InvalidRequest, check_request, evolve(ASK, service_id="mysql"), small())
