"""How the draining of a Docker host stands, and how administrators are told of it."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from dockerbroker.model.hosts import HostReport, HostState
from dockerbroker.model.instances import Operation, OperationKind, Phase, ServiceInstance
from dockerbroker.model.moving import stays
from dockerbroker.model.progress import sentence
from dockerbroker.model.standing import host_id

#: How the move of an instance stands.
MOVED, MOVING, WAITING, FAILED, STAYING = "moved", "moving", "waiting", "failed", "staying"


@frozen(kw_only=True)
class InstanceDrain:
    """How the draining of one instance stands: one of the words above, and what a person reads about it.

    `bindings` are those that must be made again, since they name the former host. `copied` is in bytes.
    """

    instance_id: str
    state: str
    what: str = ""
    operation_id: str | None = None
    copied: int = 0
    bindings: Sequence[str] = ()


@frozen(kw_only=True)
class Drain:
    """How the draining of a host stands."""

    report: HostReport
    instances: Sequence[InstanceDrain]

    @property
    def is_under_way(self) -> bool:
        """Whether something moves, or is about to."""
        return any(one.state in {MOVING, WAITING} for one in self.instances)


def standing_of(
    instance: ServiceInstance, last: Operation | None, now: float, obstacle: str | None = None
) -> InstanceDrain:
    """Return how an instance stands that is on the host; `last` is the last operation on it.

    `now` is in seconds since 1970; `obstacle` is why the host cannot be drained, if it cannot.
    """
    if (why := stays(instance)) is not None:
        return InstanceDrain(instance_id=instance.id, state=STAYING, what=why)
    if last is None or last.kind is not OperationKind.MOVE or last.phase is Phase.SUCCEEDED:
        state = WAITING if obstacle is None else FAILED
        return InstanceDrain(instance_id=instance.id, state=state, what=obstacle or "")
    return InstanceDrain(
        instance_id=instance.id,
        state=FAILED if last.is_over else MOVING,
        what=sentence(last, instance, now),
        operation_id=last.id,
        copied=last.copied,
    )


def moved(operation: Operation, instance: ServiceInstance, bindings: Sequence[str]) -> InstanceDrain:
    """Return how an instance stands that has left the host; the bindings name that host still."""
    return InstanceDrain(
        instance_id=instance.id,
        state=MOVED,
        what=f"It is on {instance.host.service_host}.",
        operation_id=operation.id,
        copied=operation.copied,
        bindings=tuple(bindings),
    )


def refusal(report: HostReport) -> str | None:
    """Return why a host cannot be drained, as a sentence; None when it can."""
    if report.state is not HostState.DEAD:
        return None
    return (
        f"The Docker host {report.host.key.service_host} is dead: what its instances have cannot be read. "
        "Drain it when it has returned; what is lost has to be deleted and made again."
    )


def encode_drain(drain: Drain) -> dict[str, Any]:
    """Return what administrators are told of the draining of a host."""
    return {
        "ID": host_id(drain.report.host.key),
        "IsDraining": drain.report.is_draining,
        "IsUnderWay": drain.report.is_draining and drain.is_under_way,
        "BytesCopied": sum(one.copied for one in drain.instances),
        **{
            state.capitalize(): sum(one.state == state for one in drain.instances)
            for state in (MOVED, MOVING, WAITING, FAILED, STAYING)
        },
        "Instances": [_encoded(one) for one in drain.instances],
    }


def _encoded(one: InstanceDrain) -> dict[str, Any]:
    document = {
        "InstanceID": one.instance_id,
        "State": one.state,
        "What": one.what,
        "OperationID": one.operation_id,
        "BytesCopied": one.copied,
        "BindingsToMakeAgain": list(one.bindings),
    }
    return {member: value for member, value in document.items() if value not in (None, "", [])}
