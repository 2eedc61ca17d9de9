"""The part of the persister on a SQL database that keeps the catalog."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from sqlalchemy import Connection

from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, AuditEntry, Origin
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.persisters import queries
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.databases import Query
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.sql_audit import note

T = TypeVar("T")


class SqlCatalog:
    """Keeps image definitions."""

    __slots__ = ()

    sealed: SealedRecords
    wall: Callable[[], float]

    async def images(self) -> list[ImageDefinition]:
        """Return the catalog, in the order of the names."""
        return await self._read(lambda connection: queries.find_images(connection, self.sealed))

    async def seed_images(self, definitions: Iterable[ImageDefinition]) -> bool:
        """Fill the catalog the first time."""
        seeds = list(definitions)
        told = auditing.catalog_seeded(seeds)

        def seed(connection: Connection) -> bool:
            is_seeded = queries.seed_images(connection, self.sealed, seeds)
            if is_seeded:
                note(connection, told, self.wall())
            return is_seeded

        return await self._write(seed)

    async def put_image(
        self,
        definition: ImageDefinition,
        *,
        only: Only[ImageDefinition] | None = None,
        origin: Origin = ITSELF,
    ) -> bool:
        """Add or replace a definition."""

        def done(connection: Connection) -> bool | None:
            is_there = (
                only is not None
                and queries.find_image(connection, self.sealed, definition.name) == definition
            )
            return (only is not None and only.stored is None) if is_there else None

        told = auditing.image_put(definition, origin)
        return await self._change(
            told, lambda connection: queries.put_image(connection, self.sealed, definition, only), done=done
        )

    async def delete_image(
        self, name: str, *, only: Only[ImageDefinition] | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove a definition."""

        def delete(connection: Connection) -> bool:
            queries.delete_image(connection, self.sealed, name, only)
            return True

        await self._change(
            auditing.image_deleted(name, origin),
            delete,
            done=lambda connection: not queries.has_image(connection, name) or None,
        )

    async def _change(self, entry: AuditEntry, query: Query[T], *, done: Query[T | None] | None = None) -> T:
        raise NotImplementedError

    async def _read(self, query: Query[T]) -> T:
        raise NotImplementedError

    async def _write(
        self, query: Query[T], *, done: Query[T | None] | None = None, is_told: bool = True
    ) -> T:
        raise NotImplementedError
