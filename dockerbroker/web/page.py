"""The catalog as bytes, so that answering with it costs next to nothing."""

from hashlib import sha256

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from dockerbroker import wire
from dockerbroker.broker.service import ServiceBroker

#: For how long the bytes are good, in seconds: so late a change by another broker is seen.
FRESH = 1.0


@frozen
class Page:
    """The bytes of a body, and their entity tag, which is another one for any other bytes (RFC 9110)."""

    body: bytes
    tag: bytes

    @classmethod
    def of(cls, body: bytes) -> "Page":
        """Return the page of the body."""
        return cls(body, b'"%b"' % sha256(body).hexdigest()[:32].encode("ascii"))

    def is_known(self, if_none_match: bytes) -> bool:
        """Whether a header If-None-Match tells that the client has these bytes."""
        tags = {tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")}
        return self.tag in tags or if_none_match.strip() == b"*"


@define(eq=False)
class CatalogPage:
    """Keeps the body of GET /v2/catalog; a change made through this broker is in it at once."""

    broker: ServiceBroker
    clock: IReactorTime
    _page: Page | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)
    _changes: int = field(default=0, init=False)

    def fresh(self) -> Page | None:
        """Return the page, or None when it must be read."""
        return self._page if self.clock.seconds() < self._until else None

    async def read(self) -> Page:
        """Return the page as the database has it."""
        changes = self._changes
        page = Page.of(wire.encode(await self.broker.catalog()))
        if changes == self._changes:
            # What was read while the catalog changed may be of before the change.
            self._page, self._until = page, self.clock.seconds() + FRESH
        return page

    def changed(self) -> None:
        """Forget the page."""
        self._changes += 1
        self._page = None
