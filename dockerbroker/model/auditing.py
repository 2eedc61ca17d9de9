"""What the audit log tells of each change; an operation has a record when it begins, and one at its end."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from dockerbroker.model.audit import AuditEntry, Origin, Result, content_digest
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.credentials import Credential
from dockerbroker.model.hosts import SETTINGS, DockerHost, HostKey
from dockerbroker.model.instances import Change, Operation, OperationKind, Phase, ServiceInstance
from dockerbroker.model.standing import host_id
from dockerbroker.model.vitals import Ping

#: Every action that a record may tell of.
ACTIONS: Final = frozenset(
    {
        *(kind.value for kind in OperationKind),
        "cancel",
        "change host",
        "change keys",
        "cordon host",
        "delete certificate",
        "delete credential",
        "delete image",
        "drain host",
        "forget host",
        "ping",
        "put certificate",
        "put credential",
        "put image",
        "reap",
        "register host",
        "retry",
        "seed catalog",
        "seed credentials",
        "uncordon host",
        "undrain host",
    }
)


def of_beginning(change: Change, superseded: Operation | None = None) -> list[AuditEntry]:
    """Return what is written when an operation begins; `superseded` is the one that it ends, as it is then.

    One of which nothing has to be done is over at once.
    """
    ended = [] if superseded is None else [_ended(superseded)]
    operation = change.operation
    begun = AuditEntry(
        action=operation.kind.value,
        subject=operation.instance_id,
        origin=operation.origin,
        result=Result.BEGUN,
        binding_id=operation.binding_id or "",
        operation_id=operation.id,
        detail=_wanted(change.instance),
    )
    return [*ended, begun, *of_commit(change)]


def of_commit(change: Change) -> list[AuditEntry]:
    """Return what is written when an operation is over; its progress is no change that anybody asked for."""
    return [_ended(change.operation)] if change.operation.is_over else []


def _ended(operation: Operation) -> AuditEntry:
    is_done = operation.phase is Phase.SUCCEEDED
    return AuditEntry(
        action=operation.kind.value,
        subject=operation.instance_id,
        origin=operation.origin,
        result=Result.SUCCEEDED if is_done else Result.FAILED,
        binding_id=operation.binding_id or "",
        operation_id=operation.id,
        detail="" if is_done else _kind_of_failure(operation.description),
    )


#: Beginnings of descriptions that are the broker's own words, with nothing in them that others have said.
_OWN_WORDS: Final = re.compile(
    r"/(?:provision|update|bind|unbind|deprovision) of the service image "
    r"(?:failed with exit status -?\d{1,10}|printed something other than one JSON object)"
    r"|The [a-z]+ took too long: it was stopped in the step '[a-z]+'"
    r"|The [a-z]+ was cancelled by an operator"
    r"|The creation was ended by a deletion"
    r"|The broker failed unexpectedly"
)
_CONTAINER: Final = re.compile(
    r"The container of .*? (ended with exit status -?\d{1,10}|was not ready within)"
)
_UNTOLD: Final = "The record of the operation tells why"


def _kind_of_failure(description: str) -> str:
    """Return what a record tells of a failure: never a text of an image, which could be a secret.

    What a service has invented and prints is unknown to the broker, and nothing can be taken out of the log.
    """
    if own := _OWN_WORDS.match(description):
        return f"{own[0]}."
    if ended := _CONTAINER.match(description):
        return f"The container {ended[1].removesuffix(' within')}."
    return f"{_UNTOLD}."


def _wanted(instance: ServiceInstance | None) -> str:
    """Return the service, the plan and the host that an instance has, or is to have."""
    if instance is None:
        return ""
    wanted = instance.successor or instance
    return f"{wanted.definition.name} {wanted.plan.name} on {wanted.host.service_host}"


def keys_changing(label: str, origin: Origin) -> AuditEntry:
    """Return what is written when another key begins to seal secrets."""
    return AuditEntry(action="change keys", subject=label, origin=origin, result=Result.BEGUN)


def keys_changed(label: str, origin: Origin) -> AuditEntry:
    """Return what is written when all secrets are sealed with a key."""
    return AuditEntry(action="change keys", subject=label, origin=origin)


def records_moved(source: str, counts: Mapping[str, int], origin: Origin) -> AuditEntry:
    """Tell that all records came from another database; `counts` are how many there are of each kind."""
    detail = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return AuditEntry(action="migrate state", subject=source, origin=origin, detail=detail)


def image_put(definition: ImageDefinition, origin: Origin) -> AuditEntry:
    """Tell that a definition was added to the catalog, or replaced."""
    plans = " ".join(plan.id for plan in definition.plans)
    return AuditEntry(action="put image", subject=definition.name, origin=origin, detail=f"plans {plans}")


def image_deleted(name: str, origin: Origin) -> AuditEntry:
    """Tell that a definition was removed from the catalog."""
    return AuditEntry(action="delete image", subject=name, origin=origin)


def catalog_seeded(definitions: Iterable[ImageDefinition]) -> AuditEntry:
    """Tell that the catalog was filled from the configuration."""
    names = " ".join(definition.name for definition in definitions)
    return AuditEntry(action="seed catalog", subject="catalog", detail=names)


def certificate_put(certificate: HostCertificate, origin: Origin) -> AuditEntry:
    """Tell that a host has another certificate."""
    # Of the text as it came: a record must not depend on whether it can be read as a certificate.
    detail = f"SHA-256 of its text {content_digest(certificate.certificate)}"
    return AuditEntry(action="put certificate", subject=certificate.host, origin=origin, detail=detail)


def certificate_deleted(host: str, origin: Origin) -> AuditEntry:
    """Tell that a host has no certificate any more."""
    return AuditEntry(action="delete certificate", subject=host, origin=origin)


def credential_put(credential: Credential, origin: Origin) -> AuditEntry:
    """Tell that somebody is let in by one more password."""
    host = f" for the host {credential.host}" if credential.host else ""
    detail = f"{credential.role.value} {credential.user}{host}"
    return AuditEntry(action="put credential", subject=credential.id, origin=origin, detail=detail)


def credential_deleted(credential_id: str, origin: Origin) -> AuditEntry:
    """Tell that nobody is let in by a password any more."""
    return AuditEntry(action="delete credential", subject=credential_id, origin=origin)


def credentials_seeded(credentials: Iterable[Credential]) -> AuditEntry:
    """Tell that those of the configuration are let in."""
    names = ", ".join(f"{one.role.value} {one.user}" for one in credentials)
    return AuditEntry(action="seed credentials", subject="credentials", detail=names)


def ping_refused(ping: Ping, why: str) -> AuditEntry:
    """Tell that an agent has said of a host what it must not say."""
    host = host_id(ping.host.key)
    return AuditEntry(action="ping", subject=host, origin=ping.origin, result=Result.REFUSED, detail=why)


def host_registered(ping: Ping) -> AuditEntry:
    """Tell that an agent has pinged for a host that was not known."""
    return AuditEntry(action="register host", subject=host_id(ping.host.key), origin=ping.origin)


def host_changed(ping: Ping, before: DockerHost | None) -> list[AuditEntry]:
    """Return what is written when the agent of a known host tells other settings than before.

    Those that could not be read any more, and so are None, are all told.
    """
    changed = [
        told
        for name, told in SETTINGS.items()
        if before is None or getattr(before, name) != getattr(ping.host, name)
    ]
    if not changed:
        return []
    # Arguments and labels may be anything: only their names are told.
    detail, host = ", ".join(changed), host_id(ping.host.key)
    return [AuditEntry(action="change host", subject=host, origin=ping.origin, detail=detail)]


def host_cordoned(key: HostKey, origin: Origin, *, is_cordoned: bool) -> AuditEntry:
    """Tell that nothing may be placed on a host, or may be again."""
    action = "cordon host" if is_cordoned else "uncordon host"
    return AuditEntry(action=action, subject=host_id(key), origin=origin)


def host_drained(key: HostKey, origin: Origin, *, is_draining: bool) -> AuditEntry:
    """Tell that the instances of a host are to move to others, or may stay."""
    action = "drain host" if is_draining else "undrain host"
    return AuditEntry(action=action, subject=host_id(key), origin=origin)


def host_forgotten(key: HostKey, origin: Origin) -> AuditEntry:
    """Tell that a host was forgotten."""
    return AuditEntry(action="forget host", subject=host_id(key), origin=origin)


def operation_cancelled(operation_id: str, origin: Origin) -> AuditEntry:
    """Tell that an operation is to be undone."""
    return AuditEntry(action="cancel", subject=operation_id, origin=origin, operation_id=operation_id)


def operation_hastened(operation_id: str, origin: Origin) -> AuditEntry:
    """Tell that an operation is to be tried again at once."""
    return AuditEntry(action="retry", subject=operation_id, origin=origin, operation_id=operation_id)
