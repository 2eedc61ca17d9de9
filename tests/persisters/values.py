"""Values for the tests of persisters."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.credentials import Credential
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import (
    Change,
    Operation,
    OperationKind,
    ServiceBinding,
    ServiceInstance,
    Step,
)
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from tests.model.values import definition, renamed

HERE = HostKey(service_host="10.0.0.1", docker_host="unix:///run/docker.sock")
THERE = HostKey(service_host="10.0.0.2", docker_host="10.0.0.2", docker_port=2376)
REDIS = definition("redis", "free", image="dockerbroker/redis")
STATIC = definition(
    "mysqlstatic",
    "free",
    dashboard_url="http://$HOST:$PORT",
    credentials=Secret({"password": "t0p-s3cret", "ports": [1, 2.5, None, {"deep": "ümlaut"}]}),
)
EXISTING = renamed(REDIS, "existing", numinstances=0, container_name="mine")

#: Identifiers that some collations and some normalisations take for one another; all are different.
LOOK_ALIKES = (
    "caf\u00e9",  # one character for the accented letter
    "cafe\u0301",  # the letter and its accent apart
    "cafe",
    "CAFE",
    "Cafe",
    "cafe ",
    "cafe\u00a0",
    " cafe",
    "cafe\u200b",
    "stra\u00dfe",
    "strasse",
    "1",
    "1.0",
    "01",
    "x" * 255,
    "x" * 254 + "y",
    "\U0001f600" * 255,
    "\U0001f600" * 254 + "\U0001f601",
)


def host(key: HostKey = HERE, **members: Any) -> DockerHost:
    """Return a host."""
    return DockerHost(key=key, **members)


def certificate(name: str = "10.0.0.2", text: str = "") -> HostCertificate:
    """Return a certificate that no engine would accept."""
    return HostCertificate(host=name, certificate=f"PEM {text}", key=Secret(f"k3y {text}"), ca="\u00fc\n")


def credential(name: str = "c1", role: Role = Role.ADMINISTRATOR, **members: Any) -> Credential:
    """Return a credential whose hash no password has."""
    plain = Credential(id=name, role=role, user="\u00fc", created_at=1.5, hash=Secret("scrypt$2$1$1$$"))
    return evolve(plain, **members)


def instance(instance_id: str = "i1", *ports: int, **members: Any) -> ServiceInstance:
    """Return an instance on `HERE` that holds the host's ports."""
    plain = ServiceInstance(
        id=instance_id,
        definition=REDIS,
        organization_guid="org",
        space_guid="space",
        host=HERE,
        ports={f"{6379 + number}/tcp": port for number, port in enumerate(ports)},
    )
    return evolve(plain, **members)


def binding(instance_id: str = "i1", binding_id: str = "b1", **members: Any) -> ServiceBinding:
    """Return a binding."""
    return ServiceBinding(instance_id=instance_id, id=binding_id, **members)


def operation(
    operation_id: str, kind: OperationKind, instance_id: str = "i1", binding_id: str | None = None
) -> Operation:
    """Return an operation that was not begun."""
    return Operation(
        id=operation_id, kind=kind, instance_id=instance_id, binding_id=binding_id, step=Step.CREATE
    )


def provision(operation_id: str, made: ServiceInstance) -> Change:
    """Return the change that begins a provision."""
    return Change(operation=operation(operation_id, OperationKind.PROVISION, made.id), instance=made)


def bind(operation_id: str, made: ServiceBinding) -> Change:
    """Return the change that begins a bind."""
    begun = operation(operation_id, OperationKind.BIND, made.instance_id, made.id)
    return Change(operation=begun, binding=made)


def unbind(operation_id: str, instance_id: str = "i1", binding_id: str = "b1") -> Change:
    """Return the change that begins an unbind."""
    return Change(operation=operation(operation_id, OperationKind.UNBIND, instance_id, binding_id))


def update(operation_id: str, changed: ServiceInstance) -> Change:
    """Return the change that begins an update, with the instance as it is to be written."""
    return Change(operation=operation(operation_id, OperationKind.UPDATE, changed.id), instance=changed)


def move(operation_id: str, moving: ServiceInstance) -> Change:
    """Return the change that begins a move, with the instance as it is to be written."""
    return Change(operation=operation(operation_id, OperationKind.MOVE, moving.id), instance=moving)


def deprovision(operation_id: str, instance_id: str = "i1") -> Change:
    """Return the change that begins a deprovision."""
    return Change(operation=operation(operation_id, OperationKind.DEPROVISION, instance_id))
