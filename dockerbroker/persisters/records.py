"""How the values of the model are kept: columns that are looked up, a JSON document, and a secret one.

A row is a mapping from column names to values. What stands in a column of its own is not in the document;
what must not be read by everybody who can read the database stands in `secret` alone, so that this one
column can be encrypted. Members that this version does not know are ignored and those that are absent get
their defaults, so that brokers of two versions can share a database.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar, get_args, get_origin

from attrs import AttrsInstance
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override
from twisted.logger import Logger

from dockerbroker.errors import Unreadable
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.credentials import Credential
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Operation, ServiceBinding, ServiceInstance
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters import holding_records
from dockerbroker.persisters.documents import Row, text

T = TypeVar("T", bound=AttrsInstance)

#: Of so many hosts it is remembered what was read.
_MANY_HOSTS: Final = 5000

_log: Final = Logger()


def image_row(definition: ImageDefinition) -> dict[str, Any]:
    """Return the columns of a catalog entry."""
    return {
        "name": definition.name,
        "document": _document(definition),
        "secret": text(_image_secrets(definition)),
    }


def read_image(row: Row) -> ImageDefinition:
    """Return the catalog entry of a row."""
    return _read(ImageDefinition, row, ("name",))


def certificate_row(certificate: HostCertificate) -> dict[str, Any]:
    """Return the columns of a certificate."""
    return {
        "host": certificate.host,
        "document": _document(certificate),
        "secret": text({"key": certificate.key.reveal()}),
    }


def read_certificate(row: Row) -> HostCertificate:
    """Return the certificate of a row."""
    return _read(HostCertificate, row, ("host",))


def credential_row(credential: Credential) -> dict[str, Any]:
    """Return the columns of a credential."""
    return {
        "id": credential.id,
        "role": credential.role.value,
        "document": _document(credential),
        "secret": text({"hash": credential.hash.reveal()}),
    }


def read_credential(row: Row) -> Credential:
    """Return the credential of a row."""
    return _read(Credential, row, ("id", "role"))


def host_row(host: DockerHost) -> dict[str, Any]:
    """Return the columns of a host."""
    return {**holding_records.host_columns(host.key), "document": _document(host)}


def read_host(row: Row) -> DockerHost:
    """Return the host of a row."""
    return _read_host(row["service_host"], row["docker_host"], row["docker_port"], row.get("document"))


# Each placement reads all hosts, and what their agents are configured with seldom changes.
@lru_cache(_MANY_HOSTS)
def _read_host(service_host: str, docker_host: str, docker_port: int, document: str | None) -> DockerHost:
    key = {"service_host": service_host, "docker_host": docker_host, "docker_port": docker_port}
    return _read(DockerHost, {"document": document, "key": key}, ("key",))


def instance_row(instance: ServiceInstance) -> dict[str, Any]:
    """Return the columns of an instance, but for the ids of operations, which are the persister's own.

    What an update or a move makes of it stands inside, as a whole, but without ids of operations.
    """
    document, secret = _CONVERTER.unstructure(instance), _instance_secrets(instance)
    if (successor := instance.successor) is not None:
        document["successor"] = {"id": successor.id, **_CONVERTER.unstructure(successor)}
        secret["successor"] = _instance_secrets(successor)
    return {
        "id": instance.id,
        "image_name": instance.definition.name,
        "document": text(document),
        "secret": text(secret),
        "neighbourhood": instance.neighbourhood,
        **holding_records.columns(instance),
    }


def read_instance(row: Row) -> ServiceInstance:
    """Return the instance of a row."""
    return _read(ServiceInstance, row, ("id", "operation_id", "last_operation_id"))


def read_instances(rows: Iterable[Row]) -> list[ServiceInstance]:
    """Return the instances up to the first that cannot be read.

    Raises `Unreadable` when that is the very first.
    """
    found: list[ServiceInstance] = []
    try:
        for row in rows:
            found.append(read_instance(row))  # noqa: PERF401 (those before one that cannot be read are kept)
    except Unreadable:
        if not found:
            raise
    return found


def binding_row(binding: ServiceBinding) -> dict[str, Any]:
    """Return the columns of a binding."""
    secret = {
        "parameters": binding.parameters.reveal(),
        "document": binding.document.reveal(),
        "context": binding.context,
        "bind_resource": binding.bind_resource,
    }
    return {
        "instance_id": binding.instance_id,
        "id": binding.id,
        "document": _document(binding),
        "secret": text(secret),
    }


def read_binding(row: Row) -> ServiceBinding:
    """Return the binding of a row."""
    return _read(ServiceBinding, row, ("instance_id", "id"))


def operation_row(operation: Operation) -> dict[str, Any]:
    """Return the columns of an operation, but for those that are the persister's own: its lease and so on."""
    return {
        "id": operation.id,
        "instance_id": operation.instance_id,
        "binding_id": operation.binding_id,
        "phase": operation.phase.value,
        "is_over": operation.is_over,
        "finished_at": operation.finished_at,
        "document": _document(operation),
    }


def read_operation(row: Row) -> Operation:
    """Return the operation of a row."""
    return _read(Operation, row, _ELSEWHERE[Operation])


def _read(kind: type[T], row: Row, columns: tuple[str, ...]) -> T:
    try:
        members = json.loads(row["document"])
        secret = json.loads(row.get("secret", "{}"))
        _join(members, secret)
        members.update({column: row[column] for column in columns})
        return _CONVERTER.structure(members, kind)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # Users are not told which; whoever has to look at it must know.
        names = ("name", "host", "key", "instance_id", "id")
        which = " ".join(str(row[name]) for name in names if name in row)
        _log.error("the {kind} {which} cannot be read", kind=kind.__name__, which=which)
        raise Unreadable(
            f"A record of the broker's database cannot be read as {kind.__name__} ({type(error).__name__}); "
            "the operator must look at it.",
            str(row.get("id", "")),
        ) from None


def _join(members: dict[str, Any], secret: dict[str, Any]) -> None:
    """Put the secret members back where they belong."""
    for inner in ("definition", "successor"):
        if inner in secret:
            _join(members[inner], secret.pop(inner))
    members.update(secret)


def _document(value: AttrsInstance) -> str:
    return text(_CONVERTER.unstructure(value))


def _instance_secrets(instance: ServiceInstance) -> dict[str, Any]:
    return {
        "parameters": instance.parameters.reveal(),
        "provisioned": instance.provisioned.reveal(),
        "context": instance.context,
        "dashboard_url": instance.dashboard_url,
        "definition": _image_secrets(instance.definition),
    }


def _image_secrets(definition: ImageDefinition) -> dict[str, Any]:
    # Addresses of dashboards have passwords in them where there is no login.
    secrets: dict[str, Any] = {"dashboard_url": definition.dashboard_url}
    for name in ("credentials", "dashboard_client"):
        secret: Secret[dict[str, Any]] | None = getattr(definition, name)
        if secret is not None:
            secrets[name] = secret.reveal()
    return secrets


#: The members of each value that the document leaves out: they stand in columns or in `secret`.
_ELSEWHERE: Final[Mapping[type[AttrsInstance], tuple[str, ...]]] = {
    ImageDefinition: ("credentials", "dashboard_client", "dashboard_url"),
    HostCertificate: ("host", "key"),
    Credential: ("id", "role", "hash"),
    DockerHost: ("key",),
    ServiceInstance: (
        "id",
        "operation_id",
        "last_operation_id",
        "parameters",
        "provisioned",
        "context",
        "dashboard_url",
        "successor",
    ),
    ServiceBinding: ("instance_id", "id", "parameters", "document", "context", "bind_resource"),
    Operation: (
        "id",
        "instance_id",
        "binding_id",
        "phase",
        "epoch",
        "owner",
        "deadline",
        "is_cancelled",
        "finished_at",
    ),
}


def _converter() -> Converter:
    converter = Converter(detailed_validation=False)

    def is_secret(kind: Any) -> bool:
        return kind is Secret or get_origin(kind) is Secret

    def refuse(_: Any) -> Any:
        raise TypeError("a secret belongs into the secret column")

    def enclose(value: Any, kind: Any) -> Secret[Any]:
        if not isinstance(value, str if get_args(kind) == (str,) else dict):
            raise TypeError("a secret member is an object, or text where that is said")
        return Secret(value)

    converter.register_unstructure_hook_func(is_secret, refuse)
    converter.register_structure_hook_func(is_secret, enclose)
    for kind, members in _ELSEWHERE.items():
        omitted: dict[str, Any] = {member: override(omit=True) for member in members}
        converter.register_unstructure_hook(kind, make_dict_unstructure_fn(kind, converter, **omitted))
    return converter


_CONVERTER: Final = _converter()
