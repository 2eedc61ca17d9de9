"""What a move to another Docker host makes of an instance, and of the bindings that it has.

The reasons stand in docs/decisions/0026-moving-instances.md.
"""

import posixpath
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from dockerbroker.model.containers import Container
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import InstanceState, ServiceBinding, ServiceInstance
from dockerbroker.model.secrets import Secret


def stays(instance: ServiceInstance) -> str | None:
    """Return why an instance is not one that can be moved, as a sentence; None when it may be."""
    if instance.owns_container:
        return None
    return "Its container is not the broker's own: whoever looks after the container has to move it."


def uncopied(instance: ServiceInstance, container: Container, volumes: Iterable[str]) -> str | None:
    """Return what of an instance would not be copied, as a sentence; None when everything would be.

    `volumes` are the names of all that it has on its host.
    """
    if others := sorted(set(volumes) - set(container.volumes.values())):
        return (
            f"Its volumes {', '.join(others)} are those of a plan that it had before; its container does not "
            "have them, so that they would not be copied. Remove them if nobody needs them."
        )
    if unknown := sorted(set(container.volumes) - set(instance.volumes)):
        return f"Its container has volumes of which the broker does not know: {', '.join(unknown)}."
    return None


def on_host(
    instance: ServiceInstance, host: DockerHost, leased: Collection[int], *, keeps_ports: bool
) -> ServiceInstance:
    """Return what the instance becomes on another host, with those ports that may be what they were.

    The others are to be chosen; `leased` are those that others have there.
    """
    kept = {port: number for port, number in instance.ports.items() if number in host.ports}
    return evolve(
        instance,
        host=host.key,
        generation=instance.generation + 1,
        moves=instance.moves + 1,
        container_id=None,
        ports={port: number for port, number in kept.items() if keeps_ports and number not in leased},
        state=InstanceState.READY,
        successor=None,
    )


def moved_dashboard(former: ServiceInstance, successor: ServiceInstance) -> str | None:
    """Return the URL of the dashboard after a move: the same, but for the host and the port that it names."""
    url = former.dashboard_url
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    if (parts.hostname or "") != former.host.service_host.strip("[]").lower():
        return url
    names = {number: name for name, number in former.ports.items()}
    number = successor.ports.get(names.get(port or 0, ""), port)
    host = successor.host.service_host
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    user, at, _ = parts.netloc.rpartition("@")
    netloc = f"{user}{at}{host}" + ("" if number is None else f":{number}")
    return parts._replace(netloc=netloc).geturl()


def copied_paths(volumes: Mapping[str, str]) -> list[str]:
    """Return the paths in a container at which copying begins; what lies within them is copied with them."""
    return [path for path in sorted(volumes) if not any(_is_within(path, other) for other in volumes)]


def _is_within(path: str, other: str) -> bool:
    return path != other and posixpath.commonpath((path, other)) == other


def is_outdated(binding: ServiceBinding, instance: ServiceInstance) -> bool:
    """Whether the binding was made before the instance moved, so that it names a former address."""
    return binding.moves != instance.moves


def outdated(bindings: Iterable[ServiceBinding], instance: ServiceInstance) -> list[str]:
    """Return the ids of the bindings that must be made again, since the instance has moved."""
    return [binding.id for binding in bindings if is_outdated(binding, instance)]


def as_told(binding: ServiceBinding, instance: ServiceInstance) -> ServiceBinding:
    """Return the binding as it is told after moves: what names a former address expired with the move.

    Source: OSB section Binding, `metadata.expires_at`.
    """
    if not is_outdated(binding, instance):
        return binding
    document: dict[str, Any] = binding.document.reveal()
    moved_at = datetime.fromtimestamp(instance.moved_at, UTC).isoformat(timespec="seconds")
    expiry = {"expires_at": moved_at.replace("+00:00", "Z")}
    metadata = {**(document.get("metadata") or {}), **expiry}
    return evolve(binding, document=Secret({**document, "metadata": metadata}))
