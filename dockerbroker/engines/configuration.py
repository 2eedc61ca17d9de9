"""What Docker is told about a container that is to be made."""

from typing import Any

from docker import APIClient
from docker.types import HostConfig, LogConfig, Mount

from dockerbroker.model.containers import ContainerSpec, volume_labels

_NANOSECONDS = 1_000_000_000


def configuration(client: APIClient, spec: ContainerSpec) -> Any:
    """Return the body of `POST /containers/create`.

    What is not said here is Docker's default: above all no restart, until `IEngine.keep_running`.
    """
    return client.create_container_config(
        spec.image,
        _command(spec),
        environment=dict(spec.environment),
        ports=[tuple(port.split("/")) for port in spec.ports],
        labels=dict(spec.labels),
        host_config=_host_configuration(client, spec),
    )


def _command(spec: ContainerSpec) -> Any:
    return list(spec.command) or None


def _host_configuration(client: APIClient, spec: ContainerSpec) -> HostConfig:
    bindings: dict[int | str, Any] = dict(spec.ports.items())
    labels = volume_labels(spec)
    return client.create_host_config(
        port_bindings=bindings,
        log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        security_opt=["no-new-privileges"],
        mounts=[_mount(path, name, labels, fills=spec.fills_volumes) for path, name in spec.volumes.items()],
        nano_cpus=None if spec.cpus is None else round(spec.cpus * _NANOSECONDS),
        # As much memory and swap together as memory: swapping would only hide that the limit is too low.
        mem_limit=spec.memory,
        memswap_limit=spec.memory,
        pids_limit=spec.pids,
    )


def _mount(path: str, name: str, labels: dict[str, str], *, fills: bool) -> Mount:
    return Mount(path, name, type="volume", labels=labels, no_copy=not fills)
