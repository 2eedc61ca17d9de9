"""How it is kept what the database knows of hosts beside what their agents tell of themselves.

Members that this version does not know are ignored; those that are absent, and columns that are null, get
their defaults.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from attrs import define, field, fields

from dockerbroker.errors import Unreadable
from dockerbroker.model import auditing
from dockerbroker.model.audit import AuditEntry
from dockerbroker.model.fleet import HostFacts
from dockerbroker.model.hosts import HostKey, HostState
from dockerbroker.model.liveness import HostRecord, Life, Sessions, heard
from dockerbroker.model.vitals import Ping, Vitals
from dockerbroker.persisters import records
from dockerbroker.persisters.documents import Row, text

_VITALS: Final = tuple(one.name for one in fields(Vitals))
_SESSIONS: Final = tuple(one.name for one in fields(Sessions))
_NO_VITALS: Final = Vitals()
_NO_SESSIONS: Final = Sessions()


def host_id(key: HostKey) -> tuple[str, str, int]:
    """Return what tells the row of a host from others."""
    return key.service_host, key.docker_host, key.docker_port


def new_row(ping: Ping) -> dict[str, Any]:
    """Return the columns of a host of which nothing is known but this ping, and that is not heard yet."""
    return {**_told(ping), **_columns(HostRecord())}


def _told(ping: Ping) -> dict[str, Any]:
    """Return the columns that an agent tells."""
    vitals = None if ping.vitals == _NO_VITALS else _document(ping.vitals, _VITALS)
    return {**records.host_row(ping.host), "vitals": vitals}


def pinged_row(before: Row | None, ping: Ping, now: float) -> tuple[dict[str, Any], str | None]:
    """Return the row of a host after a ping, and why that is refused, None if it is not."""
    known, refusal = heard(None if before is None else read_record(before), ping, now)
    if refusal is not None and before is not None:
        return {**before, **_columns(known)}, refusal
    return {**_told(ping), **_columns(known)}, refusal


def told(before: Row | None, ping: Ping) -> list[AuditEntry]:
    """Return what is told of a ping that is stored: of the first one, and of other settings than before."""
    if before is None:
        return [auditing.host_registered(ping)]
    if before["document"] == records.host_row(ping.host)["document"]:
        return []
    try:
        known = records.read_host(before)
    except Unreadable:
        return auditing.host_changed(ping, None)
    return auditing.host_changed(ping, known)


def read_record(row: Row) -> HostRecord:
    """Return what the database knows of the host of a row."""
    return HostRecord(
        pinged_at=row["pinged_at"],
        engine_id=row["engine_id"] or "",
        sessions=read_sessions(row["sessions"]),
        state=HostState(row["state"] or HostState.ALIVE),
        state_at=row["state_at"],
        is_cordoned=bool(row["is_cordoned"]),
        complaint=row["complaint"] or "",
        is_draining=bool(row["is_draining"]),
    )


def is_as_judged(row: Row, life: Life) -> bool:
    """Whether the host of a row has neither pinged nor been judged since that was known of it."""
    known = (row["state"], row["pinged_at"], row["state_at"])
    return known == (life.state.value, life.pinged_at, life.state_at)


@define(eq=False)
class KnownFacts:
    """What was read of hosts last, by their rows: reading takes long, and few of many hosts have changed."""

    _known: Mapping[Any, tuple[Any, HostFacts]] = field(factory=dict, init=False)

    def facts(self, rows: Iterable[tuple[Any, Any]], read: Callable[[Any], Row]) -> list[HostFacts]:
        """Return what is known of all hosts, of each of which there are an id and whatever tells its row.

        `read` returns the row, with the sums of what is reserved.
        """
        before, known = self._known, {}
        for one, told in rows:
            seen = before.get(one)
            known[one] = seen if seen is not None and seen[0] == told else (told, read_facts(read(told)))
        self._known = known
        return [facts for _, facts in known.values()]


def read_facts(row: Row) -> HostFacts:
    """Return what is known of the host of a row that has the sums of what is reserved there, too."""
    host = records.read_host(row)
    try:
        # Hardly ever there is anything to be read of it; a member that is None is not written.
        is_contended = row["sessions"] is not None and "contended_at" in row["sessions"]
        sessions = read_sessions(row["sessions"]) if is_contended else _NO_SESSIONS
        return HostFacts(
            host=host,
            vitals=_read_vitals(row["vitals"]),
            pinged_at=_number(row["pinged_at"]),
            state=HostState(row["state"] or HostState.ALIVE),
            state_at=_number(row["state_at"]),
            is_cordoned=bool(row["is_cordoned"]),
            is_draining=bool(row["is_draining"]),
            complaint=row["complaint"] or "",
            contended_at=sessions.contended_at,
            contended_for=sessions.contended_for,
            reserved=row["reserved_sums"],
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise _unreadable(row) from error


def _read_vitals(document: str | None) -> Vitals | None:
    if document is None:
        return None
    stored = json.loads(document)
    return Vitals(**{name: stored[name] for name in _VITALS if name in stored})


def read_sessions(document: str | None) -> Sessions:
    """Return which sessions have pinged; numbers may stand in quotes, where Lua would shorten them."""
    if document is None:
        return _NO_SESSIONS
    stored = json.loads(document)
    return Sessions(
        session=stored.get("session", ""),
        sequence=int(stored.get("sequence", 0)),
        # In Lua an empty array is an empty object.
        former=tuple(stored.get("former", ())),
        replaced_at=_number(stored.get("replaced_at")),
        contended_at=_number(stored.get("contended_at")),
        contended_for=_number(stored.get("contended_for")),
    )


def _columns(known: HostRecord) -> dict[str, Any]:
    is_empty = known.sessions == _NO_SESSIONS
    return {
        "pinged_at": known.pinged_at,
        "engine_id": known.engine_id,
        "sessions": None if is_empty else _document(known.sessions, _SESSIONS),
        "state": known.state.value,
        "state_at": known.state_at,
        "is_cordoned": known.is_cordoned,
        "complaint": known.complaint or None,
        "is_draining": known.is_draining,
    }


def _document(value: Any, names: Iterable[str]) -> str:
    members = {name: getattr(value, name) for name in names}
    return text({name: member for name, member in members.items() if member is not None})


def _number(stored: Any) -> float | None:
    return None if stored is None else float(stored)


def _unreadable(row: Row) -> Unreadable:
    return Unreadable(
        f"The record of the Docker host {row['service_host']} cannot be read; the operator must look at it."
    )
