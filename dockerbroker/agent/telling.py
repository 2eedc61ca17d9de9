"""What the next ping says, whichever broker it goes to."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import define, evolve, field, frozen

from dockerbroker.model.hosts import LEAST_ASKED, MOST_ASKED, DockerHost
from dockerbroker.model.pings import encode_ping
from dockerbroker.model.vitals import Ping, Vitals
from dockerbroker.wire import encode


def asked_interval(answer: dict[str, Any], own: float) -> float | None:
    """Return the interval for which an answer asks, within bounds; None when it asks for none.

    The agent's own interval is never out of bounds.
    """
    asked = answer.get("KeepAlive")
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not asked > 0:
        return None
    return max(min(own, LEAST_ASKED), min(float(asked), max(own, MOST_ASKED)))


@frozen
class Told:
    """A ping as it is sent: its number, the interval that it names, and its body."""

    sequence: int
    interval: float
    body: bytes


@define(eq=False, kw_only=True)
class Teller:
    """Numbers the pings of one run of the agent, and knows at which interval they are due.

    `session` is another one at every start of the agent. `vitals` returns how the host is now, `now` the time
    of day for a ping's `LastPing`.

    Brokers on one database hear each other's pings, so the interval is the shortest one for which any of them
    asks. It changes with the ping that names it: the broker waits as long as the last ping said.
    """

    host: DockerHost
    session: str
    vitals: Callable[[], Vitals]
    now: Callable[[], datetime]
    _sequence: int = field(default=0, init=False)
    _asked: dict[str, float] = field(factory=dict, init=False)

    @property
    def keep_alive(self) -> float:
        """The seconds within which the next ping follows."""
        return min(self._asked.values(), default=self.host.keep_alive)

    def next_ping(self) -> Told:
        """Return the next ping."""
        self._sequence += 1
        own, interval = self.host.keep_alive, self.keep_alive
        ping = Ping(
            host=evolve(self.host, keep_alive=interval),
            vitals=evolve(self.vitals(), session=self.session, sequence=self._sequence),
            own_keep_alive=None if interval == own else own,
        )
        return Told(self._sequence, interval, encode(encode_ping(ping, self.now().isoformat())))

    def is_last(self, told: Told) -> bool:
        """Whether no ping was made after this one."""
        return told.sequence == self._sequence

    def heed(self, broker: str, answer: dict[str, Any]) -> None:
        """Keep to the interval for which the broker asks."""
        interval = asked_interval(answer, self.host.keep_alive)
        if interval is None:
            self.forget(broker)
        else:
            self._asked[broker] = interval

    def forget(self, broker: str) -> None:
        """Heed no more what that broker has asked for."""
        self._asked.pop(broker, None)
