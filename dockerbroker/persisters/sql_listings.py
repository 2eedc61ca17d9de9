"""The part of the persister on a SQL database that lists what belongs to something else."""

from typing import TypeVar

from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Operation, ServiceBinding
from dockerbroker.persisters import history, queries
from dockerbroker.persisters.databases import Query
from dockerbroker.persisters.sealed_records import SealedRecords

T = TypeVar("T")


class SqlListings:
    """Lists bindings, operations and ports."""

    __slots__ = ()

    sealed: SealedRecords

    async def bindings(
        self, instance_id: str, *, after: str = "", limit: int | None = None
    ) -> list[ServiceBinding]:
        """Return the instance's bindings, in the order of the ids."""
        return await self._read(
            lambda connection: queries.find_bindings(connection, self.sealed, instance_id, after, limit)
        )

    async def operations(self, *, unfinished: bool, limit: int, before: str | None = None) -> list[Operation]:
        """Return operations, those begun last first."""
        return await self._read(
            lambda connection: history.find_operations(
                connection, unfinished=unfinished, limit=limit, before=before
            )
        )

    async def operations_on(
        self, instance_id: str, binding_id: str | None = None, *, limit: int, before: str | None = None
    ) -> list[Operation]:
        """Return operations on the instance itself, or on the one binding."""
        return await self._read(
            lambda connection: history.find_operations_on(
                connection, instance_id, binding_id, limit=limit, before=before
            )
        )

    async def port_leases(self, host: HostKey, *, after: int, limit: int) -> dict[int, str]:
        """Return leased ports of the host, and whose they are."""
        return await self._read(lambda connection: queries.find_port_leases(connection, host, after, limit))

    async def _read(self, query: Query[T]) -> T:
        raise NotImplementedError
