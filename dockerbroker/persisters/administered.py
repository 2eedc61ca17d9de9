"""What administrators change, and the log of all changes: a part of the seam of `interfaces`."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from attrs import frozen
from zope.interface import Interface

from dockerbroker.model.audit import ITSELF, AuditEntry, AuditHead, AuditRecord, Origin
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.credentials import Credential

T = TypeVar("T")


@frozen
class Only(Generic[T]):
    """What must be stored for a change to be made; None stands for nothing."""

    stored: T | None


class IAdministered(Interface):
    """Keeps catalog, certificates, credentials and the audit log, as `IPersister` promises for all of it."""

    async def images() -> list[ImageDefinition]:
        """Return the catalog."""

    async def seed_images(definitions: Iterable[ImageDefinition]) -> bool:
        """Fill the catalog the first time this is called on a database; returns whether it did.

        From then on the database rules, also when its catalog is empty. Raises `Conflict`, and has not filled
        it, when two definitions would have one plan id.
        """

    async def put_image(
        definition: ImageDefinition, *, only: Only[ImageDefinition] | None = None, origin: Origin = ITSELF
    ) -> bool:
        """Add or replace the definition of that name; returns whether it is new.

        Raises `Conflict` when another definition has its plan id, and `PreconditionFailed` when another one
        than the `only` one is to be replaced.
        """

    async def delete_image(
        name: str, *, only: Only[ImageDefinition] | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove a definition.

        Raises `NotFound` when there is none, `PreconditionFailed` when it is not the `only` one, and
        `Conflict` when instances of it exist.
        """

    async def certificates() -> list[HostCertificate]:
        """Return every certificate, in the order of the hosts' bytes."""

    async def certificate(host: str) -> HostCertificate | None:
        """Return the certificate of the Docker host, as `folded_host` writes its name, if there is one."""

    async def put_certificate(
        certificate: HostCertificate, *, only: Only[HostCertificate] | None = None, origin: Origin = ITSELF
    ) -> bool:
        """Add or replace, as a whole, the certificate of a Docker host; returns whether it is new.

        Raises `PreconditionFailed` when another one than the `only` one is to be replaced.
        """

    async def delete_certificate(
        host: str, *, only: Only[HostCertificate] | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove the certificate of a Docker host.

        Raises `NotFound` when there is none, and `PreconditionFailed` when it is not the `only` one.
        """

    async def credentials() -> list[Credential]:
        """Return every credential, in the order of the ids' bytes."""

    async def seed_credentials(credentials: Iterable[Credential]) -> bool:
        """Store the first credentials of a database, the first time; returns whether it did."""

    async def put_credential(credential: Credential, *, origin: Origin = ITSELF) -> bool:
        """Add or replace, as a whole, the credential of that id; returns whether it is new."""

    async def delete_credential(credential_id: str, *, origin: Origin = ITSELF) -> None:
        """Remove a credential; raises `NotFound`, and `Conflict` for the last one of administrators."""

    async def write_audit(entry: AuditEntry) -> None:
        """Write a record of something that changes nothing in the database."""

    async def audit(after: int, limit: int) -> list[AuditRecord]:
        """Return at most `limit` records of the audit log whose numbers are greater, in their order."""

    async def audit_head() -> AuditHead:
        """Return the end of the audit log: the number and the hash of its last record."""

    async def forget_audit(before: float, limit: int) -> int:
        """Delete at most `limit` records before that time, in seconds since 1970, and return how many.

        Those that go are the oldest, up to the first that stays, and the last one of all stays.
        """
