"""Which container an instance gets, what is observed of containers, and how templates are filled."""

import hashlib
import re
from base64 import b32encode
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dockerbroker.errors import OperationFailed
from dockerbroker.model.instances import Operation, ServiceInstance

LABEL_CLUSTER = "dockerbroker.cluster"
LABEL_INSTANCE = "dockerbroker.instance"
LABEL_SERVICE = "dockerbroker.service"
LABEL_PLAN = "dockerbroker.plan"
LABEL_OPERATION = "dockerbroker.operation"
LABEL_EPOCH = "dockerbroker.epoch"


@frozen(kw_only=True)
class HealthCheck:
    """The test of an image's HEALTHCHECK as a command to execute, and its own limit in seconds."""

    command: tuple[str, ...]
    timeout: float


@frozen(kw_only=True)
class DockerImage:
    """What is observed of an image: its EXPOSEd ports such as `6379/tcp`, and its HEALTHCHECK."""

    reference: str
    ports: tuple[str, ...] = ()
    health_check: HealthCheck | None = None


@frozen(kw_only=True)
class ContainerSpec:
    """What a container is created from; `ports` maps container ports such as `6379/tcp` to host ports."""

    name: str
    image: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]


@frozen(kw_only=True)
class Container:
    """What is observed of a container; `ports` are the TCP and UDP ports published now."""

    id: str
    name: str
    image: str
    running: bool
    exit_code: int = 0
    labels: Mapping[str, str] = field(factory=dict)
    ports: Mapping[str, int] = field(factory=dict)


@frozen(kw_only=True)
class ExecState:
    """What is observed of an exec; `exit_code` is None until it has ended."""

    running: bool
    exit_code: int | None = None


@frozen(kw_only=True)
class ExecOutput:
    """What an exec printed: at most the limit of standard output, and the end of standard error."""

    stdout: bytes
    stderr_tail: bytes


def container_name(cluster_id: str, instance_id: str, generation: int) -> str:
    """Return the one name that the container of this generation of the instance has on any host.

    Docker refuses a second container of that name, which makes the name a lock (measured).
    """
    text = "\0".join((cluster_id, instance_id, str(generation)))
    digest = b32encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii").lower()
    return f"b-{cluster_id[:6]}-{digest[:26]}"


def container_spec(cluster_id: str, instance: ServiceInstance, operation: Operation) -> ContainerSpec:
    """Return the container that the instance's operation must make: a function of ids and catalog only."""
    definition = instance.definition
    return ContainerSpec(
        name=container_name(cluster_id, instance.id, instance.generation),
        image=definition.image,
        ports=instance.ports,
        labels={
            LABEL_CLUSTER: cluster_id,
            LABEL_INSTANCE: instance.id,
            LABEL_SERVICE: definition.service_id,
            LABEL_PLAN: definition.plan.id,
            LABEL_OPERATION: operation.id,
            LABEL_EPOCH: str(operation.epoch),
        },
    )


def is_ours(container: Container, cluster_id: str, instance: ServiceInstance) -> bool:
    """Whether the container was made by this deployment for this instance."""
    labels = container.labels
    return labels.get(LABEL_CLUSTER) == cluster_id and labels.get(LABEL_INSTANCE) == instance.id


def matches(container: Container, spec: ContainerSpec) -> bool:
    """Whether the container is the one that this operation makes, so that it is adopted."""
    return (
        container.labels.get(LABEL_OPERATION) == spec.labels[LABEL_OPERATION]
        and container.labels.get(LABEL_CLUSTER) == spec.labels[LABEL_CLUSTER]
    )


_PLACEHOLDER = re.compile(r"\$(HOST|PORT_[0-9]+|PORT)")


def fill(template: Any, host: str, ports: Mapping[str, int]) -> Any:
    """Return the template with `$HOST`, `$PORT` and `$PORT_<n>` replaced in every string, however deep.

    `$HOST` is the host's service address, `$PORT_<n>` the host's port of container port n (TCP before UDP),
    and `$PORT` that of the only port. Raises `OperationFailed` naming what it cannot fill.
    """
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda match: _value(match.group(1), host, ports), template)
    if isinstance(template, dict):
        return {fill(key, host, ports): fill(value, host, ports) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, host, ports) for value in template]
    return template


def _value(placeholder: str, host: str, ports: Mapping[str, int]) -> str:
    if placeholder == "HOST":
        return host
    if placeholder == "PORT":
        if len(ports) == 1:
            return str(next(iter(ports.values())))
        which = ", ".join(sorted(ports)) or "no port"
        raise OperationFailed(
            "The placeholder $PORT of the service's definition cannot be filled: "
            f"the container publishes {which}."
        )
    number = placeholder.removeprefix("PORT_")
    for protocol in ("tcp", "udp", "sctp"):
        if (port := ports.get(f"{number}/{protocol}")) is not None:
            return str(port)
    raise OperationFailed(
        f"The placeholder ${placeholder} of the service's definition cannot be filled: "
        f"the container does not publish port {number}."
    )
