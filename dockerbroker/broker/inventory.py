"""What administrators read of service instances and bindings: in parts, whose cost has a bound."""

from attrs import define, frozen

from dockerbroker.errors import NotFound, Unreadable
from dockerbroker.model.instances import ServiceBinding, ServiceInstance
from dockerbroker.model.listings import MOST, InstanceFilter, Part, Unread
from dockerbroker.persisters.interfaces import IPersister


@frozen
class KnownInstance:
    """An instance, and how it is not as it should be, if it is not."""

    instance: ServiceInstance
    condition: str | None


@define(eq=False)
class Inventory:
    """Lists instances and bindings.

    A part of a list holds at most as many as are asked for, and may hold fewer, even none, although there are
    more: at most `MOST` records are looked at for it.
    """

    persister: IPersister

    async def instances(
        self, wanted: InstanceFilter, *, after: str, limit: int
    ) -> Part[ServiceInstance | Unread]:
        """Return wanted instances whose ids come after that one, in the order of the ids' bytes."""
        most = limit if wanted == InstanceFilter() else MOST
        looked_at = await self._some(after, most)
        found: list[ServiceInstance | Unread] = []
        for one in looked_at:
            if wanted.admits(one):
                found.append(one)
            if len(found) == limit:
                return Part(tuple(found), one.id)
        return Part(tuple(found), looked_at[-1].id if len(looked_at) == most else None)

    async def _some(self, after: str, most: int) -> list[ServiceInstance | Unread]:
        found: list[ServiceInstance | Unread] = []
        while len(found) < most:
            rows: list[ServiceInstance | Unread] = []
            try:
                rows += await self.persister.instances(found[-1].id if found else after, most - len(found))
            except Unreadable as error:
                if not error.id:
                    raise
                rows.append(Unread(error.id))
            if not rows:
                break
            found += rows
        return found

    async def instance(self, instance_id: str) -> KnownInstance:
        """Return one instance; raises `NotFound`."""
        instance = await self.persister.instance(instance_id)
        if instance is None:
            raise NotFound(f"There is no service instance {instance_id!r}.")
        return KnownInstance(instance, (await self.persister.conditions()).get(instance_id))

    async def bindings(self, instance_id: str, *, after: str, limit: int) -> Part[ServiceBinding]:
        """Return bindings of an instance, in the order of their ids' bytes; raises `NotFound`."""
        found = await self.persister.bindings(instance_id, after=after, limit=limit)
        if not found and await self.persister.instance(instance_id) is None:
            raise NotFound(f"There is no service instance {instance_id!r}.")
        return Part(tuple(found), found[-1].id if len(found) == limit else None)

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding:
        """Return one binding; raises `NotFound`."""
        found = await self.persister.binding(instance_id, binding_id)
        if found is None:
            raise NotFound(f"The service instance {instance_id!r} has no binding {binding_id!r}.")
        return found
