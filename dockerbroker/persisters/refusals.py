"""What every persister says when it refuses a change."""

from collections.abc import Iterable

from dockerbroker.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    HostFull,
    LostLease,
    NotFound,
    PortLeased,
    PreconditionFailed,
)
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import OperationKind

#: What a platform is told of a creation that it deleted before it was done.
SUPERSEDED = "The creation was ended by a deletion."

DELETIONS = frozenset({OperationKind.UNBIND, OperationKind.DEPROVISION})


def instance_exists(instance_id: str) -> AlreadyExists:
    """There is an instance with that id."""
    return AlreadyExists(f"The service instance {instance_id!r} exists already.")


def binding_exists(binding_id: str) -> AlreadyExists:
    """There is a binding with that id."""
    return AlreadyExists(f"The binding {binding_id!r} exists already.")


def certificate_unknown(host: str) -> NotFound:
    """There is no certificate for the host."""
    return NotFound(f"There is no certificate for the Docker host {host!r}.")


def require(is_same: bool, what: str) -> None:
    """Raise `PreconditionFailed` when something else is stored than a change was decided on."""
    if not is_same:
        raise PreconditionFailed(f"{what} was changed by somebody else; look at it again.")


def operation_exists(operation_id: str) -> AlreadyExists:
    """There is an operation with that id."""
    return AlreadyExists(f"The operation {operation_id} exists already.")


def port_leased(ports: Iterable[int], host: str) -> PortLeased:
    """One of the ports is another instance's."""
    numbers = ", ".join(map(str, ports))
    return PortLeased(f"A port of {numbers} on {host} is leased to another service instance.")


def host_full(host: str) -> HostFull:
    """Not enough of the host is left, or others reserve something of it at this moment."""
    return HostFull(f"Other service instances have just reserved what was left of the Docker host {host}.")


def host_unfit(host: str) -> HostFull:
    """The host was chosen, and then cordoned or called dead."""
    return HostFull(f"Nothing may be placed on the Docker host {host} any more.")


def instance_busy(instance_id: str) -> Busy:
    """An operation holds the instance, or has changed it since it was read, or it is gone."""
    return Busy(f"Another operation holds the service instance {instance_id!r}, or has held it.")


def binding_gone(binding_id: str | None) -> Busy:
    """The binding that is to be removed is no more."""
    return Busy(f"Another operation has removed the binding {binding_id!r}.")


def superseded_ended(operation_id: str) -> Busy:
    """What a deletion was to end has ended."""
    return Busy(f"The operation {operation_id} has ended meanwhile.")


def lease_lost(operation_id: str) -> LostLease:
    """Whoever writes does not carry the operation any more."""
    return LostLease(f"The operation {operation_id} is over, or another broker has taken it over.")


def operation_unknown(operation_id: str) -> NotFound:
    """There is no such operation, or not any more."""
    return NotFound(f"The operation {operation_id[:100]!r} does not exist.")


def operation_over(operation_id: str) -> Conflict:
    """What is asked of the operation comes too late."""
    return Conflict(f"The operation {operation_id} is over.")


def operation_carried(operation_id: str) -> Conflict:
    """The operation does not wait."""
    return Conflict(f"The operation {operation_id} is being carried out already.")


def deletion_stays(operation_id: str) -> Conflict:
    """A deletion cannot be cancelled."""
    return Conflict(f"The operation {operation_id} is a deletion, which cannot be undone.")


def image_unknown(name: str) -> NotFound:
    """The catalog has no such definition."""
    return NotFound(f"The image {name!r} does not exist.")


def image_used(name: str) -> Conflict:
    """There are instances of the definition."""
    return Conflict(f"The image {name!r} has service instances; deprovision them first.")


def credential_unknown(credential_id: str) -> NotFound:
    """There is no such credential."""
    return NotFound(f"There is no credential {credential_id[:100]!r}.")


def credential_last() -> Conflict:
    """Nobody could administer anything any more."""
    return Conflict("This is the last credential of administrators; add another one before.")


def host_unknown(key: HostKey) -> NotFound:
    """There is no such host."""
    return NotFound(f"The Docker host {key.service_host!r} is not known.")
