"""Calls of the broker without HTTP, as its web makes them, for instances of a service with several plans."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from dockerbroker.broker.limits import Limits
from dockerbroker.errors import BrokerError
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.plans import ContainerOptions, MaintenanceInfo, Plan
from dockerbroker.model.requests import (
    Accepted,
    BindRequest,
    DeleteRequest,
    FetchRequest,
    LastOperation,
    PollRequest,
    ProvisionRequest,
    UpdateRequest,
)
from dockerbroker.model.secrets import Secret
from tests.broker.ledger import Ledger, stack_with_ledger
from tests.stack import REDIS, Stack

_VOLUMES: Final = {"data": "/data"}
SMALL: Final = Plan(
    id="small",
    name="small",
    maintenance=MaintenanceInfo(version="1.0.0"),
    binding_rotatable=True,
    options=ContainerOptions(memory=2**26, volumes=_VOLUMES),
)
#: Another container than that of the small plan, on the same data.
LARGE: Final = evolve(
    SMALL, id="large", name="large", options=ContainerOptions(memory=2**30, volumes=_VOLUMES)
)
#: The same container as that of the small plan.
BETTER: Final = evolve(SMALL, id="better", name="better", description="better support")
SERVICE: Final = evolve(REDIS, plans=(SMALL, LARGE, BETTER), plan_updateable=True)


@define(eq=False)
class Call:
    """A call that was made; time passes only while it is waited for."""

    stack: Stack
    _made: Coroutine[Any, Any, Any]
    _outcome: list[Any] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Make the call."""
        Deferred.fromCoroutine(self._made).addBoth(self._outcome.append)

    @property
    def is_over(self) -> bool:
        """Whether it has returned or raised."""
        return bool(self._outcome)

    def result(self, within: float = 60.0) -> Any:
        """Let time pass until the call is over; return what it returned, or raise what it raised."""
        clock = self.stack.clock
        end = clock.seconds() + within
        while not self._outcome:
            assert clock.seconds() < end, "the call does not end in time"
            due = [call.getTime() for call in clock.getDelayedCalls()]
            self.stack.advance(max(min(due, default=0.0) - clock.seconds(), 0.001))
        (outcome,) = self._outcome
        if isinstance(outcome, Failure):
            outcome.raiseException()
        return outcome

    def error(self, within: float = 60.0) -> Any:
        """Let time pass until the call is over; return the error that it must have raised."""
        try:
            result = self.result(within)
        except BrokerError as error:
            return error
        raise AssertionError(f"it has returned {result}")

    def accepted(self) -> Accepted:
        """Return the answer, which must be that the operation goes on."""
        result = self.result()
        assert isinstance(result, Accepted), result
        return result


@define
class Platform:
    """Asks a broker; `asynchronous` is whether its requests allow that the work goes on after the answer."""

    stack: Stack
    asynchronous: bool = False

    def provision(self, instance_id: str = "i-1", plan: str = "small", **members: Any) -> Call:
        """Ask for an instance."""
        request = ProvisionRequest(
            instance_id=instance_id,
            service_id=SERVICE.service_id,
            plan_id=plan,
            organization_guid="o-1",
            space_guid="s-1",
            accepts_incomplete=self.asynchronous,
            **_secret(members),
        )
        return Call(self.stack, self.stack.broker.provision(request))

    def update(self, plan: str | None = None, instance_id: str = "i-1", **members: Any) -> Call:
        """Ask for another plan, other parameters or another version."""
        request = UpdateRequest(
            instance_id=instance_id,
            service_id=SERVICE.service_id,
            plan_id=plan,
            accepts_incomplete=self.asynchronous,
            **_secret(members),
        )
        return Call(self.stack, self.stack.broker.update(request))

    def deprovision(self, instance_id: str = "i-1", plan: str = "small") -> Call:
        """Ask that an instance be removed."""
        return Call(self.stack, self.stack.broker.deprovision(self._deletion(instance_id, plan)))

    def bind(self, binding_id: str = "b-1", plan: str = "small", **members: Any) -> Call:
        """Ask for a binding of `i-1`."""
        request = BindRequest(
            instance_id="i-1",
            binding_id=binding_id,
            service_id=SERVICE.service_id,
            plan_id=plan,
            accepts_incomplete=self.asynchronous,
            **_secret(members),
        )
        return Call(self.stack, self.stack.broker.bind(request))

    def rotate(self, binding_id: str, predecessor: str, **members: Any) -> Call:
        """Ask for a binding of `i-1` in the place of another one, without the ids of service and plan."""
        request = BindRequest(
            instance_id="i-1",
            binding_id=binding_id,
            service_id="",
            plan_id="",
            predecessor_binding_id=predecessor,
            accepts_incomplete=self.asynchronous,
            **_secret(members),
        )
        return Call(self.stack, self.stack.broker.bind(request))

    def unbind(self, binding_id: str = "b-1", plan: str = "small") -> Call:
        """Ask that a binding of `i-1` be removed."""
        request = evolve(self._deletion("i-1", plan), binding_id=binding_id)
        return Call(self.stack, self.stack.broker.unbind(request))

    def fetch(self, binding_id: str | None = None) -> Call:
        """Ask for the instance `i-1`, or for a binding of it."""
        request = FetchRequest(instance_id="i-1", binding_id=binding_id)
        broker = self.stack.broker
        return Call(
            self.stack,
            broker.fetch_instance(request) if binding_id is None else broker.fetch_binding(request),
        )

    def poll(self, operation_id: str | None = None, binding_id: str | None = None) -> LastOperation:
        """Return how the operation on `i-1`, or on a binding of it, stands; without an id it is the last."""
        request = PollRequest(instance_id="i-1", binding_id=binding_id, operation_id=operation_id)
        answer = Call(self.stack, self.stack.broker.last_operation(request)).result()
        assert isinstance(answer, LastOperation)
        return answer

    def _deletion(self, instance_id: str, plan: str) -> DeleteRequest:
        return DeleteRequest(
            instance_id=instance_id,
            service_id=SERVICE.service_id,
            plan_id=plan,
            accepts_incomplete=self.asynchronous,
        )


def _secret(members: dict[str, Any]) -> dict[str, Any]:
    parameters = members.pop("parameters", None)
    return {**members, **({} if parameters is None else {"parameters": Secret(parameters)})}


def stack_with_plans(definition: ImageDefinition = SERVICE, **limits: float) -> tuple[Stack, Ledger]:
    """Return a stack whose service has several plans, and keeps a ledger."""
    stack, ledger = stack_with_ledger(Stack(limits=Limits(**limits)))
    stack.add_definition(definition)
    return stack, ledger


def platforms(stack: Stack) -> tuple[Platform, Platform]:
    """Return a platform that waits for its answers, and one that does not have to."""
    return Platform(stack), Platform(stack, asynchronous=True)
