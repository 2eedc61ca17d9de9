"""The rules of the life cycle as tables: stored state x running operation x request."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import (
    AsyncRequired,
    BrokerError,
    ConcurrencyError,
    Conflict,
    Gone,
    InvalidRequest,
    MaintenanceInfoConflict,
    NotFound,
)
from dockerbroker.model.instances import (
    BindingState,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
)
from dockerbroker.model.plans import MaintenanceInfo, Plan
from dockerbroker.model.requests import BindRequest, DeleteRequest, ProvisionRequest
from dockerbroker.model.secrets import Secret
from dockerbroker.model.transitions import (
    Begin,
    Done,
    Halt,
    Join,
    bind_decision,
    deprovision_decision,
    provision_decision,
    require_asynchronous,
    require_version,
    unbind_decision,
)
from tests.model.values import REDIS, binding, definition, instance, operation

PROVISION: Final = ProvisionRequest(
    instance_id="i-1", service_id="redis", plan_id="redis_100", organization_guid="o-1", space_guid="s-1"
)
BIND: Final = BindRequest(instance_id="i-1", binding_id="b-1", service_id="redis", plan_id="redis_100")
DEPROVISION: Final = DeleteRequest(instance_id="i-1", service_id="redis", plan_id="redis_100")
UNBIND: Final = evolve(DEPROVISION, binding_id="b-1")

PHASES: Final = (Phase.FORWARD, Phase.FAILING)
_OUTCOMES: Final[dict[type, str]] = {
    Begin: "begin",
    Join: "join",
    Halt: "halt",
    Done: "done",
    ConcurrencyError: "busy",
    Conflict: "conflict",
    Gone: "gone",
    InvalidRequest: "invalid",
    NotFound: "unknown",
}


def runnings() -> Iterator[Operation | None]:
    """Return everything that may hold an instance: nothing, or any operation, on this binding or another."""
    yield None
    for kind, phase in product(OperationKind, PHASES):
        if kind in {OperationKind.BIND, OperationKind.UNBIND}:
            yield operation(kind, phase=phase, binding_id="b-1")
            yield operation(kind, phase=phase, binding_id="b-2")
        else:
            yield operation(kind, phase=phase)


def decided(decide: Callable[..., Begin | Join | Done | Halt], *arguments: Any) -> str:
    """Return the decision in one word."""
    try:
        decision = decide(*arguments)
    except BrokerError as error:
        assert error.description.endswith(".")
        return _OUTCOMES[type(error)]
    assert not isinstance(decision, Join | Halt) or decision.operation_id == "o-1"
    return _OUTCOMES[type(decision)]


class ProvisionTests(SynchronousTestCase):
    """PUT of an instance."""

    def test_new(self) -> None:
        """An unknown instance is made."""
        self.assertEqual(decided(provision_decision, PROVISION, None, None), "begin")

    def test_same(self) -> None:
        """The same request joins its own operation, finds what is ready, and waits for what is removed."""
        for state, running in product(InstanceState, runnings()):
            if running and (running.kind, running.phase) == (OperationKind.PROVISION, Phase.FORWARD):
                expected = "join"
            else:
                expected = "done" if state in {InstanceState.READY, InstanceState.UPDATING} else "busy"
            found = decided(provision_decision, PROVISION, instance(state=state), running)
            self.assertEqual(found, expected, (state, running))

    def test_other_attributes(self) -> None:
        """A differing request meets a conflict, whatever state the instance is in."""
        others = (
            evolve(PROVISION, service_id="mysql"),
            evolve(PROVISION, plan_id="redis_200"),
            evolve(PROVISION, organization_guid="o-2"),
            evolve(PROVISION, space_guid="s-2"),
            evolve(PROVISION, parameters=Secret({"a": 1})),
        )
        for other, state, running in product(others, InstanceState, runnings()):
            found = decided(provision_decision, other, instance(state=state), running)
            self.assertEqual(found, "conflict", (other, state, running))

    def test_what_counts_as_the_same(self) -> None:
        """The context may change; parameters are equal as JSON, where true is not 1."""
        stored = instance(parameters=Secret({"a": 1, "b": {"c": True}}), context={"instance_name": "one"})
        for parameters, expected in (
            ({"b": {"c": True}, "a": 1}, "done"),
            ({"b": {"c": 1}, "a": 1}, "conflict"),
            ({"b": {"c": True}, "a": True}, "conflict"),
        ):
            asked = evolve(PROVISION, parameters=Secret(parameters), context={"instance_name": "two"})
            self.assertEqual(decided(provision_decision, asked, stored, None), expected)


class BindTests(SynchronousTestCase):
    """PUT of a binding."""

    def test_unknown_instance(self) -> None:
        """Without the instance there is nothing to bind."""
        self.assertEqual(decided(bind_decision, BIND, None, None, None), "unknown")

    def test_new(self) -> None:
        """A new binding needs an instance that is ready and that nothing holds."""
        free = {
            InstanceState.PROVISIONING: "busy",
            InstanceState.READY: "begin",
            InstanceState.UPDATING: "busy",
            InstanceState.DEPROVISIONING: "invalid",
            InstanceState.FAILED: "invalid",
        }
        for state, running in product(InstanceState, runnings()):
            expected = "busy" if running else free[state]
            found = decided(bind_decision, BIND, instance(state=state), None, running)
            self.assertEqual(found, expected, (state, running))

    def test_same(self) -> None:
        """The same request finds what is bound, joins its own operation, and is refused what is dirty."""
        for state, running in product(BindingState, runnings()):
            if state is BindingState.BOUND:
                expected = "done"
            elif running is None:
                expected = "conflict"
            elif (running.kind, running.binding_id) == (OperationKind.BIND, "b-1"):
                expected = "join"
            else:
                expected = "busy"
            stored = binding(state=state)
            found = decided(bind_decision, BIND, instance(), stored, running)
            self.assertEqual(found, expected, (state, running))

    def test_other_attributes(self) -> None:
        """A differing request for the same binding meets a conflict, before its plan is looked at."""
        others = (
            evolve(BIND, plan_id="redis_200"),
            evolve(BIND, service_id="mysql"),
            evolve(BIND, app_guid="app-2"),
            evolve(BIND, bind_resource={"route": "x"}),
            evolve(BIND, parameters=Secret({"a": True})),
        )
        for other, state, running in product(others, BindingState, runnings()):
            stored = binding(state=state)
            found = decided(bind_decision, other, instance(), stored, running)
            self.assertEqual(found, "conflict", (other, state, running))

    def test_another_plan(self) -> None:
        """A new binding names the service and plan of its instance."""
        for other in (evolve(BIND, plan_id="redis_200"), evolve(BIND, service_id="mysql")):
            self.assertEqual(decided(bind_decision, other, instance(), None, None), "invalid")

    def test_plan_that_cannot_be_bound(self) -> None:
        """What the plan, or else the offering, says of bindings counts; what is bound already is found."""
        for offering, plan, expected in (
            (True, None, "begin"),
            (True, True, "begin"),
            (True, False, "invalid"),
            (False, None, "invalid"),
            (False, True, "begin"),
        ):
            plans = (evolve(REDIS.plan, bindable=plan),)
            stored = instance(evolve(REDIS, bindable=offering, plans=plans))
            self.assertEqual(decided(bind_decision, BIND, stored, None, None), expected)
            bound = binding(state=BindingState.BOUND)
            self.assertEqual(decided(bind_decision, BIND, stored, bound, None), "done")


class DeleteTests(SynchronousTestCase):
    """DELETE of an instance or a binding."""

    def test_unknown(self) -> None:
        """What is not there is gone, for a binding even when the query says nothing."""
        bare = evolve(UNBIND, service_id="", plan_id="")
        self.assertEqual(decided(deprovision_decision, DEPROVISION, None, None), "gone")
        self.assertEqual(decided(unbind_decision, bare, None, None, None), "gone")
        self.assertEqual(decided(unbind_decision, bare, instance(), None, None), "gone")

    def test_deprovision(self) -> None:
        """An instance in any state is deprovisioned when nothing holds it; the same request joins.

        A provision is halted, also one that has failed and is being undone.
        """
        for state, running in product(InstanceState, runnings()):
            expected = "begin" if running is None else "busy"
            if running and running.kind is OperationKind.DEPROVISION:
                expected = "join"
            elif running and running.kind is OperationKind.PROVISION:
                expected = "halt"
            stored = instance(state=state)
            found = decided(deprovision_decision, DEPROVISION, stored, running)
            self.assertEqual(found, expected, (state, running))

    def test_unbind(self) -> None:
        """A binding in any state, on an instance in any state, is unbound when nothing holds the instance.

        The bind of this binding is halted, also one that has failed and is being undone.
        """
        for state, bound, running in product(InstanceState, BindingState, runnings()):
            expected = "begin" if running is None else "busy"
            if running and (running.kind, running.binding_id) == (OperationKind.UNBIND, "b-1"):
                expected = "join"
            elif running and (running.kind, running.binding_id) == (OperationKind.BIND, "b-1"):
                expected = "halt"
            found = self.unbind(UNBIND, state, binding(state=bound), running)
            self.assertEqual(found, expected, (state, bound, running))

    def unbind(
        self, request: DeleteRequest, state: InstanceState, stored: ServiceBinding, running: Operation | None
    ) -> str:
        """Return the decision on an unbind in one word."""
        return decided(unbind_decision, request, instance(state=state), stored, running)

    def test_query(self) -> None:
        """The query names the instance's service and some plan: a platform may have missed an update."""
        wrong: tuple[dict[str, Any], ...] = ({"service_id": ""}, {"plan_id": ""}, {"service_id": "mysql"})
        for changes in wrong:
            for running in runnings():
                asked = evolve(UNBIND, **changes)
                found = self.unbind(asked, InstanceState.READY, binding(), running)
                self.assertEqual(found, "invalid")
        for changes in wrong[1:]:
            found = decided(deprovision_decision, evolve(DEPROVISION, **changes), instance(), None)
            self.assertEqual(found, "invalid")
        missed = evolve(DEPROVISION, plan_id="x")
        self.assertEqual(decided(deprovision_decision, missed, instance(), None), "begin")


class PlanTests(SynchronousTestCase):
    """What a plan demands of a request."""

    def test_asynchronous_only(self) -> None:
        """A plan whose work is too long refuses only requests that cannot be answered earlier."""
        for only, accepts in product((False, True), repeat=2):
            plan = Plan(id="p", name="slow", asynchronous_only=only)
            try:
                require_asynchronous(plan, accepts_incomplete=accepts)
                refused = ""
            except AsyncRequired as error:
                refused = error.description
            self.assertEqual(bool(refused), only and not accepts)
            self.assertTrue(not refused or ("'slow'" in refused and "accepts_incomplete=true" in refused))

    def test_version(self) -> None:
        """A version that is asked for must be the catalog's; a plan without versions has none to ask for."""
        versioned = MaintenanceInfo(version="2.0.0")
        for present, asked, refused in (
            (None, None, False),
            (None, "2.0.0", True),
            (versioned, None, False),
            (versioned, "2.0.0", False),
            (versioned, "1.0.0", True),
            (versioned, "", True),
        ):
            plan = evolve(definition("redis", "100").plan, maintenance=present)
            if refused:
                self.assertRaises(MaintenanceInfoConflict, require_version, plan, asked)
            else:
                require_version(plan, asked)
