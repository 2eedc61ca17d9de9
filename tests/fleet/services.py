"""The services of the fleet: one that is ready at once, one whose executables wait until they are told."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any, Final

import docker
from docker.errors import APIError

from dockerbroker.model.containers import LABEL_INSTANCE
from tests.fleet.hosts import FleetHost

IMAGE: Final = "fleet/echo"
#: A service that any host may have, which counts each run of its executables.
ANYWHERE: Final = "echo"
#: Another one, which has a volume at `/data`.
KEEPER: Final = "keeper"
_COUNT: Final = '#!/bin/sh\necho "$BROKER_ACTION" >>/runs\n'
# The plan says whether they wait; until then nobody hears of them.
_WAIT: Final = 'while [ -n "$WAITS" ] && [ ! -e "/go-$BROKER_ACTION" ]; do sleep 0.05; done\n'
_BIND: Final = f'{_COUNT}{_WAIT}echo \'{{"credentials": {{"password": "swordfish"}}}}\'\n'
_SERVER: Final = 'CMD ["sh", "-c", "trap exit TERM; httpd -f -p 8080 -h /tmp & wait"]'


def on(number: int, kind: str = "at once") -> str:
    """Return the name of the service that only that host has.

    Its kinds are `at once`, `waiting`, and `once`, which Docker is not to restart.
    """
    return f"{kind.replace(' ', '-')}-on-{number}"


def _service(name: str, labels: dict[str, str], plan: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "hostlabels": labels, "plans": [{"name": "100", **plan}]}


CATALOG: Final = [
    _service(ANYWHERE, {}, {}),
    _service(KEEPER, {}, {"volumes": {"data": "/data"}}),
    *(
        _service(on(number, kind), {"host": str(number)}, plan)
        for number in (1, 2, 3)
        for kind, plan in (
            ("at once", {}),
            ("waiting", {"environment": {"WAITS": "yes"}}),
            ("once", {"restart": "no"}),
        )
    ),
]


def make_image(host: FleetHost) -> None:
    """Give a host the image of all services."""
    host.image(IMAGE, {"/bind": _BIND, "/provision": _COUNT + _WAIT}, ["EXPOSE 8080", _SERVER])


def container_of(client: docker.APIClient, instance_id: str) -> dict[str, Any] | None:
    """Return what Docker tells of the instance's container, None when there is none, or several."""
    label = f"{LABEL_INSTANCE}={instance_id}"
    found = client.containers(all=True, filters={"label": label})
    return client.inspect_container(found[0]["Id"]) if len(found) == 1 else None


def run(client: docker.APIClient, instance_id: str, command: str) -> str:
    """Run a command in the instance's container, and return what it prints."""
    container = container_of(client, instance_id)
    assert container is not None, f"{instance_id} has not exactly one container"
    made = client.exec_create(container["Id"], ["sh", "-c", command])
    return str(client.exec_start(made["Id"]).decode())


def runs(host: FleetHost, instance_id: str) -> list[str]:
    """Return which executables have been begun in the instance's container, in their order."""
    with closing(host.client()) as client:
        try:
            return run(client, instance_id, "cat /runs 2>/dev/null; true").split()
        except APIError:
            # It does not run yet.
            return []


def let_go(host: FleetHost, instance_id: str, action: str) -> None:
    """Let the executable that waits go on."""
    with closing(host.client()) as client:
        run(client, instance_id, f"touch /go-{action}")


def published(client: docker.APIClient, instance_id: str) -> tuple[bool, int]:
    """Return whether the instance's container runs, and the port that it has on its host."""
    container = container_of(client, instance_id)
    assert container is not None, f"{instance_id} has not exactly one container"
    bindings = json.loads(json.dumps(container["HostConfig"]["PortBindings"]))
    ((binding,),) = bindings.values()
    return bool(container["State"]["Running"]), int(binding["HostPort"])
