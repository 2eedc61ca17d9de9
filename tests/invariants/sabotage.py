"""Brokers that are broken on purpose, each in one way, so that the checker can be seen to notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, Final

from attrs import define, evolve
from twisted.internet.defer import Deferred

from dockerbroker.model.instances import Change, Operation, ServiceBinding, ServiceInstance
from tests.memory_persister import MemoryPersister
from tests.memory_tables import Row, Tables


class Sabotage(Enum):
    """What is broken."""

    NOTHING = auto()
    #: The worker forgets to remove containers, and nobody reaps them.
    FORGETS_REMOVAL = auto()
    #: Nobody compares rows with Docker.
    DOES_NOT_COMPARE = auto()
    #: An update leaves the former container running beside its successor.
    DOES_NOT_HALT = auto()
    #: The database keeps the ports of what was removed.
    KEEPS_LEASES = auto()
    #: Nobody takes over what a dead broker left.
    TAKES_NOTHING_OVER = auto()
    #: The database forgets instances when it is asked to delete them.
    DENIES_INSTANCES = auto()
    #: The same of bindings.
    DENIES_BINDINGS = auto()
    #: Several operations may hold an instance.
    ALLOWS_TWO_OPERATIONS = auto()
    #: Whoever has lost a lease may go on writing.
    IGNORES_EPOCHS = auto()
    #: The reaper waits for nothing.
    HAS_NO_GRACE = auto()
    #: Every pass leaves a timer behind.
    LEAKS_TIMERS = auto()
    #: Errors are handled by nobody.
    DROPS_ERRORS = auto()
    #: The catalog cannot be read.
    FALLS_OVER = auto()


class LeakyTables(Tables):
    """Tables that keep the ports of what was removed."""

    def _forget_leases(self, instance_id: str) -> None:
        """Forget nothing."""


class CrowdedTables(Tables):
    """Tables in which an instance may be held by several operations."""

    def check_begin(self, change: Change) -> None:
        """Allow everything."""


class TimelessTables(Tables):
    """Tables that do not look at epochs."""

    def held(self, operation: Operation) -> Row:
        """Return the row, whoever asks."""
        return self.operations[operation.id]


@define(eq=False)
class Watching(MemoryPersister):
    """A persister that counts what was written without a lease."""

    stale_writes: int = 0

    async def commit(self, change: Change) -> None:
        """Write, and count it when somebody else has taken the operation over."""
        row = self.tables.operations[change.operation.id]
        is_stale = row["epoch"] != change.operation.epoch or row["lease_until"] is None
        await super().commit(change)
        self.stale_writes += is_stale


class DenyingPersister(Watching):
    """A persister that knows nothing of instances or bindings while it denies them."""

    denies: str = ""

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the instance, or deny it."""
        return None if self.denies == "instances" else await super().instance(instance_id)

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding, or deny it."""
        return None if self.denies == "bindings" else await super().binding(instance_id, binding_id)


class TwofoldPersister(Watching):
    """A persister that shows every instance as held by nobody."""

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the instance as if no operation held it."""
        found = await super().instance(instance_id)
        return None if found is None else evolve(found, operation_id=None)


#: The tables and persisters that differ from those of a sound build.
TABLES: Final[Mapping[Sabotage, type[Tables]]] = {
    Sabotage.KEEPS_LEASES: LeakyTables,
    Sabotage.ALLOWS_TWO_OPERATIONS: CrowdedTables,
    Sabotage.IGNORES_EPOCHS: TimelessTables,
}
PERSISTERS: Final[Mapping[Sabotage, Callable[..., Watching]]] = {
    Sabotage.DENIES_INSTANCES: DenyingPersister,
    Sabotage.DENIES_BINDINGS: DenyingPersister,
    Sabotage.ALLOWS_TWO_OPERATIONS: TwofoldPersister,
}


def sabotage(stack: Any, flag: Sabotage) -> None:
    """Break a broker that was put together."""

    async def nothing(work: Any, *_arguments: Any, **_options: Any) -> Any:
        return work

    steps, comparer = stack.worker.steps, stack.comparer
    changes: dict[Sabotage, tuple[Any, str, Any]] = {
        Sabotage.FORGETS_REMOVAL: (steps, "_remove", nothing),
        Sabotage.DOES_NOT_HALT: (steps, "_halt", nothing),
        Sabotage.HAS_NO_GRACE: (comparer.reaper, "grace", -1.0),
        Sabotage.LEAKS_TIMERS: (comparer, "spent", lambda: float(stack.clock.callLater(1e9, int) is None)),
        Sabotage.DROPS_ERRORS: (comparer, "jitter", lambda _longest: float(_dropped() is None)),
    }
    if flag in changes:
        setattr(*changes[flag])
    elif flag is Sabotage.TAKES_NOTHING_OVER:
        stack.reconciler.settle()
    elif flag is Sabotage.FALLS_OVER:
        stack.persister.fail_next("images", ZeroDivisionError())


def _dropped() -> Deferred[None]:
    """Return a Deferred with an error that nobody handles."""
    failed: Deferred[None] = Deferred()
    failed.errback(ZeroDivisionError())
    return failed
