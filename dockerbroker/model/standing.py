"""How administrators are told of a Docker host."""

import math
from typing import Any

from dockerbroker.model.floors import outdated
from dockerbroker.model.hosts import HostKey, HostReport, HostState
from dockerbroker.model.vitals import Vitals


def host_id(key: HostKey) -> str:
    """Return the text by which administrators name a host, which tells it from all others."""
    return f"{key.service_host},{key.docker_host},{key.docker_port}"


def hindrance(report: HostReport) -> str:
    """Return why nothing is placed on a host, as a sentence; nothing when it may be used."""
    if report.state is HostState.RETURNING:
        return "It has returned, and is being compared with the database."
    if not report.is_alive:
        return "It has sent no ping for too long."
    if report.is_contended:
        return "Two agents claim to be this host."
    if report.trouble:
        return report.trouble
    if not report.host.is_active:
        return "Its agent is configured not to be active."
    return _wish(report)


def _wish(report: HostReport) -> str:
    if report.is_draining:
        return "An administrator has it drained."
    return "An administrator has cordoned it." if report.is_cordoned else ""


def encode_host(report: HostReport, instances: int) -> dict[str, Any]:
    """Return what administrators are told of a host; times are in seconds, sizes in bytes.

    What is not known is left out.
    """
    host = report.host
    document: dict[str, Any] = {
        "ID": host_id(host.key),
        "ServiceHost": host.key.service_host,
        "DockerHost": host.key.docker_host,
        "DockerPort": host.key.docker_port,
        "State": report.state.value,
        "IsUsable": report.is_usable,
        "Hindrance": hindrance(report),
        "Complaint": report.complaint,
        "Outdated": outdated(report.vitals),
        "IsCordoned": report.is_cordoned,
        "IsDraining": report.is_draining,
        "IsActive": host.is_active,
        "KeepAlive": host.keep_alive,
        "PerfFactor": host.perf_factor,
        "Labels": dict(host.labels),
        "Instances": instances,
    }
    if not math.isinf(report.age):
        document["SecondsSincePing"] = round(report.age, 3)
    if report.vitals is not None:
        document["Vitals"] = _vitals(report.vitals)
    return document


def _vitals(vitals: Vitals) -> dict[str, Any]:
    document = {
        "EngineID": vitals.engine_id,
        "EngineVersion": vitals.engine_version,
        "APIVersion": vitals.api_version,
        "RuncVersion": vitals.runc_version,
        "DockerTrouble": vitals.trouble,
        "MemoryTotal": vitals.memory_total,
        "MemoryFree": vitals.memory_free,
        "CPUs": vitals.cpus,
        "CPULoad": vitals.load,
        "DiskTotal": vitals.disk_total,
        "DiskFree": vitals.disk_free,
        "Containers": vitals.containers,
    }
    return {member: value for member, value in document.items() if value is not None}
