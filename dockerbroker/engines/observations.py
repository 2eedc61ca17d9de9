"""Docker's JSON, read into values: what is not as Docker's API documents it raises an ordinary error."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dockerbroker.errors import EngineError
from dockerbroker.model.containers import (
    Container,
    DockerImage,
    ExecState,
    HealthCheck,
    Volume,
    reserved_labels,
    volume_path,
)
from dockerbroker.model.plans import UNKEPT

#: Docker's own default for a HEALTHCHECK without a timeout, in seconds.
_HEALTH_TIMEOUT = 30.0
_NANOSECONDS = 1_000_000_000
_EXITED = re.compile(r"(?:Exited|Restarting) \((\d+)\)")
_FRACTION = re.compile(r"\.\d+")


def image(reference: str, inspected: Mapping[str, Any]) -> DockerImage:
    """Read an answer of `GET /images/{name}/json`; its ports are in numerical order.

    Raises `EngineError` when it bears labels of the broker's own: its containers would inherit them, and so
    pass for an instance's.
    """
    config = inspected["Config"] or {}
    if reserved := reserved_labels(config.get("Labels") or {}):
        raise EngineError(
            f"The image {reference} cannot be used: it bears the label {reserved[0]}, which only the broker "
            "gives to containers. Build it without that label, and not from a container of the broker."
        )
    return DockerImage(
        reference=reference,
        ports=tuple(sorted(config.get("ExposedPorts") or {}, key=_port_order)),
        health_check=_health_check(config),
        volumes=tuple(sorted({volume_path(path) for path in config.get("Volumes") or {}})),
    )


def _port_order(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol


def _health_check(config: Mapping[str, Any]) -> HealthCheck | None:
    check = config.get("Healthcheck") or {}
    kind, *words = check.get("Test") or ["NONE"]
    timeout = check.get("Timeout", 0) / _NANOSECONDS or _HEALTH_TIMEOUT
    if kind == "CMD-SHELL":
        words = [*(config.get("Shell") or ["/bin/sh", "-c"]), *words]
    elif kind != "CMD":
        return None
    return HealthCheck(command=tuple(words), timeout=timeout) if words else None


def container(inspected: Mapping[str, Any]) -> Container:
    """Read an answer of `GET /containers/{id}/json`."""
    state, host = inspected["State"], inspected.get("HostConfig") or {}
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        image=inspected["Config"]["Image"],
        running=bool(state["Running"]) and not state.get("Restarting", False),
        exit_code=int(state["ExitCode"]),
        labels=dict(inspected["Config"].get("Labels") or {}),
        ports=_bound(inspected["NetworkSettings"].get("Ports")),
        created_at=_seconds(inspected.get("Created")),
        volumes=_volumes(inspected),
        paused=bool(state.get("Paused", False)),
        configured=_bound(host.get("PortBindings")),
        # Engines call it differently when there is none.
        is_kept=(host.get("RestartPolicy") or {}).get("Name", "") not in {"", UNKEPT},
    )


def _bound(bindings: Mapping[str, Any] | None) -> dict[str, int]:
    # A port that Docker chooses at each start is empty where it is configured.
    found = {port: bound[0]["HostPort"] for port, bound in (bindings or {}).items() if bound}
    return {port: int(number) for port, number in found.items() if number}


def listed(item: Mapping[str, Any]) -> Container:
    """Read an element of an answer of `GET /containers/json`."""
    exited = _EXITED.match(item["Status"])
    published = [port for port in item.get("Ports") or [] if port.get("PublicPort")]
    return Container(
        id=item["Id"],
        name=_own_name(item["Names"]),
        image=item["Image"],
        running=item["State"] in {"running", "paused"},
        exit_code=int(exited.group(1)) if exited else 0,
        labels=dict(item.get("Labels") or {}),
        ports={f"{port['PrivatePort']}/{port['Type']}": int(port["PublicPort"]) for port in published},
        created_at=float(item.get("Created") or 0),
        volumes=_volumes(item),
        paused=item["State"] == "paused",
    )


def _seconds(moment: str | None) -> float:
    # As lists have it, without a fraction, which Docker writes with more digits than Python reads.
    return datetime.fromisoformat(_FRACTION.sub("", moment)).timestamp() if moment else 0.0


def _volumes(observed: Mapping[str, Any]) -> dict[str, str]:
    mounts = observed.get("Mounts") or []
    return {mount["Destination"]: mount["Name"] for mount in mounts if mount["Type"] == "volume"}


def _own_name(names: list[str]) -> str:
    # Links give a container further names, such as /other/alias.
    own = [name for name in names if name.count("/") == 1]
    return own[0].removeprefix("/") if own else ""


def exec_state(inspected: Mapping[str, Any]) -> ExecState:
    """Read an answer of `GET /exec/{id}/json`."""
    return ExecState(running=bool(inspected["Running"]), exit_code=inspected["ExitCode"])


def volumes(answer: Mapping[str, Any]) -> list[Volume]:
    """Read an answer of `GET /volumes`."""
    return [Volume(name=item["Name"], labels=dict(item["Labels"] or {})) for item in answer["Volumes"] or []]
