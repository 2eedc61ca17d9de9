"""How often agents of one host may start or change it, and how many hosts they may make known."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any, Final

from attrs import define, field, frozen

from dockerbroker.model.hosts import SETTINGS, DockerHost, HostKey
from dockerbroker.model.liveness import NO_ROOM, TOO_MANY_OF_ONE
from dockerbroker.model.vitals import Ping

#: So many starts of agents of one host are taken within so many seconds.
MOST: Final = 3
WITHIN: Final = 8.0
#: So many changes of the settings of a host are taken within so many seconds.
MOST_CHANGES: Final = 5
CHANGES_WITHIN: Final = 60.0
#: Of so many hosts starts and settings are remembered; those whose agents have started or pinged last.
MOST_HOSTS: Final = 10_000
#: So many hosts a deployment knows unless its operator says otherwise.
DEFAULT_IN_ALL: Final = 10_000
#: So many hosts an agent makes known that speaks for one `ServiceHost` alone: one machine may have several
#: Docker Engines, each with its port.
DEFAULT_OF_ONE: Final = 16


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


@define(eq=False)
class Reconfigurations:
    """Remembers how hosts are set, and when that was changed: each change is a record of the audit log."""

    _known: OrderedDict[HostKey, tuple[tuple[Any, ...], list[float]]] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """Return of how many hosts the settings are remembered."""
        return len(self._known)

    def wait(self, host: DockerHost, now: float) -> float:
        """Take note of the settings, and return 0; or return for how many seconds no others are taken.

        Those that were taken last are taken at any time.
        """
        settings = tuple(getattr(host, name) for name in SETTINGS)
        known, changes = self._known.get(host.key, (settings, []))
        if settings != known:
            changes = [at for at in changes if at > now - CHANGES_WITHIN]
            if len(changes) >= MOST_CHANGES:
                return changes[0] + CHANGES_WITHIN - now
            changes = [*changes, now]
        self._known[host.key] = settings, changes
        self._known.move_to_end(host.key)
        while len(self._known) > MOST_HOSTS:
            self._known.popitem(last=False)
        return 0.0


@frozen(kw_only=True)
class HostLimits:
    """How many hosts pings may make known: in all, and for the `ServiceHost` of an agent that has one."""

    in_all: int = DEFAULT_IN_ALL
    of_one: int = DEFAULT_OF_ONE


USUAL: Final = HostLimits()


@define(eq=False)
class Room:
    """The room for further hosts in a database that knows so many `in_all`.

    `names` are the `ServiceHost`s of those that are known, at least of all that have one of a further host.
    """

    limits: HostLimits
    in_all: int
    names: Iterable[str]
    _of_one: Counter[str] = field(init=False)

    @_of_one.default
    def _counted(self) -> "Counter[str]":
        return Counter(self.names)

    def refusal(self, ping: Ping) -> str | None:
        """Return why there is no room for the host of a ping, which is not known yet, or count it."""
        name = ping.host.key.service_host
        if self.in_all >= self.limits.in_all:
            return NO_ROOM
        if ping.is_bound and self._of_one[name] >= self.limits.of_one:
            return TOO_MANY_OF_ONE
        self.in_all += 1
        self._of_one[name] += 1
        return None
