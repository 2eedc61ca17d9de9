"""Administers the catalog while the broker runs."""

from typing import ClassVar

from attrs import define
from twisted.logger import Logger

from dockerbroker.errors import InvalidRequest, NotFound
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.catalog_rules import complaints
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Administration:
    """Reads and changes the image definitions of the one catalog, `catalog_name`."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    catalog_name: str

    async def check_catalog(self) -> list[str]:
        """Log a warning for each of Cloud Controller's rules that the stored catalog breaks; returns them.

        It is called when the broker starts: what was stored by an earlier version, or by another program,
        was not checked by this one.
        """
        found = complaints(await self.persister.images())
        for complaint in found:
            self._log.warn("Cloud Foundry will refuse the catalog: {complaint}", complaint=complaint)
        return found

    async def images(self, catalog_name: str) -> list[ImageDefinition]:
        """Return the definitions in the order of their names; raises `NotFound` for another catalog."""
        self._check(catalog_name)
        return sorted(await self.persister.images(), key=lambda definition: definition.name)

    async def image(self, catalog_name: str, name: str) -> ImageDefinition:
        """Return a definition; raises `NotFound`."""
        for definition in await self.images(catalog_name):
            if definition.name == name:
                return definition
        raise NotFound(f"The catalog {catalog_name!r} has no image {name!r}.")

    async def put_image(self, catalog_name: str, definition: ImageDefinition) -> bool:
        """Add or replace a definition; returns whether it is new.

        Raises `InvalidRequest` with everything for which Cloud Controller would refuse it, and `Conflict`
        when one of its ids is that of another image. Existing instances keep the definition that they were
        made with.
        """
        self._check(catalog_name)
        if found := complaints([definition]):
            raise InvalidRequest(" ".join(found))
        return await self.persister.put_image(definition)

    async def delete_image(self, catalog_name: str, name: str) -> None:
        """Remove a definition; raises `NotFound`, and `Conflict` while instances of it exist."""
        self._check(catalog_name)
        await self.persister.delete_image(name)

    def _check(self, catalog_name: str) -> None:
        if catalog_name != self.catalog_name:
            raise NotFound(f"There is no catalog {catalog_name!r}.")
