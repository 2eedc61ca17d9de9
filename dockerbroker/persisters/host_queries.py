"""Hosts, their pings and their states: each function is one transaction's work on a connection."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Insert, Select, and_, bindparam, delete, func, or_, select, true, update

from dockerbroker.model.audit import AuditEntry
from dockerbroker.model.fleet import Fleet
from dockerbroker.model.hosts import LONGEST_GAP, DockerHost, HostKey, Observation, observed
from dockerbroker.model.liveness import Verdict
from dockerbroker.model.registrations import HostLimits, Room
from dockerbroker.model.reservations import Reserved
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters import holding_records, host_records, records, refusals
from dockerbroker.persisters.sql_audit import append
from dockerbroker.persisters.statements import fetch, reader, run
from dockerbroker.persisters.tables import hosts, observation, reservations

HOST_COLUMNS: Final = ("service_host", "docker_host", "docker_port")
#: What an administrator wants of a host that is to be emptied, and of one that is to be used.
_DRAINING: Final = {"is_cordoned": True, "is_draining": True}
_FREE: Final = {"is_cordoned": False, "is_draining": False}
#: By so much two readings of one time may differ, in seconds.
_SAME: Final = 0.0005


def of_host(table: Any) -> list[Any]:
    """Return what selects the rows of one host; the names of the parameters do not collide with columns."""
    return [table.c[column] == bindparam(f"the_{column}") for column in HOST_COLUMNS]


def the_host(key: HostKey) -> dict[str, Any]:
    """Return the parameters of what `of_host` selects."""
    return {f"the_{column}": value for column, value in holding_records.host_columns(key).items()}


# Statements are made once: making one costs several times as much as running it.
_IN_ORDER: Final = [hosts.c[column] for column in HOST_COLUMNS]
_HOLD_OBSERVATION: Final = select(observation.c.since, observation.c.at).with_for_update()
_CLAMP_PINGS: Final = (
    update(hosts).where(hosts.c.pinged_at > bindparam("latest")).values(pinged_at=bindparam("now"))
)
_COUNT: Final = select(func.count()).select_from(hosts)
_FIND_HOST: Final = select(hosts).where(*of_host(hosts))
_SUMS: Final = ("memory", "cpus", "ports", "instances")
_FACTS: Final = [
    *hosts.c,
    *(func.coalesce(reservations.c[name], 0).label(f"reserved_{name}") for name in _SUMS),
]
_SAME_HOST: Final = and_(*(hosts.c[column] == reservations.c[column] for column in HOST_COLUMNS))
_FIND_FACTS: Final = (
    select(*_FACTS)
    .select_from(hosts.outerjoin(reservations, _SAME_HOST).outerjoin(observation, true()))
    .order_by(*_IN_ORDER)
)
_FIND_FLEET: Final = _FIND_FACTS.add_columns(observation.c.since, observation.c.at)


# In the order of the keys, as all who hold several of them do, so that none waits for one that waits for it.
@cache
def _hold_pinged(count: int) -> Select[Any]:
    names: list[Any] = [bindparam(f"name_{number}") for number in range(count)]
    of_names = select(hosts).where(hosts.c.service_host.in_(names))
    return of_names.order_by(*_IN_ORDER).with_for_update()


def record_pings(
    connection: Connection,
    pinged: Iterable[Ping],
    limits: HostLimits,
    now: Callable[[Connection], float],
    put: Insert,
    wall: float,
) -> dict[HostKey, str]:
    """Store what the pings tell, and return why some are refused; `put` inserts rows or replaces them.

    `wall` is the time in seconds since 1970.
    """
    pings = sorted(pinged, key=lambda ping: host_records.host_id(ping.host.key))
    if not pings:
        return {}
    before = {_key(row): row for row in _held(connection, {ping.host.key.service_host for ping in pings})}
    # It is only now that no other broker writes: the time must not be one from before.
    at = now(connection)
    new = [ping for ping in pings if host_records.host_id(ping.host.key) not in before]
    refused = _without_room(connection, new, limits, before) if new else {}
    rows, entries = [], list[AuditEntry]()
    for ping in pings:
        if ping.host.key in refused:
            continue
        known = before.get(host_records.host_id(ping.host.key))
        row, refusal = host_records.pinged_row(known, ping, at)
        rows.append(row)
        if refusal is not None:
            refused[ping.host.key] = refusal
        else:
            entries += host_records.told(known, ping)
    if rows:
        run(connection, put, rows)
    append(connection, entries, wall)
    return refused


def _without_room(
    connection: Connection, new: Iterable[Ping], limits: HostLimits, known: Iterable[tuple[str, str, int]]
) -> dict[HostKey, str]:
    """Return why there is no room for some of the new hosts; `known` are those that have their names."""
    in_all = connection.execute(_COUNT).scalar_one()
    room = Room(limits, in_all, [service_host for service_host, _, _ in known])
    refusals = {ping.host.key: room.refusal(ping) for ping in new}
    return {key: refusal for key, refusal in refusals.items() if refusal is not None}


def _held(connection: Connection, names: Collection[str]) -> Iterable[Mapping[str, Any]]:
    """Return the rows of hosts with these names, which nobody else writes from now on."""
    wanted = sorted(names)
    # Of few lengths, so that there are few statements.
    count = 1 << (len(wanted) - 1).bit_length()
    wanted += wanted[-1:] * (count - len(wanted))
    holding = _hold_pinged(count)
    rows = fetch(connection, holding, {f"name_{number}": name for number, name in enumerate(wanted)})
    return map(reader(holding, connection.dialect), rows)


def observe(connection: Connection, now: Callable[[Connection], float], put: Insert) -> None:
    """Record that a broker is there now to hear pings; `put` inserts the row or replaces it."""
    before = connection.execute(_HOLD_OBSERVATION).mappings().first()
    # It is only now that no other broker writes: the time must not be one from before.
    after = observed(None if before is None else Observation(**before), now(connection))
    connection.execute(put, {"id": 1, "since": after.since, "at": after.at})
    if after.since == after.at:
        # What was heard before the clock went back would be young until it is as late again. What is heard
        # while this waits for a lock is no such thing.
        connection.execute(_CLAMP_PINGS, {"now": after.at, "latest": after.at + LONGEST_GAP})


def find_fleet(connection: Connection, now: float, known: host_records.KnownFacts) -> Fleet:
    """Return what is known of every host, in the order of the keys."""
    rows = fetch(connection, _FIND_FLEET)
    read = reader(_FIND_FACTS, connection.dialect)

    def facts_row(told: Sequence[Any]) -> dict[str, Any]:
        row = read(told)
        return row | {"reserved_sums": Reserved(**{name: row[f"reserved_{name}"] for name in _SUMS})}

    count, width = len(HOST_COLUMNS), len(_FACTS)
    facts = known.facts(((row[:count], row[:width]) for row in rows), facts_row)
    return Fleet(hosts=facts, now=now, observation=_observation(*rows[0][width:]) if rows else None)


def _observation(since: float | None, at: float | None) -> Observation | None:
    return None if since is None or at is None else Observation(since=since, at=at)


def find_host(connection: Connection, key: HostKey) -> DockerHost | None:
    """Return the host, if it is known."""
    row = connection.execute(_FIND_HOST, the_host(key)).mappings().first()
    return None if row is None else records.read_host(row)


def judge(
    connection: Connection, verdicts: Iterable[Verdict], now: Callable[[Connection], float]
) -> frozenset[HostKey]:
    """Change the states of hosts that are as they were when judged; returns which those are."""
    changed = []
    for verdict in sorted(verdicts, key=attrgetter("life.key")):
        life = verdict.life
        same = [hosts.c[name] == value for name, value in holding_records.host_columns(life.key).items()]
        same.append(hosts.c.state == life.state.value)
        for column, known in ((hosts.c.pinged_at, life.pinged_at), (hosts.c.state_at, life.state_at)):
            same.append(column.is_(None) if known is None else or_(column.is_(None), column <= known + _SAME))
        changing = update(hosts).where(*same).values(state=verdict.state.value, state_at=now(connection))
        if connection.execute(changing).rowcount:
            changed.append(life.key)
    return frozenset(changed)


def cordon(connection: Connection, key: HostKey, *, is_cordoned: bool) -> None:
    """Let nothing be placed on a host, or let it again, which ends its draining; raises `NotFound`."""
    _want(connection, key, {"is_cordoned": True} if is_cordoned else _FREE)


def drain(connection: Connection, key: HostKey, *, is_draining: bool) -> None:
    """Let the instances of a host move, and nothing be placed on it, or let them stay; raises `NotFound`."""
    _want(connection, key, _DRAINING if is_draining else {"is_draining": False})


def _want(connection: Connection, key: HostKey, wanted: Mapping[str, bool]) -> None:
    if connection.execute(_FIND_HOST.with_for_update(), the_host(key)).first() is None:
        raise refusals.host_unknown(key)
    connection.execute(update(hosts).where(*of_host(hosts)).values(wanted), the_host(key))


def complain(connection: Connection, key: HostKey, complaint: str) -> None:
    """Record why the Docker of a host cannot be used; nothing is written of one that is not known."""
    noting = update(hosts).where(*of_host(hosts)).values(complaint=complaint or None)
    connection.execute(noting, the_host(key))


def forget_host(connection: Connection, key: HostKey) -> None:
    """Delete what is known of a host; raises `NotFound`."""
    if connection.execute(delete(hosts).where(*of_host(hosts)), the_host(key)).rowcount == 0:
        raise refusals.host_unknown(key)


def has_host(connection: Connection, key: HostKey) -> bool:
    """Return whether the host is known."""
    return connection.execute(_FIND_HOST, the_host(key)).first() is not None


def _key(row: Mapping[Any, Any]) -> tuple[str, str, int]:
    return row["service_host"], row["docker_host"], row["docker_port"]
