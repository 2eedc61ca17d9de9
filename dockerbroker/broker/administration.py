"""Administers the catalog while the broker runs."""

from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

from attrs import define, frozen
from twisted.logger import Logger

from dockerbroker.errors import InvalidRequest, NotFound, PreconditionFailed, Unavailable
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.catalog_rules import complaints
from dockerbroker.model.concealing import has_marks, revealed
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.interfaces import IPersister

#: How often a change is decided on anew when others make theirs in between.
_MOST_TRIES: Final = 5

#: Raises why a change is not wanted of what is stored, None for nothing.
Check = Callable[[ImageDefinition | None], object]


@frozen
class StoredImage:
    """A definition as it is stored now, and whether there was none of its name."""

    definition: ImageDefinition
    is_new: bool


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

    async def put_image(
        self,
        catalog_name: str,
        definition: ImageDefinition,
        check: Check | None = None,
        origin: Origin = ITSELF,
    ) -> StoredImage:
        """Add or replace a definition; what is marked as concealed in it stays as it is stored.

        Raises `InvalidRequest` with everything for which Cloud Controller would refuse it, `Conflict` when
        one of its ids is that of another image, and what `check` raises of the definition that is stored.
        Existing instances keep the definition that they were made with.
        """
        self._check(catalog_name)
        if found := complaints([definition]):
            raise InvalidRequest(" ".join(found))
        if check is None and not has_marks(definition):
            is_new = await self.persister.put_image(definition, origin=origin)
            return StoredImage(definition, is_new=is_new)
        for _ in range(_MOST_TRIES):
            stored = await self._stored(definition.name)
            if check is not None:
                check(stored)
            whole = revealed(definition, stored)
            with suppress(PreconditionFailed):
                is_new = await self.persister.put_image(whole, only=Only(stored), origin=origin)
                return StoredImage(whole, is_new=is_new)
        raise Unavailable("Others change the image all the time; try again later.")

    async def delete_image(
        self, catalog_name: str, name: str, check: Check | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove a definition; raises `NotFound`, `Conflict` while instances of it exist, and as `check`."""
        self._check(catalog_name)
        if check is None:
            await self.persister.delete_image(name, origin=origin)
            return
        for _ in range(_MOST_TRIES):
            stored = await self._stored(name)
            check(stored)
            with suppress(PreconditionFailed):
                await self.persister.delete_image(name, only=Only(stored), origin=origin)
                return
        raise Unavailable("Others change the image all the time; try again later.")

    async def _stored(self, name: str) -> ImageDefinition | None:
        return next((image for image in await self.persister.images() if image.name == name), None)

    async def secret_of_tags(self) -> str:
        """Return what no client knows, and every broker on this database."""
        return await self.persister.cluster_id()

    def _check(self, catalog_name: str) -> None:
        if catalog_name != self.catalog_name:
            raise NotFound(f"There is no catalog {catalog_name!r}.")
