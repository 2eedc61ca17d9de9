"""A persister on a SQL database: each method is one transaction in a thread."""

from collections.abc import Callable, Iterable
from typing import ClassVar, Protocol, TypeVar

from attrs import Factory, define, field
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from zope.interface import implementer

from dockerbroker.errors import Unavailable
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport
from dockerbroker.model.instances import Change, Operation, ServiceBinding, ServiceInstance
from dockerbroker.persisters import changes, history, leases, queries
from dockerbroker.persisters.databases import PATIENCE, Database, Query
from dockerbroker.persisters.interfaces import IPersister

T = TypeVar("T")


class RunInThread(Protocol):
    """Calls a function, usually in a thread, and returns what it returns or raises."""

    def __call__(self, function: Callable[[], T], /) -> Deferred[T]:
        """Return a Deferred of the function's result."""


def _turns(persister: "SqlPersister") -> DeferredSemaphore:
    return DeferredSemaphore(persister.database.writers)


@implementer(IPersister)
@define(eq=False)
class SqlPersister:
    """Keeps records in a SQL database.

    Writes that must wait for their turn wait here, in order, and occupy no thread. A call whose Deferred is
    cancelled goes on in its thread.
    """

    _log: ClassVar[Logger] = Logger()

    database: Database
    _run: RunInThread
    _writing: DeferredSemaphore = field(default=Factory(_turns, takes_self=True), init=False)

    async def cluster_id(self) -> str:
        """Return the identifier that this database was born with."""
        return await self._read(queries.find_cluster_id)

    async def images(self) -> list[ImageDefinition]:
        """Return the catalog, in the order of the names."""
        return await self._read(queries.find_images)

    async def seed_images(self, definitions: Iterable[ImageDefinition]) -> bool:
        """Fill the catalog the first time."""
        return await self._write(lambda connection: queries.seed_images(connection, definitions))

    async def put_image(self, definition: ImageDefinition) -> bool:
        """Add or replace a definition."""
        return await self._write(lambda connection: queries.put_image(connection, definition))

    async def delete_image(self, name: str) -> None:
        """Remove a definition."""
        await self._write(lambda connection: queries.delete_image(connection, name))

    async def record_ping(self, host: DockerHost) -> None:
        """Store the host, alive now."""
        await self._write(
            lambda connection: queries.record_ping(connection, host, self.database.now(connection))
        )

    async def hosts(self) -> list[HostReport]:
        """Return every host, in the order of the keys."""
        return await self._read(
            lambda connection: queries.find_hosts(connection, self.database.now(connection))
        )

    async def host(self, key: HostKey) -> DockerHost | None:
        """Return the host."""
        return await self._read(lambda connection: queries.find_host(connection, key))

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the instance."""
        return await self._read(lambda connection: queries.find_instance(connection, instance_id))

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding."""
        return await self._read(lambda connection: queries.find_binding(connection, instance_id, binding_id))

    async def bindings(self, instance_id: str) -> list[ServiceBinding]:
        """Return the instance's bindings, in the order of the ids."""
        return await self._read(lambda connection: queries.find_bindings(connection, instance_id))

    async def now(self) -> float:
        """Return the time of the database's clock."""
        return await self._read(self.database.now)

    async def instances(self, after: str, limit: int) -> list[ServiceInstance]:
        """Return instances, in the order of the ids."""
        return await self._read(lambda connection: queries.find_instances(connection, after, limit))

    async def operation(self, operation_id: str) -> Operation | None:
        """Return the operation."""
        return await self._read(lambda connection: history.find_operation(connection, operation_id))

    async def last_operation(self, instance_id: str, binding_id: str | None = None) -> Operation | None:
        """Return the last operation on the instance itself, or on the one binding."""
        return await self._read(
            lambda connection: history.find_last_operation(connection, instance_id, binding_id)
        )

    async def operations(self, *, unfinished: bool, limit: int) -> list[Operation]:
        """Return operations, those begun last first."""
        return await self._read(
            lambda connection: history.find_operations(connection, unfinished=unfinished, limit=limit)
        )

    async def known_operations(self, operation_ids: Iterable[str]) -> frozenset[str]:
        """Return which of these operations are known."""
        asked = list(operation_ids)
        return await self._read(lambda connection: history.find_known_operations(connection, asked))

    async def conditions(self) -> dict[str, str]:
        """Return the conditions of instances that are not as they should be."""
        return await self._read(queries.find_conditions)

    async def set_condition(self, instance_id: str, condition: str | None) -> None:
        """Record the condition of an instance."""
        await self._write(lambda connection: queries.set_condition(connection, instance_id, condition))

    async def leased_ports(self, host: HostKey) -> frozenset[int]:
        """Return the host's leased ports."""
        return await self._read(lambda connection: queries.find_leased_ports(connection, host))

    async def begin(self, change: Change, *, owner: str, ttl: float, within: float) -> Operation:
        """Write a new operation with what it needs."""
        return await self._write(
            lambda connection: changes.begin(
                connection, change, owner=owner, now=self.database.now(connection), ttl=ttl, within=within
            )
        )

    async def commit(self, change: Change) -> None:
        """Write progress or the outcome."""
        await self._write(lambda connection: changes.commit(connection, change))

    async def claim(self, owner: str, *, ttl: float) -> list[Operation]:
        """Take over what nobody holds, and what those hold that are known to have ended."""

        def take(deadline: float) -> list[Operation]:
            with self.database.ended_brokers() as ended:
                return self.database.write(
                    lambda connection: leases.claim(
                        connection, owner, now=self.database.now(connection), ttl=ttl, ended=ended
                    ),
                    deadline=deadline,
                )

        return await self._in_turn(take)

    async def renew(self, owner: str, *, ttl: float) -> frozenset[str]:
        """Prolong the owner's leases; returns which of the operations are cancelled."""
        return await self._write(
            lambda connection: leases.renew(
                connection, owner, lease_until=self.database.now(connection) + ttl
            )
        )

    async def release(self, operation: Operation, *, delay: float) -> None:
        """Let go of an operation."""
        await self._write(
            lambda connection: leases.release(
                connection, operation, lease_until=self.database.now(connection) + delay
            )
        )

    async def cancel(self, operation_id: str) -> None:
        """Ask whoever carries the operation to undo it."""
        await self._write(lambda connection: leases.cancel(connection, operation_id))

    async def hasten(self, operation_id: str) -> None:
        """Let an operation that waits be claimed at once."""
        await self._write(
            lambda connection: leases.hasten(connection, operation_id, now=self.database.now(connection))
        )

    async def forget(self, before: float, limit: int) -> int:
        """Delete operations that were over before that time."""
        return await self._write(lambda connection: history.forget(connection, before, limit))

    async def close(self) -> None:
        """Close the database's connections; no call may be under way."""
        await self._run(self.database.close)

    async def _read(self, query: Query[T]) -> T:
        return await self._attempt(self._run(lambda: self.database.read(query)))

    async def _write(self, query: Query[T]) -> T:
        return await self._in_turn(lambda deadline: self.database.write(query, deadline=deadline))

    async def _in_turn(self, writing: Callable[[float], T]) -> T:
        """Call that in a thread when it is its turn, with the time until which a write must have begun."""
        deadline = self.database.seconds() + PATIENCE
        return await self._attempt(self._writing.run(self._run, lambda: writing(deadline)))

    async def _attempt(self, outcome: Deferred[T]) -> T:
        try:
            return await outcome
        except Unavailable as error:
            self._log.warn("{description} ({cause})", description=error.description, cause=error.__cause__)
            raise
