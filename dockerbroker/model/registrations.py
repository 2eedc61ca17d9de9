"""How often agents of one host may start."""

from collections import OrderedDict
from typing import Final

from attrs import define, field

#: So many starts of agents of one host are taken within so many seconds.
MOST: Final = 3
WITHIN: Final = 8.0
#: Of so many hosts starts are remembered; those whose agents have started last.
MOST_HOSTS: Final = 10_000


@define(eq=False)
class Registrations:
    """Remembers by their sessions which agents of a host have started, and when."""

    _starts: OrderedDict[str, dict[str, float]] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """Return of how many hosts starts are remembered."""
        return len(self._starts)

    def wait(self, host: str, session: str, now: float) -> float:
        """Take note of a start, and return 0; or return for how many seconds no more are taken of that host.

        A session that is known, though another one has started since, is none.
        """
        starts = self._starts.get(host, {})
        if session in starts:
            return 0.0
        recent = [at for at in starts.values() if at > now - WITHIN]
        if len(recent) >= MOST:
            return recent[-MOST] + WITHIN - now
        kept = list(starts.items())[-MOST:]
        self._starts[host] = {**dict(kept), session: now}
        self._starts.move_to_end(host)
        while len(self._starts) > MOST_HOSTS:
            self._starts.popitem(last=False)
        return 0.0
