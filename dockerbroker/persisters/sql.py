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
from dockerbroker.persisters import changes, queries
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

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the instance."""
        return await self._read(lambda connection: queries.find_instance(connection, instance_id))

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding."""
        return await self._read(lambda connection: queries.find_binding(connection, instance_id, binding_id))

    async def bindings(self, instance_id: str) -> list[ServiceBinding]:
        """Return the instance's bindings, in the order of the ids."""
        return await self._read(lambda connection: queries.find_bindings(connection, instance_id))

    async def operation(self, operation_id: str) -> Operation | None:
        """Return the operation."""
        return await self._read(lambda connection: queries.find_operation(connection, operation_id))

    async def leased_ports(self, host: HostKey) -> frozenset[int]:
        """Return the host's leased ports."""
        return await self._read(lambda connection: queries.find_leased_ports(connection, host))

    async def begin(self, change: Change, *, owner: str, ttl: float) -> Operation:
        """Write a new operation with what it needs."""
        return await self._write(
            lambda connection: changes.begin(
                connection, change, owner=owner, lease_until=self.database.now(connection) + ttl
            )
        )

    async def commit(self, change: Change) -> None:
        """Write progress or the outcome."""
        await self._write(lambda connection: changes.commit(connection, change))

    async def claim(self, owner: str, *, ttl: float) -> list[Operation]:
        """Take over what nobody holds."""
        return await self._write(
            lambda connection: changes.claim(connection, owner, now=self.database.now(connection), ttl=ttl)
        )

    async def renew(self, owner: str, *, ttl: float) -> None:
        """Prolong the owner's leases."""
        await self._write(
            lambda connection: changes.renew(
                connection, owner, lease_until=self.database.now(connection) + ttl
            )
        )

    async def release(self, operation: Operation, *, delay: float) -> None:
        """Let go of an operation."""
        await self._write(
            lambda connection: changes.release(
                connection, operation, lease_until=self.database.now(connection) + delay
            )
        )

    async def close(self) -> None:
        """Close the database's connections; no call may be under way."""
        await self._run(self.database.close)

    async def _read(self, query: Query[T]) -> T:
        return await self._attempt(self._run(lambda: self.database.read(query)))

    async def _write(self, query: Query[T]) -> T:
        deadline = self.database.seconds() + PATIENCE
        return await self._attempt(
            self._writing.run(self._run, lambda: self.database.write(query, deadline=deadline))
        )

    async def _attempt(self, outcome: Deferred[T]) -> T:
        try:
            return await outcome
        except Unavailable as error:
            self._log.warn("{description} ({cause})", description=error.description, cause=error.__cause__)
            raise
