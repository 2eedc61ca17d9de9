"""How long things may take."""

from attrs import frozen

#: How long a lease lasts without being renewed, in seconds.
LEASE = 15.0
#: How much sooner than the platform stops polling an operation ends, in seconds; at most half of the time.
_BEFORE_POLLING_ENDS = 60.0


@frozen(kw_only=True)
class Limits:
    """How long things may take, in seconds.

    `request` is when a request is answered at the latest (Cloud Controller gives up at 60), `place` how much
    of that finding a host may take, and `forward` when what is not done by then is undone, so that the
    undoing, too, fits into the request.

    A request that allows its answer to come later waits for `answer` only, and what it asks for has
    `asynchronous` to be done. The move of an instance to another host, for which nobody waits, has `move`:
    volumes may be large.
    """

    ready_within: float = 30.0
    execute_within: float = 30.0
    place: float = 6.0
    forward: float = 36.0
    request: float = 44.0
    answer: float = 10.0
    asynchronous: float = 600.0
    move: float = 86400.0

    @property
    def undoing(self) -> float:
        """How much of a request is kept for undoing what has not gone forward in time."""
        return self.request - self.forward

    def polled(self, maximum_polling_duration: int | None) -> float:
        """Return how long an operation may go forward whose platform polls for so long at most."""
        if maximum_polling_duration is None:
            return self.asynchronous
        before = min(_BEFORE_POLLING_ENDS, maximum_polling_duration / 2)
        return min(self.asynchronous, maximum_polling_duration - before)
