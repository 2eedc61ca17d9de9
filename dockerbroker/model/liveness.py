"""Who pings as a host, and which hosts are dead: decided here, and agreed on in the database.

All times are by the persister's clock, in seconds. The reasons stand in docs/decisions/0024-liveness.md.
"""

from collections.abc import Sequence
from typing import Final

from attrs import evolve, field, frozen

from dockerbroker.model.hosts import (
    INTERVALS_UNTIL_DEAD,
    INTERVALS_UNTIL_LATE,
    ROUNDING,
    HostKey,
    HostState,
)
from dockerbroker.model.vitals import Ping

#: Why a ping is refused: a newer session or a later ping was heard, or the host has another engine.
OLD_SESSION: Final = "session"
OTHER_ENGINE: Final = "engine"
#: Or the host is not known yet, and too many are: in all, or for the `ServiceHost` of its agent.
NO_ROOM: Final = "room"
TOO_MANY_OF_ONE: Final = "many"

#: How many sessions are remembered that were replaced.
MOST_FORMER: Final = 8
#: How many intervals a host that returns must ping until it is alive again.
INTERVALS_UNTIL_ALIVE: Final = 2
#: With fewer hosts nothing is held back when most of them fall silent.
LEAST_MASS: Final = 3
#: For how many more intervals it is, so that an operator or the network can mend what has cut off the broker.
INTERVALS_HELD: Final = 3


@frozen(kw_only=True)
class Sessions:
    """Which sessions of agents have pinged as one host.

    `former` are those that were replaced, the last one first. `contended_at` is when it was last seen that
    two agents live that both claim to be the host, and `contended_for` how long that holds at least.
    """

    session: str = ""
    sequence: int = 0
    former: tuple[str, ...] = ()
    replaced_at: float | None = None
    contended_at: float | None = None
    contended_for: float | None = None


@frozen(kw_only=True)
class HostRecord:
    """What the database knows of a host beside what its agent tells.

    `engine_id` is the Docker Engine that it had from the first time that one was told.
    """

    pinged_at: float | None = None
    engine_id: str = ""
    sessions: Sessions = field(factory=Sessions)
    state: HostState = HostState.ALIVE
    state_at: float | None = None
    is_cordoned: bool = False
    complaint: str = ""
    is_draining: bool = False


def heard(before: HostRecord | None, ping: Ping, now: float) -> tuple[HostRecord, str | None]:
    """Return what is known of a host after a ping, and why that is refused, None if it is not.

    A refused ping is not one that was heard; it may tell that two agents claim to be the host.
    """
    known = before or HostRecord()
    engine_id = ping.vitals.engine_id or ""
    if engine_id and known.engine_id and engine_id != known.engine_id:
        return known, OTHER_ENGINE
    is_live = _is_recent(known.pinged_at, _patience(ping), now)
    sessions, refusal = _succeeded(known.sessions, ping, now, is_live=is_live)
    known = evolve(known, sessions=sessions)
    if refusal is not None:
        return known, refusal
    if known.state is HostState.DEAD:
        known = evolve(known, state=HostState.RETURNING, state_at=now)
    return evolve(known, pinged_at=now, engine_id=engine_id or known.engine_id), None


def _succeeded(known: Sessions, ping: Ping, now: float, *, is_live: bool) -> tuple[Sessions, str | None]:
    """Return the sessions after a ping, and why it is refused; `is_live` tells of the session before."""
    session, sequence = ping.vitals.session or "", ping.vitals.sequence or 0
    if not session:
        return known, None
    if session == known.session:
        if sequence < known.sequence:
            return known, OLD_SESSION
        return evolve(known, sequence=sequence), None
    if known.session:
        if is_live and session in known.former:
            # Both are there: whichever was meant, nobody knows which Docker the address leads to.
            return evolve(known, contended_at=now, contended_for=_patience(ping)), OLD_SESSION
        if is_live and _is_recent(known.replaced_at, _patience(ping), now):
            known = evolve(known, contended_at=now, contended_for=_patience(ping))
        former = (known.session, *(one for one in known.former if one != session))
        known = evolve(known, former=former[:MOST_FORMER], replaced_at=now)
    return evolve(known, session=session, sequence=sequence), None


def is_contended(
    contended_at: float | None, keep_alive: float, now: float, contended_for: float | None = None
) -> bool:
    """Whether two agents have claimed to be the host lately, as they did then for the last time.

    The one that is refused may ping at longer intervals than the other.
    """
    return _is_recent(contended_at, max(patience(keep_alive), contended_for or 0.0), now)


def patience(keep_alive: float) -> float:
    """Return after how many seconds of silence a host is dead."""
    return INTERVALS_UNTIL_DEAD * keep_alive


def _patience(ping: Ping) -> float:
    return patience(ping.host.keep_alive)


def _is_recent(at: float | None, within: float, now: float) -> bool:
    # What is in the future was before the clock went back.
    return at is not None and -ROUNDING <= now - at <= within


@frozen(kw_only=True)
class Life:
    """What a host is judged by; `state_at` and `pinged_at` tell whether it is still as it was when judged."""

    key: HostKey
    keep_alive: float
    silence: float
    age: float
    state: HostState = HostState.ALIVE
    state_at: float | None = None
    pinged_at: float | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it was silent for so long that it is dead."""
        return self.silence >= patience(self.keep_alive)

    @property
    def is_late(self) -> bool:
        """Whether a ping of it is missing."""
        return self.silence > INTERVALS_UNTIL_LATE * self.keep_alive


@frozen(kw_only=True)
class Verdict:
    """That a host is to have another state, unless it has pinged or was judged since."""

    life: Life
    state: HostState


@frozen(kw_only=True)
class Guard:
    """That most hosts fell silent at once: until then, by the judge's own clock, none is declared dead."""

    until: float | None = None


def silenced(
    lives: Sequence[Life], guard: Guard, now: float, *, punctual: int = 0
) -> tuple[list[Verdict], Guard]:
    """Return which hosts are dead, and what holds back the next verdicts.

    When more than half of at least `LEAST_MASS` hosts fall silent it is more likely that the broker is cut
    off than that they have died. `now` is by the judge's own clock. `punctual` counts further hosts, which
    are alive and of which no ping is missing.
    """
    living = [life for life in lives if life.state is not HostState.DEAD]
    silent = [life for life in living if life.is_silent]
    count = len(living) + punctual
    is_mass = count >= LEAST_MASS and 2 * sum(life.is_late for life in living) > count
    if not is_mass:
        guard = Guard()
    elif silent and guard.until is None:
        guard = Guard(until=now + INTERVALS_HELD * max(life.keep_alive for life in silent))
    if guard.until is not None and now < guard.until:
        return [], guard
    return [Verdict(life=life, state=HostState.DEAD) for life in silent], guard
