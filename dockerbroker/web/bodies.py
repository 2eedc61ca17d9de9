"""The bodies of those who are not let in yet: how large and how slow each may be, and how much all may be."""

from typing import Final, Protocol

from attrs import define, field

from dockerbroker.errors import BrokerError, TooLarge, Unavailable
from dockerbroker.web.apis import Api
from dockerbroker.web.framing import check_length

#: Seconds after which it is looked how much of a body has come, again and again.
WINDOW: Final = 10.0
#: How much must have come in that time, in bytes: 1 KiB in a second.
LEAST_IN_WINDOW: Final = 10 * 1024
#: In how many chunks a body may come: each costs time, in which nobody else is served.
MOST_CHUNKS: Final = 16 * 1024
#: How much is kept in memory, in bytes, of all bodies that arrive, or whose senders are not let in yet.
LARGEST_SUM: Final = 64 * 1024 * 1024


class Reader(Protocol):
    """Who reads a body."""

    def refuse(self, error: BrokerError) -> None:
        """Answer with the error, and read no further."""


@define(eq=False)
class Body:
    """A body of which `size` bytes have arrived."""

    bodies: "Bodies"
    reader: Reader
    api: Api
    size: int = field(default=0, init=False)
    _pieces: int = field(default=0, init=False)
    _before: int = field(default=0, init=False)

    def grow(self, size: int, *, in_chunks: bool) -> None:
        """Count what has arrived; raises `TooLarge` when that is too much, or in too many pieces."""
        self._pieces += 1
        if in_chunks and self._pieces > MOST_CHUNKS:
            raise TooLarge(f"The body comes in more than {MOST_CHUNKS} chunks.")
        check_length(self.api, self.size + size)
        self.size += size
        self.bodies.grown(size)

    def is_fast_enough(self) -> bool:
        """Return whether enough has come since this was asked last."""
        came, self._before = self.size - self._before, self.size
        return came >= LEAST_IN_WINDOW

    def end(self) -> None:
        """Count the body no more."""
        self.bodies.ended(self)


@define(eq=False)
class Bodies:
    """Bodies whose senders are not let in yet; when they are too much together, the largest is refused."""

    _arriving: set[Body] = field(factory=set, init=False)
    _sum: int = field(default=0, init=False)

    def begin(self, reader: Reader, api: Api) -> Body:
        """Return a body of which nothing has arrived."""
        body = Body(self, reader, api)
        self._arriving.add(body)
        return body

    def grown(self, size: int) -> None:
        """Count what has arrived of any of them."""
        self._sum += size
        if self._sum > LARGEST_SUM:
            largest = max(self._arriving, key=lambda body: body.size)
            largest.reader.refuse(
                Unavailable("The broker is reading too many large bodies; try again later.")
            )

    def ended(self, body: Body) -> None:
        """Count a body no more; it may have ended already."""
        if body in self._arriving:
            self._arriving.remove(body)
            self._sum -= body.size
