"""The part of the persister on Redis that lists what belongs to something else."""

from typing import Any

from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Operation, ServiceBinding
from dockerbroker.persisters.redis import operations, rows
from dockerbroker.persisters.redis.database import RedisDatabase
from dockerbroker.persisters.redis.rows import unpacked


class RedisListings(RedisDatabase):
    """Lists bindings, operations and ports."""

    __slots__ = ()

    async def bindings(
        self, instance_id: str, *, after: str = "", limit: int | None = None
    ) -> list[ServiceBinding]:
        """Return the instance's bindings, in the order of the ids."""
        [found] = await self._ask("bindings", id=instance_id, after=after, limit=limit)
        return [self.sealed.read_binding(unpacked(row)) for row in found]

    async def last_operation(self, instance_id: str, binding_id: str | None = None) -> Operation | None:
        """Return the last operation on the instance itself, or on the one binding."""
        found = await self.operations_on(instance_id, binding_id, limit=1)
        return found[0] if found else None

    async def operations(self, *, unfinished: bool, limit: int, before: str | None = None) -> list[Operation]:
        """Return operations, those begun last first."""
        return await self._operations(limit, unfinished=unfinished or None, before=before)

    async def operations_on(
        self, instance_id: str, binding_id: str | None = None, *, limit: int, before: str | None = None
    ) -> list[Operation]:
        """Return operations on the instance itself, or on the one binding."""
        return await self._operations(limit, id=instance_id, binding=binding_id, before=before)

    async def port_leases(self, host: HostKey, *, after: int, limit: int) -> dict[int, str]:
        """Return leased ports of the host, and whose they are."""
        [found] = await self._ask("leased", id=rows.host_id(host))
        ports = sorted((int(port), str(holder)) for port, holder in dict(found).items())
        return dict([one for one in ports if one[0] > after][:limit])

    async def _operations(self, limit: int, **asked: Any) -> list[Operation]:
        if limit < 1:
            return []
        [found] = await self._ask("operations", limit=limit, **asked)
        return [operations.read(row) for row in found]
