"""Docker's JSON, read into values: what is not as Docker's API documents it raises an ordinary error."""

import re
from collections.abc import Mapping
from typing import Any

from dockerbroker.model.containers import Container, DockerImage, ExecState, HealthCheck

#: Docker's own default for a HEALTHCHECK without a timeout, in seconds.
_HEALTH_TIMEOUT = 30.0
_NANOSECONDS = 1_000_000_000
_EXITED = re.compile(r"Exited \((\d+)\)")


def image(reference: str, inspected: Mapping[str, Any]) -> DockerImage:
    """Read an answer of `GET /images/{name}/json`; its ports are in numerical order."""
    config = inspected["Config"] or {}
    return DockerImage(
        reference=reference,
        ports=tuple(sorted(config.get("ExposedPorts") or {}, key=_port_order)),
        health_check=_health_check(config),
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
    state = inspected["State"]
    bindings = inspected["NetworkSettings"].get("Ports") or {}
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        image=inspected["Config"]["Image"],
        running=bool(state["Running"]) and not state.get("Restarting", False),
        exit_code=int(state["ExitCode"]),
        labels=dict(inspected["Config"].get("Labels") or {}),
        ports={port: int(bound[0]["HostPort"]) for port, bound in bindings.items() if bound},
    )


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
    )


def _own_name(names: list[str]) -> str:
    # Links give a container further names, such as /other/alias.
    own = [name for name in names if name.count("/") == 1]
    return own[0].removeprefix("/") if own else ""


def exec_state(inspected: Mapping[str, Any]) -> ExecState:
    """Read an answer of `GET /exec/{id}/json`."""
    return ExecState(running=bool(inspected["Running"]), exit_code=inspected["ExitCode"])
