"""What Docker is told about a container that is to be made."""

from typing import Any, Final

from docker import APIClient
from docker.types import HostConfig, LogConfig, Mount

from dockerbroker.model.confinement import DEFAULT_PIDS, Confinement
from dockerbroker.model.containers import ContainerSpec, volume_labels

_NANOSECONDS: Final = 1_000_000_000
_LOG_SIZE: Final = {"max-size": "10m", "max-file": "3"}
#: Nothing can be run from there, no user can be become by it, and it has no devices.
_TMPFS: Final = "rw,noexec,nosuid,nodev,mode=1777,size="


def configuration(client: APIClient, spec: ContainerSpec, address: str = "") -> Any:
    """Return the body of `POST /containers/create`; ports are published at the address, if there is one.

    What is not said here is Docker's default: above all no restart, until `IEngine.keep_running`, the
    profiles of seccomp and AppArmor, and namespaces of its own. It is a function of the plan and of ids
    alone; nothing that a platform sends has a part in it.
    """
    return client.create_container_config(
        spec.image,
        _command(spec),
        environment=dict(spec.environment),
        ports=[tuple(port.split("/")) for port in spec.ports],
        labels=dict(spec.labels),
        host_config=_host_configuration(client, spec, address),
    )


def _command(spec: ContainerSpec) -> Any:
    return list(spec.command) or None


def _host_configuration(client: APIClient, spec: ContainerSpec, address: str) -> HostConfig:
    labels = volume_labels(spec)
    return client.create_host_config(
        port_bindings=_bindings(spec, address),
        log_config=LogConfig(type="json-file", config=_LOG_SIZE),
        security_opt=["no-new-privileges"],
        mounts=[_mount(path, name, labels, fills=spec.fills_volumes) for path, name in spec.volumes.items()],
        nano_cpus=None if spec.cpus is None else round(spec.cpus * _NANOSECONDS),
        # As much memory and swap together as memory: swapping would only hide that the limit is too low.
        mem_limit=spec.memory,
        memswap_limit=spec.memory,
        pids_limit=DEFAULT_PIDS if spec.pids is None else spec.pids,
        cap_drop=["ALL"],
        cap_add=list(spec.confinement.capabilities),
        read_only=spec.confinement.read_only,
        tmpfs=_tmpfs(spec.confinement),
    )


def _bindings(spec: ContainerSpec, address: str) -> dict[int | str, Any]:
    if not address:
        return dict(spec.ports.items())
    return {port: (address, number) for port, number in spec.ports.items()}


def _tmpfs(confinement: Confinement) -> dict[str, str] | None:
    return {path: f"{_TMPFS}{size}" for path, size in confinement.tmpfs.items()} or None


def _mount(path: str, name: str, labels: dict[str, str], *, fills: bool) -> Mount:
    return Mount(path, name, type="volume", labels=labels, no_copy=not fills)
