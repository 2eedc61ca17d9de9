"""How it is kept what instances hold of hosts: their ports, memory, processors and places."""

import json
from typing import Any

from dockerbroker.model.holdings import Holding, holding, holding_there, holdings
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import ServiceInstance
from dockerbroker.model.reservations import Reserved
from dockerbroker.persisters.documents import Row, text


def host_columns(key: HostKey) -> dict[str, Any]:
    """Return the columns that identify a host."""
    return {
        "service_host": key.service_host,
        "docker_host": key.docker_host,
        "docker_port": key.docker_port,
    }


def columns(instance: ServiceInstance) -> dict[str, str | None]:
    """Return the columns that tell what an instance holds of its host, and of that to which it moves."""
    here, there = holding(instance), holding_there(instance)
    return {
        "reserved": _reservation(here),
        "reserved_there": None if there is None else _reservation(there),
        "lonely_place": here.lonely_place,
        "lonely_place_there": None if there is None else there.lonely_place,
    }


def _reservation(held: Holding) -> str:
    ports = {"ports": sorted(held.ports)}
    return text({**host_columns(held.host), **reserved_columns(held.reserved), **ports})


def reserved_columns(reserved: Reserved) -> dict[str, int]:
    """Return the columns of what is reserved."""
    return {
        "memory": reserved.memory,
        "cpus": reserved.cpus,
        "ports": reserved.ports,
        "instances": reserved.instances,
    }


def read_reserved(row: Row) -> Reserved:
    """Return what is reserved by the columns of a row."""
    return Reserved(memory=row["memory"], cpus=row["cpus"], ports=row["ports"], instances=row["instances"])


def read_reservation(document: str) -> tuple[HostKey, Reserved]:
    """Return where an instance reserves how much, by the column `reserved`, or `reserved_there`."""
    members = json.loads(document)
    key = HostKey(**{column: members[column] for column in ("service_host", "docker_host", "docker_port")})
    return key, read_reserved(members | {"ports": len(members["ports"])})


def read_held(document: str) -> tuple[HostKey, list[int]]:
    """Return on which host an instance leases which ports, by the same columns."""
    key, _ = read_reservation(document)
    return key, json.loads(document)["ports"]


def leased_ports_of(instance: ServiceInstance) -> list[dict[str, Any]]:
    """Return the columns of the port leases that an instance holds."""
    return [
        {**host_columns(held.host), "port": port, "instance_id": instance.id}
        for held in holdings(instance)
        for port in sorted(held.ports)
    ]
