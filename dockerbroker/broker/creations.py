"""Creations that are not written down yet, so that a deletion that comes meanwhile can halt them as well."""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from dockerbroker.errors import OperationFailed


@define(eq=False)
class Creation:
    """A host is being looked for, or the intent is being written."""

    is_halted: bool = False

    def check(self) -> None:
        """Raise `OperationFailed` when a deletion was answered meanwhile."""
        if self.is_halted:
            raise OperationFailed("The service instance was deleted before it was made; nothing was made.")


@define(eq=False)
class Creations:
    """What this broker is about to make: to a deletion it does not exist, and it must not exist later."""

    _under_way: dict[str, list[Creation]] = field(factory=dict, init=False)

    @contextmanager
    def of(self, instance_id: str) -> Iterator[Creation]:
        """Be about to make the instance."""
        creation = Creation()
        self._under_way.setdefault(instance_id, []).append(creation)
        try:
            yield creation
        finally:
            self._under_way[instance_id].remove(creation)
            if not self._under_way[instance_id]:
                del self._under_way[instance_id]

    def halt(self, instance_id: str) -> None:
        """Let nothing come of what is about to be made under that id."""
        for creation in self._under_way.get(instance_id, ()):
            creation.is_halted = True
