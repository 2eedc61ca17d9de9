"""The body of a ping, in the README's format with members of our own beside it."""

from collections.abc import Mapping
from typing import Any, Final

from dockerbroker.model.hosts import LEAST_KEEP_ALIVE, MOST_KEEP_ALIVE, read_host
from dockerbroker.model.members import Members
from dockerbroker.model.vitals import Ping, Vitals
from dockerbroker.wire import fold

#: A sentence about Docker has at most so many characters.
LONGEST_TROUBLE: Final = 500

#: No number is larger: every decoder of JSON keeps whole numbers up to here as they are.
_MOST: Final = 2**53 - 1
_MOST_CPUS: Final = 1e6
_OWN: Final = "OwnKeepAlive"

#: The names that the members have on the wire, in the order in which they are sent.
_MEMBERS: Final = {
    "session": "Session",
    "sequence": "Sequence",
    "engine_id": "EngineID",
    "engine_version": "EngineVersion",
    "api_version": "APIVersion",
    "runc_version": "RuncVersion",
    "engine_session": "EngineSession",
    "trouble": "DockerTrouble",
    "memory_total": "MemoryTotal",
    "memory_free": "MemoryFree",
    "cpus": "CPUs",
    "load": "CPULoad",
    "disk_total": "DiskTotal",
    "disk_free": "DiskFree",
    "containers": "Containers",
}


def decode_ping(document: Mapping[str, Any]) -> Ping:
    """Decode the body of a ping; an agent of the original sends none of what makes the `Vitals`.

    `LastPing` is ignored, since the broker judges by its own clock; so is `Portbindings`, since the leases
    are the broker's; so are members that this version does not know. Raises `InvalidRequest` with every
    complaint.
    """
    members = Members(document=fold(document))
    ping = Ping(
        host=read_host(members), vitals=_read_vitals(members), own_keep_alive=_read_own_interval(members)
    )
    members.check()
    return ping


def encode_ping(ping: Ping, last_ping: str) -> dict[str, Any]:
    """Encode the body of a ping; `last_ping` is a time in RFC 3339. What is not known is left out."""
    host = ping.host
    document: dict[str, Any] = {
        "ServiceHost": host.key.service_host,
        "DockerHost": host.key.docker_host,
        "DockerPort": host.key.docker_port,
        "LastPing": last_ping,
        "IsActive": host.is_active,
        "PerfFactor": host.perf_factor,
        "KeepAlive": host.keep_alive,
        "ExecCommand": host.exec_command,
        "ExecArgs": ",".join(host.exec_arguments),
        "Portbind_min": host.portbind_min,
        "Portbind_max": host.portbind_max,
        "Portbindings": None,
    }
    if ping.own_keep_alive is not None:
        document[_OWN] = ping.own_keep_alive
    if host.labels:
        document["Labels"] = dict(host.labels)
    for attribute, member in _MEMBERS.items():
        if (value := getattr(ping.vitals, attribute)) not in (None, ""):
            document[member] = value
    return document


def _read_own_interval(members: Members) -> float | None:
    if not members.has(_OWN.lower()):
        return None
    return members.number(_OWN.lower(), 5.0, least=LEAST_KEEP_ALIVE, most=MOST_KEEP_ALIVE)


def _read_vitals(members: Members) -> Vitals:
    trouble = members.text("dockertrouble")
    if len(trouble) > LONGEST_TROUBLE or not trouble.isprintable():
        members.complain("dockertrouble", f"must be one line of at most {LONGEST_TROUBLE} characters")
    return Vitals(
        session=_short(members, "session"),
        sequence=_whole(members, "sequence"),
        engine_id=_short(members, "engineid"),
        engine_version=_short(members, "engineversion"),
        api_version=_short(members, "apiversion"),
        runc_version=_short(members, "runcversion"),
        engine_session=_short(members, "enginesession"),
        trouble=trouble,
        memory_total=_whole(members, "memorytotal"),
        memory_free=_whole(members, "memoryfree"),
        cpus=_number(members, "cpus"),
        load=_number(members, "cpuload"),
        disk_total=_whole(members, "disktotal"),
        disk_free=_whole(members, "diskfree"),
        containers=_whole(members, "containers"),
    )


def _short(members: Members, key: str) -> str | None:
    return members.short_text(key) or None


def _whole(members: Members, key: str) -> int | None:
    found = members.integer(key, -1, least=0, most=_MOST)
    return None if found < 0 else found


def _number(members: Members, key: str) -> float | None:
    found = members.number(key, -1.0, least=0, most=_MOST_CPUS)
    return None if found < 0 else found
