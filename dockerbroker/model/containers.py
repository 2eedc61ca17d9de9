"""Which container an instance gets, what is observed of containers, and how templates are filled."""

import hashlib
import json
import posixpath
import re
from base64 import b32encode
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import asdict, evolve, field, frozen

from dockerbroker.errors import OperationFailed
from dockerbroker.model.confinement import Confinement
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Operation, OperationKind, ServiceInstance
from dockerbroker.model.plans import RESTARTS, ContainerOptions

#: What the broker's own labels begin with; images must not bear such, since containers inherit theirs.
LABEL_PREFIX = "dockerbroker."

LABEL_CLUSTER = "dockerbroker.cluster"
LABEL_INSTANCE = "dockerbroker.instance"
LABEL_SERVICE = "dockerbroker.service"
LABEL_PLAN = "dockerbroker.plan"
LABEL_OPERATION = "dockerbroker.operation"
LABEL_EPOCH = "dockerbroker.epoch"
LABEL_GENERATION = "dockerbroker.generation"
LABEL_SPEC = "dockerbroker.spec"
LABEL_VERSION = "dockerbroker.version"
#: The labels that a volume bears: it outlives the container, and so the operation that made it.
VOLUME_LABELS = (LABEL_CLUSTER, LABEL_INSTANCE, LABEL_SERVICE, LABEL_PLAN)


@frozen(kw_only=True)
class HealthCheck:
    """The test of an image's HEALTHCHECK as a command to execute, and its own limit in seconds."""

    command: tuple[str, ...]
    timeout: float


@frozen(kw_only=True)
class DockerImage:
    """What is observed of an image.

    These are its EXPOSEd ports such as `6379/tcp`, its HEALTHCHECK, and the paths of its VOLUMEs, sorted.
    """

    reference: str
    ports: tuple[str, ...] = ()
    health_check: HealthCheck | None = None
    volumes: tuple[str, ...] = ()


@frozen(kw_only=True)
class ContainerSpec:
    """What a container is created from; `ports` maps container ports such as `6379/tcp` to host ports.

    `command` replaces the image's unless it is empty. `memory` is in bytes, `cpus` in processors; None is
    without a limit. `pids` counts processes; None is `DEFAULT_PIDS`. `volumes` maps paths in the container to
    Docker's volumes, which are made if they do not exist, and get what the image has at their paths when
    `fills_volumes`. `restart` is the policy for `IEngine.keep_running`: a container is created without one.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]
    environment: Mapping[str, str] = field(factory=dict)
    command: tuple[str, ...] = ()
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    volumes: Mapping[str, str] = field(factory=dict)
    fills_volumes: bool = True
    restart: str = RESTARTS[0]
    confinement: Confinement = field(factory=Confinement)


@frozen(kw_only=True)
class Container:
    """What is observed of a container; `ports` are the TCP and UDP ports published now.

    `created_at` is in whole seconds since 1970 by the host's clock, 0 when unknown. `volumes` maps paths in
    the container to Docker's volumes, those without a name of ours included. What is paused runs as well.
    `configured` are the ports that it publishes whenever it runs, and `is_kept` is whether Docker restarts it
    by some policy. Only a look at the one container tells these, so that they do not count when what was seen
    is compared.
    """

    id: str
    name: str
    image: str
    running: bool
    exit_code: int = 0
    labels: Mapping[str, str] = field(factory=dict)
    ports: Mapping[str, int] = field(factory=dict)
    created_at: float = 0.0
    volumes: Mapping[str, str] = field(factory=dict)
    paused: bool = False
    configured: Mapping[str, int] = field(factory=dict, eq=False)
    is_kept: bool = field(default=False, eq=False)


@frozen(kw_only=True)
class Volume:
    """What is observed of a Docker volume."""

    name: str
    labels: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class VolumePlace:
    """Where a volume is reached: at a path in a container, which need not run, on a host."""

    host: DockerHost
    container_id: str
    path: str


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
    return _name("b", cluster_id, instance_id, str(generation))


def volume_name(cluster_id: str, instance_id: str, key: str) -> str:
    """Return the one name that this volume of the instance has on any host, whatever its generation.

    `key` is what the plan calls the volume, or its path where only the image has it. Nobody can name another
    instance's volume, since the name is derived from ids only.
    """
    return _name("v", cluster_id, instance_id, key)


def is_volume_name(name: str, cluster_id: str) -> bool:
    """Whether a volume of that deployment may bear the name."""
    return re.fullmatch(rf"v-{re.escape(cluster_id[:6])}-[a-z2-7]{{26}}", name) is not None


def _name(prefix: str, cluster_id: str, *parts: str) -> str:
    text = "\0".join((cluster_id, *parts))
    digest = b32encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii").lower()
    return f"{prefix}-{cluster_id[:6]}-{digest[:26]}"


def volume_path(path: str) -> str:
    """Return the absolute path as Docker tells it of a container: without doubled or trailing slashes."""
    return posixpath.normpath("/" + path.lstrip("/"))


def instance_volumes(
    cluster_id: str, instance_id: str, options: ContainerOptions, image: DockerImage
) -> dict[str, str]:
    """Return what outlives each container of the instance: paths in it, with the names of Docker's volumes.

    These are the plan's volumes, and the image's VOLUMEs at whose path the plan has none.
    """
    keys = {volume_path(path): path for path in image.volumes}
    keys |= {volume_path(path): name for name, path in options.volumes.items()}
    return {path: volume_name(cluster_id, instance_id, keys[path]) for path in sorted(keys)}


def spec_hash(spec: ContainerSpec) -> str:
    """Return a short hexadecimal digest of all that shapes the container; its name and labels do not.

    Nor does what its volumes get when they are new, nor the usual confinement: older containers have none.
    """
    outside = {"name", "labels", "fills_volumes"}
    if spec.confinement == Confinement():
        outside.add("confinement")
    shape = asdict(spec, filter=lambda attribute, _value: attribute.name not in outside)
    document = json.dumps(shape, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(document.encode("utf-8")).hexdigest()[:16]


def reserved_labels(labels: Iterable[str]) -> list[str]:
    """Return those of the labels that only the broker sets, in order."""
    return sorted(label for label in labels if label.startswith(LABEL_PREFIX))


def container_spec(
    cluster_id: str, instance: ServiceInstance, operation: Operation, *, version: str | None = None
) -> ContainerSpec:
    """Return the container that the instance's operation must make: a function of ids and catalog only.

    `version` is that of the broker, for its label.
    """
    definition = instance.definition
    options = instance.plan.options
    spec = ContainerSpec(
        name=container_name(cluster_id, instance.id, instance.generation),
        image=definition.image,
        ports=instance.ports,
        environment=options.environment,
        command=options.command,
        memory=options.memory,
        cpus=options.cpus,
        pids=options.pids,
        volumes=instance.volumes,
        # What the instance has is copied into them.
        fills_volumes=operation.kind is not OperationKind.MOVE,
        restart=options.restart,
        confinement=options.confinement,
        labels={
            LABEL_CLUSTER: cluster_id,
            LABEL_INSTANCE: instance.id,
            LABEL_SERVICE: definition.service_id,
            LABEL_PLAN: definition.plan.id,
            LABEL_OPERATION: operation.id,
            LABEL_EPOCH: str(operation.epoch),
            LABEL_GENERATION: str(instance.generation),
            **({} if version is None else {LABEL_VERSION: version}),
        },
    )
    return evolve(spec, labels={**spec.labels, LABEL_SPEC: spec_hash(spec)})


def volume_labels(spec: ContainerSpec) -> dict[str, str]:
    """Return the labels of the volumes that are made with the container."""
    return {label: spec.labels[label] for label in VOLUME_LABELS if label in spec.labels}


def is_ours(container: Container, cluster_id: str, instance: ServiceInstance) -> bool:
    """Whether the container was made by this deployment for this instance."""
    labels = container.labels
    return labels.get(LABEL_CLUSTER) == cluster_id and labels.get(LABEL_INSTANCE) == instance.id


def is_volume_ours(volume: Volume, cluster_id: str, instance: ServiceInstance) -> bool:
    """Whether the volume was made by this deployment for this instance."""
    labels = volume.labels
    return labels.get(LABEL_CLUSTER) == cluster_id and labels.get(LABEL_INSTANCE) == instance.id


def matches(container: Container, spec: ContainerSpec) -> bool:
    """Whether the container is the one that this operation makes, so that it is adopted.

    An earlier try of the same operation may have made another: with ports that turned out to be in use.
    """
    alike = (LABEL_CLUSTER, LABEL_OPERATION, LABEL_SPEC)
    return all(container.labels.get(label) == spec.labels.get(label) for label in alike)


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
