"""A service that keeps what it is told, for tests that kill brokers while they work on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import docker

from tests.polling import PATIENCE
from tests.real_engine import RealEngine

NAME: Final = "keeper"
#: Two plans of which each needs containers of its own.
SERVICE: Final[dict[str, Any]] = {
    "name": NAME,
    "image": "kills/keeper",
    "planupdateable": True,
    "plans": [
        {"name": name, "volumes": {"data": "/data"}, "environment": {"SIZE": name}}
        for name in ("small", "large")
    ],
}
SMALL: Final = f"{NAME}_small"
LARGE: Final = f"{NAME}_large"

# It notes when two executables run at once; what one that was killed left belongs to nobody.
_ALONE: Final = """#!/bin/sh
mkdir -p /data/users
other=$(cat /tmp/runs 2>/dev/null) && kill -0 "$other" 2>/dev/null && echo "$BROKER_ACTION" >>/data/beside
echo $$ >/tmp/runs
trap 'rm -f /tmp/runs' EXIT
"""
_TAKE: Final = f"""{_ALONE}
cat >/data/told.new
sleep 0.1
mv /data/told.new /data/told
"""
# Whoever binds again gets another password, and the first one is good no more.
_BIND: Final = f"""{_ALONE}
password=$(cat /proc/sys/kernel/random/uuid)
echo "$password" >"/data/users/$BROKER_BINDING_ID"
sleep 0.1
echo "{{\\"credentials\\": {{\\"password\\": \\"$password\\"}}}}"
"""
_UNBIND: Final = f"""{_ALONE}
sleep 0.1
rm -f "/data/users/$BROKER_BINDING_ID"
"""
_DEPROVISION: Final = f"""{_ALONE}
sleep 0.1
rm -rf /data/users /data/told
"""
_SERVER: Final = 'CMD ["sh", "-c", "trap exit TERM; httpd -f -p 8080 -h /data & wait"]'
_LOOK: Final = "cd /data; grep -H '' users/* 2>/dev/null; cat beside 2>/dev/null; true"


def make_image(engine: RealEngine) -> None:
    """Make the service's image."""
    executables = {
        "/provision": _TAKE,
        "/update": _TAKE,
        "/bind": _BIND,
        "/unbind": _UNBIND,
        "/deprovision": _DEPROVISION,
    }
    engine.image(SERVICE["image"], executables, changes=["EXPOSE 8080", _SERVER])


def served(container: Mapping[str, Any]) -> Any:
    """Return the parameters that the service serves on its published port."""
    network = container["NetworkSettings"]
    (binding,) = network["Ports"]["8080/tcp"][:1]
    try:
        with closing(urlopen(f"http://127.0.0.1:{binding['HostPort']}/told", timeout=PATIENCE)) as answer:
            return json.loads(answer.read()).get("parameters", {})
    except HTTPError as error:
        # Who answered can be told by how.
        told = f"{error} from {binding} of {network['IPAddress']}: {error.headers} {error.read()!r}"
        raise AssertionError(told) from error


def users(client: docker.APIClient, container_id: str) -> dict[str, str]:
    """Return the passwords by binding; a line about executables that ran side by side has no password."""
    made = client.exec_create(container_id, ["sh", "-c", _LOOK])
    lines = client.exec_start(made["Id"]).decode().splitlines()
    parts = [line.removeprefix("users/").partition(":") for line in lines]
    return {name: password for name, _, password in parts}
