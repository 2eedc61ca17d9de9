"""The part of the persister on Redis that keeps the catalog."""

from collections.abc import Iterable, Sequence
from typing import Any

from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, AuditEntry, Origin
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.persisters import refusals
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.redis import operations
from dockerbroker.persisters.redis.database import RedisDatabase


class RedisCatalog(RedisDatabase):
    """Keeps image definitions; whoever changes one says which number the catalog had when it was read."""

    __slots__ = ()

    async def images(self) -> list[ImageDefinition]:
        """Return the catalog, in the order of the names."""
        found, _, _ = await self._ask("images")
        return [self.sealed.read_image(row) for row in found]

    async def seed_images(self, definitions: Iterable[ImageDefinition]) -> bool:
        """Fill the catalog the first time."""
        seeds = list(definitions)
        word, *_ = await self._put_images(seeds, auditing.catalog_seeded(seeds), seeding=True)
        return str(word) == "done"

    async def put_image(
        self,
        definition: ImageDefinition,
        *,
        only: Only[ImageDefinition] | None = None,
        origin: Origin = ITSELF,
    ) -> bool:
        """Add or replace a definition."""
        told = auditing.image_put(definition, origin)
        _, added = await self._put_images([definition], told, seeding=None, only=only)
        return bool(added == "1")

    async def delete_image(
        self, name: str, *, only: Only[ImageDefinition] | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove a definition."""
        answer, told = [operations.MOVED], self._told(auditing.image_deleted(name, origin))
        while answer == [operations.MOVED]:
            catalog = None if only is None else await self._catalog_with(only, name)
            answer = await self._call("delete_image", name=name, catalog=catalog, audit=told)
        match answer:
            case ["unknown"]:
                raise refusals.image_unknown(name)
            case ["used"]:
                raise refusals.image_used(name)

    async def _catalog_with(self, only: Only[ImageDefinition], name: str) -> str:
        """Return the number of the catalog; raises `PreconditionFailed` when it has another image there."""
        found, catalog, _ = await self._ask("images")
        for image in map(self.sealed.read_image, found):
            if image.name == name:
                refusals.require(only.stored == image, f"The image {name!r}")
        return str(catalog)

    async def _put_images(
        self,
        definitions: Sequence[ImageDefinition],
        told: AuditEntry,
        *,
        seeding: bool | None,
        only: Only[ImageDefinition] | None = None,
    ) -> list[Any]:
        """Write definitions that have room beside each other and those that are there."""
        while True:
            found, catalog, seeded = await self._ask("images")
            if seeding and seeded == "1":
                return ["seeded"]
            catalog_now = {image.name: image for image in map(self.sealed.read_image, found)}
            for definition in definitions:
                if only is not None:
                    same = only.stored == catalog_now.get(definition.name)
                    refusals.require(same, f"The image {definition.name!r}")
                for other in catalog_now.values():
                    other.require_room_for(definition)
                catalog_now[definition.name] = definition
            sealed = await self._current()
            images = [sealed.image_row(definition) for definition in definitions]
            answer = await self._call(
                "put_images", rows=images, catalog=catalog, seeding=seeding, audit=self._told(told)
            )
            if answer != [operations.MOVED]:
                return answer
