"""How rows are kept in Redis, where every value is text: what is null is not there.

The scripts are asked and answer in JSON; see `lua/prelude.lua`. Fields that this version does not know are
ignored, and stay as they are.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from twisted.logger import Logger

from dockerbroker.errors import Unreadable
from dockerbroker.model.audit import AuditEntry, content_digest
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.liveness import Verdict, patience
from dockerbroker.model.reservations import Reserved
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters import holding_records, host_records

_log: Final = Logger()

#: The columns that may be null, and are not there then.
_NULLABLE: Final = (
    "binding_id",
    "complaint",
    "finished_at",
    "last_operation_id",
    "lease_until",
    "lonely_place",
    "lonely_place_there",
    "neighbourhood",
    "operation_id",
    "owner",
    "pinged_at",
    "reserved_there",
    "sessions",
    "state_at",
    "vitals",
)


#: What the script `fleet` tells of each host, in this order.
_FLEET_COLUMNS: Final = (
    "id",
    "service_host",
    "docker_host",
    "docker_port",
    "document",
    "vitals",
    "sessions",
    "state",
    "is_cordoned",
    "is_draining",
    "pinged_at",
    "state_at",
    "complaint",
)


def _is_true(text: str) -> bool:
    return text == "1"


#: How the columns are read that are no text.
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "deadline": float,
    "at": float,
    "docker_port": int,
    "epoch": int,
    "finished_at": float,
    "is_cancelled": _is_true,
    "is_cordoned": _is_true,
    "is_draining": _is_true,
    "is_over": _is_true,
    "lease_until": float,
    "number": int,
    "pinged_at": float,
    "state_at": float,
}


def packed(value: Any) -> Any:
    """Return what stands for a value, or for those of a dict or list, in what a script is asked."""
    # Most values are text.
    if isinstance(value, str):
        return value
    if value is None or value is False:
        return "0" if value is False else False
    if value is True:
        return "1"
    if isinstance(value, dict):
        return {name: packed(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [packed(member) for member in value]
    return repr(value)


def unpacked(stored: Mapping[str, str]) -> dict[str, Any]:
    """Return the row of a record; raises `Unreadable` when a field cannot be read."""
    row: dict[str, Any] = dict.fromkeys(_NULLABLE)
    try:
        row.update((name, _READERS.get(name, str)(text)) for name, text in stored.items())
    except ValueError:
        # Users are not told which; whoever has to look at it must know.
        _log.error("a field of the record {which} cannot be read", which=stored.get("id"))
        raise Unreadable(
            "A record of the broker's database has a field that cannot be read; "
            "the operator must look at it.",
            stored.get("id", ""),
        ) from None
    return row


def host_id(key: HostKey) -> str:
    """Return the text that identifies a host."""
    return json.dumps([key.service_host, key.docker_host, key.docker_port], separators=(",", ":"))


def changing_ping(told: Ping, audit: Any, seen: str) -> dict[str, Any]:
    """Return what a script is given of a ping that changes settings, with its audit records.

    `seen` is the document with those of before; if there is another one by then, nothing is stored.
    """
    return {**ping(told), "audit": audit, "seen": seen}


def new_ping(told: Ping, audit: Any) -> dict[str, Any]:
    """Return what a script is given of a ping for a host that is not known, with its audit records.

    For an agent that speaks for one `ServiceHost` alone it is told how the ids of all its hosts begin.
    """
    row = {**ping(told), "audit": audit}
    if told.is_bound:
        row["own"] = f"[{json.dumps(told.host.key.service_host)},"
    return row


def ping(told: Ping) -> dict[str, Any]:
    """Return what a script is given of a ping."""
    row = host_records.new_row(told)
    known = (
        "pinged_at",
        "engine_id",
        "sessions",
        "state",
        "state_at",
        "is_cordoned",
        "is_draining",
        "complaint",
    )
    return {
        "id": host_id(told.host.key),
        "row": {column: value for column, value in row.items() if column not in known},
        "session": told.vitals.session or "",
        "sequence": told.vitals.sequence or 0,
        "engine_id": told.vitals.engine_id or "",
        "patience": patience(told.host.keep_alive),
    }


def verdict(judged: Verdict) -> dict[str, Any]:
    """Return what a script is given of a verdict."""
    life = judged.life
    return {
        "id": host_id(life.key),
        "before": life.state.value,
        "state": judged.state.value,
        "pinged_at": life.pinged_at,
        "state_at": life.state_at,
    }


def facts(told: Sequence[Any]) -> dict[str, Any]:
    """Return the row of a host as the script `fleet` tells it: the columns, then what is reserved."""
    *values, sums = told
    columns = zip(_FLEET_COLUMNS, values, strict=True)
    row = unpacked({column: value for column, value in columns if value is not False})
    return row | {"reserved_sums": reserved(sums or "0 0 0 0")}


def host_key(text: str) -> HostKey:
    """Return the key of the host that the text identifies."""
    service_host, docker_host, docker_port = json.loads(text)
    return HostKey(service_host=service_host, docker_host=docker_host, docker_port=docker_port)


def reserved(text: str) -> Reserved:
    """Return the sums of what is reserved on a host."""
    memory, cpus, ports, instances = map(int, text.split())
    return Reserved(memory=memory, cpus=cpus, ports=ports, instances=instances)


def held_columns(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the hosts of which the instance of a row holds something, and the ports that it leases there."""
    columns: dict[str, str | None] = {"there": None, "ports_there": None}
    names = (("host", "ports", "reserved"), ("there", "ports_there", "reserved_there"))
    for host, ports, reserved_by in names:
        if row[reserved_by] is not None:
            key, leased = holding_records.read_held(row[reserved_by])
            columns |= {host: host_id(key), ports: " ".join(map(str, leased))}
    return columns


def texts(found: Iterable[Any]) -> list[str]:
    """Return a list of texts that a script has found: Lua has one value for no list and no object."""
    return [str(text) for text in found]


def told(entries: Sequence[AuditEntry], at: float) -> list[dict[str, str]]:
    """Return what a script is given of records that it is to write."""
    contents = [(entry.id, entry.content(at)) for entry in entries]
    return [
        {"id": identifier, "content": content, "digest": content_digest(content)}
        for identifier, content in contents
    ]
