"""What the scripts that change operations are asked, and what is meant by what they refuse."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import evolve

from dockerbroker.errors import BrokerError
from dockerbroker.model import auditing
from dockerbroker.model.instances import Change, Operation, Phase, ServiceInstance
from dockerbroker.persisters import holding_records, records, refusals
from dockerbroker.persisters.redis.rows import held_columns, host_id, told, unpacked
from dockerbroker.persisters.sealed_records import SealedRecords

#: What a script says when the operation that it was to end was changed since it was read.
MOVED: Final = "moved"

#: The words by which `begin` and `commit` refuse.
_REFUSALS: Final[Mapping[str, Callable[[Change], BrokerError]]] = {
    "binding": lambda change: refusals.binding_exists(change.operation.binding_id or ""),
    "busy": lambda change: refusals.instance_busy(change.operation.instance_id),
    "ended": lambda change: refusals.superseded_ended(change.supersedes or ""),
    "full": lambda change: _host_full(change.instance),
    "instance": lambda change: refusals.instance_exists(change.operation.instance_id),
    "lost": lambda change: refusals.lease_lost(change.operation.id),
    "operation": lambda change: refusals.operation_exists(change.operation.id),
    "port": lambda change: _port_leased(change.instance),
    "unbound": lambda change: refusals.binding_gone(change.operation.binding_id),
    "unfit": lambda change: _host_unfit(change.instance),
}


def beginning(
    change: Change,
    sealed: SealedRecords,
    superseded: Mapping[str, Any] | None,
    *,
    owner: str,
    ttl: float,
    within: float,
    at: float,
) -> dict[str, Any]:
    """Return what `begin` is asked; `superseded` is the row of the operation that is to be ended.

    `at` is in seconds since 1970.
    """
    operation = change.operation
    asked = _records(change, sealed) | {
        "kind": operation.kind.value,
        "operation": records.operation_row(operation)
        | {
            "epoch": 1,
            "owner": None if operation.is_over else owner,
            "is_cancelled": operation.is_cancelled,
        },
        "ttl": ttl,
        "within": within,
        "place": change.placed_on and host_id(change.placed_on),
    }
    if change.instance is not None:
        asked["last_operation_id"] = change.instance.last_operation_id
    ended = None if superseded is None else _ended(records.read_operation(superseded), operation.created_at)
    asked["audit"] = told(auditing.of_beginning(change, ended), at)
    if superseded is not None and ended is not None:
        asked["supersedes"] = {
            "id": superseded["id"],
            "epoch": superseded["epoch"],
            "document": superseded["document"],
            "row": records.operation_row(ended) | {"epoch": ended.epoch + 1},
        }
    return asked


def begun(change: Change, *, owner: str, deadline: str) -> Operation:
    """Return the operation as `begin` has stored it."""
    holder = None if change.operation.is_over else owner
    return evolve(change.operation, epoch=1, owner=holder, deadline=float(deadline))


def committing(change: Change, sealed: SealedRecords, at: float) -> dict[str, Any]:
    """Return what `commit` is asked; `at` is in seconds since 1970."""
    operation = change.operation
    return _records(change, sealed) | {
        "operation": records.operation_row(operation),
        "epoch": operation.epoch,
        "audit": told(auditing.of_commit(change), at),
    }


def refusal(word: str, change: Change) -> BrokerError | None:
    """Return what is meant by the first word of an answer; None when the change is done."""
    meant = _REFUSALS.get(word)
    return None if meant is None else meant(change)


def read(row: Mapping[str, str]) -> Operation:
    """Return the operation of a record; raises `Unavailable` when it cannot be read."""
    return records.read_operation(unpacked(row))


def _records(change: Change, sealed: SealedRecords) -> dict[str, Any]:
    return {
        "instance": change.instance and _instance(sealed.instance_row(change.instance)),
        "most": change.most and {"memory": change.most.memory, "cpus": change.most.cpus},
        "binding": change.binding and sealed.binding_row(change.binding),
        "remove_instance": change.remove_instance or None,
        "remove_binding": change.remove_binding,
    }


def _instance(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row of an instance, with the ports that it leases and the hosts that have them."""
    return row | held_columns(row)


def _ended(operation: Operation, now: float) -> Operation:
    """Return an operation that another one replaces as it is then; `now` is in seconds since 1970."""
    return evolve(operation.over(Phase.FAILED, now), description=refusals.SUPERSEDED)


def _host_full(instance: ServiceInstance | None) -> BrokerError:
    assert instance is not None, "only an instance reserves something"
    return refusals.host_full(instance.host.service_host)


def _host_unfit(instance: ServiceInstance | None) -> BrokerError:
    assert instance is not None, "only an instance is placed"
    return refusals.host_unfit((instance.successor or instance).host.service_host)


def _port_leased(instance: ServiceInstance | None) -> BrokerError:
    assert instance is not None, "only an instance has ports"
    ports = [lease["port"] for lease in holding_records.leased_ports_of(instance)]
    return refusals.port_leased(ports, instance.host.service_host)
