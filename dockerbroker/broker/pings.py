"""Pings of agents, which are stored together when many come at once."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from dockerbroker.errors import Conflict, Forbidden, TooManyRequests, Unavailable
from dockerbroker.model import auditing
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.liveness import NO_ROOM, OLD_SESSION, OTHER_ENGINE, TOO_MANY_OF_ONE
from dockerbroker.model.registrations import USUAL, HostLimits, Reconfigurations, Registrations
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters.interfaces import IPersister

#: How many pings are stored together at most, so that none waits long and no transaction is large.
MOST = 250
#: Seconds from the beginning of a write to that of the next one: each takes time however few pings it has.
PACE: Final = 0.05
#: Of how many sessions that were refused it is remembered that the log was told.
_MOST_REFUSED: Final = 1000
#: So many pings that agents must not send are written down within so many seconds: an agent that is taken
#: over could fill the database otherwise, with a new name each time.
MOST_WRITTEN: Final = 20
WRITTEN_WITHIN: Final = 60.0

#: What an agent is told whose ping is refused.
REFUSALS: Final = {
    OLD_SESSION: (
        "A newer ping of the Docker host {host} was heard, or another agent runs for the same host: only one "
        "may have this servicehost, dockerhost and dockerport."
    ),
    OTHER_ENGINE: (
        "The Docker host {host} had another Docker Engine before. If it was set up anew, let an "
        "administrator forget the host; otherwise two hosts have the same servicehost, dockerhost and "
        "dockerport."
    ),
}
#: What an agent is told whose host is not known yet, when there are too many.
FULL: Final = {
    NO_ROOM: (
        "The broker knows as many Docker hosts as it may (mosthosts): the Docker host {host} is not added "
        "until the operator has others forgotten with 'dockerbroker hosts forget'."
    ),
    TOO_MANY_OF_ONE: (
        "The agents of the Docker host {host} have made as many Docker addresses known as they may: another "
        "one is not added until the operator has others forgotten with 'dockerbroker hosts forget'."
    ),
}


@frozen
class _Waiting:
    ping: Ping
    stored: Deferred[None]


@define(eq=False)
class Pings:
    """Stores pings: those that come while others are being stored go together, in one write.

    Between the beginnings of two writes there are `pace` seconds, unless there is more to write than one may
    take: so a ping that comes alone is written at once, and where many come a write is of many. Of several
    pings of one session the last one is stored. When a write fails, so do the pings that have come
    meanwhile: an agent is to hear within seconds that the database is away, and tries another broker.
    `heard` is told of each that is stored.
    """

    _log: ClassVar[Logger] = Logger()

    _persister: IPersister
    _clock: IReactorTime
    _heard: Callable[[Ping], object] = lambda _ping: None
    _pace: float = PACE
    _limits: HostLimits = USUAL
    _not_before: float = field(default=0.0, init=False)
    _waiting: list[_Waiting] = field(factory=list, init=False)
    _is_writing: bool = field(default=False, init=False)
    _newest: Deferred[None] | None = field(default=None, init=False)
    _registrations: Registrations = field(factory=Registrations, init=False)
    _reconfigurations: Reconfigurations = field(factory=Reconfigurations, init=False)
    _refused: set[tuple[str, str | None, str]] = field(factory=set, init=False)
    _written: list[float] = field(factory=list, init=False)

    def record(self, ping: Ping) -> Deferred[None]:
        """Return a Deferred that fires when this ping is stored, or a later one; it fails as the write does.

        It fails with `Conflict` when the ping is refused, with `Forbidden` when it is of one host too many,
        and with `TooManyRequests` when agents of the host start, or change its settings, too often.
        """
        waiting = _Waiting(ping, Deferred())
        if wait := self._wait(ping):
            text = "Agents of this Docker host start or change it too often; try again later."
            waiting.stored.errback(TooManyRequests(text, retry_after=math.ceil(wait)))
            return waiting.stored
        self._waiting.append(waiting)
        self._newest = waiting.stored
        if not self._is_writing:
            Deferred.fromCoroutine(self._write())
        return waiting.stored

    async def refuse(self, ping: Ping, why: str) -> None:
        """Write down that an agent must not say that of a host; not again, as long as it goes on.

        Nor is one of too many written down.
        """
        host, agent = ping.host.key.service_host, ping.origin
        refusal = (host, agent.name, f"{agent.peer} {why}")
        if not self._has_room() or not self._is_news(refusal):
            return
        at = self._clock.seconds()
        self._written.append(at)
        self._log.warn(
            "a ping of the agent {agent!r} at {peer} for the host {host!r} is refused: {why}",
            agent=agent.name,
            peer=agent.peer,
            host=host,
            why=why,
        )
        try:
            await self._persister.write_audit(auditing.ping_refused(ping, why))
        except Unavailable:
            # It is written down with a later ping; until then it takes no room.
            self._refused.discard(refusal)
            if at in self._written:
                self._written.remove(at)

    def _has_room(self) -> bool:
        """Return whether one more may be written down now."""
        since = self._clock.seconds() - WRITTEN_WITHIN
        self._written = [at for at in self._written if at > since]
        return len(self._written) < MOST_WRITTEN

    def _is_news(self, refusal: tuple[str, str | None, str]) -> bool:
        """Return whether a refusal was not told yet; such an agent goes on pinging."""
        if refusal in self._refused:
            return False
        if len(self._refused) >= _MOST_REFUSED:
            self._refused.clear()
        self._refused.add(refusal)
        return True

    def _wait(self, ping: Ping) -> float:
        """Return for how many seconds a host must not register again, or not be changed.

        An agent of the original never registers again.
        """
        now, session = self._clock.seconds(), ping.vitals.session
        if session and (wait := self._registrations.wait(ping.host.key.service_host, session, now)):
            return wait
        return self._reconfigurations.wait(ping.host, now)

    async def settled(self) -> None:
        """Return when the pings that have come by now are stored or refused, or could not be stored."""
        if self._newest is None or self._newest.called:
            return
        settled: Deferred[None] = Deferred()

        def settle(result: Any) -> Any:
            settled.callback(None)
            return result

        self._newest.addBoth(settle)
        await settled

    async def _write(self) -> None:
        """Store what waits until nothing does."""
        self._is_writing = True
        while self._waiting:
            pause = self._not_before - self._clock.seconds()
            if pause > 0 and len(self._waiting) < MOST:
                await deferLater(self._clock, pause)
            self._not_before = self._clock.seconds() + self._pace
            group = self._next_group()
            newest = _newest(group)
            try:
                refused = await self._persister.record_pings(newest.values(), self._limits)
            except Exception:  # noqa: BLE001 (it belongs to whoever waits)
                self._fail(group, Failure())
            else:
                for one in group:
                    self._answer(one, refused.get(one.ping.host.key))
        self._is_writing = False

    def _next_group(self) -> list[_Waiting]:
        """Take those that are stored together; of two sessions of one host each is judged by itself."""
        group: list[_Waiting] = []
        later: list[_Waiting] = []
        sessions: dict[object, str | None] = {}
        for one in self._waiting[:MOST]:
            session = one.ping.vitals.session
            is_same = sessions.setdefault(one.ping.host.key, session) == session
            (group if is_same else later).append(one)
        self._waiting = later + self._waiting[MOST:]
        return group

    def _answer(self, one: _Waiting, refusal: str | None) -> None:
        if refusal is None:
            self._heard(one.ping)
            one.stored.callback(None)
            return
        host = one.ping.host.key.service_host
        if refusal in FULL:
            description = FULL[refusal].format(host=host)
            # Whoever makes up hosts has a new name for each; who looks at the log needs one.
            if self._is_news(("" if refusal == NO_ROOM else host, None, refusal)):
                self._log.warn("a ping is refused: {why}", why=description)
            one.stored.errback(Forbidden(description))
            return
        description = REFUSALS[refusal].format(host=host)
        if self._is_news((host, one.ping.vitals.session, refusal)):
            self._log.warn("a ping of {host} is refused: {why}", host=host, why=description)
        one.stored.errback(Conflict(description))

    def _fail(self, group: list[_Waiting], failure: Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for one in group + waiting:
            one.stored.errback(failure)


def _newest(group: Sequence[_Waiting]) -> dict[HostKey, Ping]:
    """Return the last ping of each host: they may overtake each other on their way."""
    newest = {one.ping.host.key: one.ping for one in group}
    if len(newest) < len(group):
        in_order = sorted(group, key=lambda one: one.ping.vitals.sequence or 0)
        newest = {one.ping.host.key: one.ping for one in in_order}
    return newest
