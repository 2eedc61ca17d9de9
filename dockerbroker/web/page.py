"""The catalog as bytes, so that answering with it costs next to nothing."""

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from dockerbroker import wire
from dockerbroker.broker.service import ServiceBroker

#: For how long the bytes are good, in seconds: so late a change by another broker is seen.
FRESH = 1.0


@define(eq=False)
class CatalogPage:
    """Keeps the body of GET /v2/catalog; a change made through this broker is in it at once."""

    broker: ServiceBroker
    clock: IReactorTime
    _body: bytes | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)
    _changes: int = field(default=0, init=False)

    def fresh(self) -> bytes | None:
        """Return the body, or None when it must be read."""
        return self._body if self.clock.seconds() < self._until else None

    async def read(self) -> bytes:
        """Return the body as the database has it."""
        changes = self._changes
        body = wire.encode(await self.broker.catalog())
        if changes == self._changes:
            # What was read while the catalog changed may be of before the change.
            self._body, self._until = body, self.clock.seconds() + FRESH
        return body

    def changed(self) -> None:
        """Forget the body."""
        self._changes += 1
        self._body = None
        self._until = 0.0
