"""What administrators change, in memory, and how calls of a persister in memory fail when told to."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from attrs import define, field, frozen

from dockerbroker.errors import Conflict, NotFound, PreconditionFailed, Unavailable
from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, AuditEntry, AuditHead, AuditRecord, Origin, forgettable
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.credentials import Credential
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.archive import CLOSED
from dockerbroker.persisters.audit_rows import read_audit
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.vault import Vault
from tests.memory_tables import Row, Tables

T = TypeVar("T")


@frozen
class Fault:
    """An error that one call raises, before it did anything or after it wrote."""

    error: Exception
    written: bool


def _require(only: Only[T], read: Callable[[Row], T], row: Row | None) -> None:
    if only.stored != (None if row is None else read(row)):
        raise PreconditionFailed("It was changed by somebody else.")


@define(eq=False)
class MemoryAdministered:
    """Keeps catalog, certificates, credentials and the audit log in memory, by the rules of `IAdministered`.

    `seconds` is the clock of the leases, such as `Clock().seconds`. `calls` holds the names of the methods
    that were called.
    """

    seconds: Callable[[], float]
    tables: Tables = field(factory=Tables)
    vault: Vault = field(factory=Vault)
    wall: Callable[[], float] = time.time
    calls: list[str] = field(factory=list, init=False)
    _faults: defaultdict[str, deque[Fault]] = field(factory=lambda: defaultdict(deque), init=False)

    @property
    def sealed(self) -> SealedRecords:
        """Records whose secrets are sealed by the vault."""
        if self.vault.is_stale:
            self.vault.learn(self.tables.sealing)
        return SealedRecords(self.vault)

    def fail_next(self, method: str, error: Exception, *, written: bool = False) -> None:
        """Let the next call of the method that has no fault yet raise the error.

        With `written` the call does its work first, as when the database's reply is lost.
        """
        self._faults[method].append(Fault(error, written))

    async def images(self) -> list[ImageDefinition]:
        """Return the catalog, in the order of the names."""
        with self._call("images"):
            return [self.sealed.read_image(row) for _, row in sorted(self.tables.images.items())]

    async def seed_images(self, definitions: Iterable[ImageDefinition]) -> bool:
        """Fill the catalog the first time."""
        with self._call("seed_images"):
            if self.tables.seeded:
                return False
            images, seeds = dict(self.tables.images), list(definitions)
            for definition in seeds:
                for row in images.values():
                    self.sealed.read_image(row).require_room_for(definition)
                images[definition.name] = self.sealed.image_row(definition)
            self.tables.images = images
            self.tables.seeded = True
            self._tell(auditing.catalog_seeded(seeds))
            return True

    async def put_image(
        self,
        definition: ImageDefinition,
        *,
        only: Only[ImageDefinition] | None = None,
        origin: Origin = ITSELF,
    ) -> bool:
        """Add or replace a definition."""
        with self._call("put_image"):
            self._require_open()
            if only is not None:
                _require(only, self.sealed.read_image, self.tables.images.get(definition.name))
            for row in self.tables.images.values():
                self.sealed.read_image(row).require_room_for(definition)
            is_new = definition.name not in self.tables.images
            self.tables.images[definition.name] = self.sealed.image_row(definition)
            self._tell(auditing.image_put(definition, origin))
            return is_new

    async def delete_image(
        self, name: str, *, only: Only[ImageDefinition] | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove a definition."""
        with self._call("delete_image"):
            self._require_open()
            if name not in self.tables.images:
                raise NotFound(f"The image {name!r} does not exist.")
            if only is not None:
                _require(only, self.sealed.read_image, self.tables.images[name])
            if any(row["image_name"] == name for row in self.tables.instances.values()):
                raise Conflict(f"The image {name!r} has service instances.")
            del self.tables.images[name]
            self._tell(auditing.image_deleted(name, origin))

    async def certificates(self) -> list[HostCertificate]:
        """Return every certificate, in the order of the hosts."""
        with self._call("certificates"):
            return [self.sealed.read_certificate(row) for _, row in sorted(self.tables.certificates.items())]

    async def certificate(self, host: str) -> HostCertificate | None:
        """Return the certificate of the host."""
        with self._call("certificate"):
            row = self.tables.certificates.get(host)
            return None if row is None else self.sealed.read_certificate(row)

    async def put_certificate(
        self,
        certificate: HostCertificate,
        *,
        only: Only[HostCertificate] | None = None,
        origin: Origin = ITSELF,
    ) -> bool:
        """Add or replace a certificate."""
        with self._call("put_certificate"):
            self._require_open()
            if only is not None:
                _require(only, self.sealed.read_certificate, self.tables.certificates.get(certificate.host))
            is_new = certificate.host not in self.tables.certificates
            self.tables.certificates[certificate.host] = self.sealed.certificate_row(certificate)
            self._tell(auditing.certificate_put(certificate, origin))
            return is_new

    async def delete_certificate(
        self, host: str, *, only: Only[HostCertificate] | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove a certificate."""
        with self._call("delete_certificate"):
            self._require_open()
            if host not in self.tables.certificates:
                raise NotFound(f"There is no certificate for the Docker host {host!r}.")
            if only is not None:
                _require(only, self.sealed.read_certificate, self.tables.certificates[host])
            del self.tables.certificates[host]
            self._tell(auditing.certificate_deleted(host, origin))

    async def credentials(self) -> list[Credential]:
        """Return every credential, in the order of the ids."""
        with self._call("credentials"):
            return [self.sealed.read_credential(row) for _, row in sorted(self.tables.credentials.items())]

    async def seed_credentials(self, credentials: Iterable[Credential]) -> bool:
        """Store the first credentials, the first time."""
        with self._call("seed_credentials"):
            if self.tables.credential_changes:
                return False
            self._require_open()
            seeds = list(credentials)
            self.tables.credentials.update((one.id, self.sealed.credential_row(one)) for one in seeds)
            self._tell(auditing.credentials_seeded(seeds))
            self.tables.credential_changes += 1
            return True

    async def put_credential(self, credential: Credential, *, origin: Origin = ITSELF) -> bool:
        """Add or replace a credential."""
        with self._call("put_credential"):
            self._require_open()
            is_new = credential.id not in self.tables.credentials
            self.tables.credentials[credential.id] = self.sealed.credential_row(credential)
            self._tell(auditing.credential_put(credential, origin))
            self.tables.credential_changes += 1
            return is_new

    async def delete_credential(self, credential_id: str, *, origin: Origin = ITSELF) -> None:
        """Remove a credential."""
        with self._call("delete_credential"):
            self._require_open()
            rows = self.tables.credentials
            if credential_id not in rows:
                raise NotFound(f"There is no credential {credential_id!r}.")
            roles = Counter(row["role"] for row in rows.values())
            if rows[credential_id]["role"] == "administrator" and roles["administrator"] == 1:
                raise Conflict("This is the last credential of administrators.")
            del rows[credential_id]
            self._tell(auditing.credential_deleted(credential_id, origin))
            self.tables.credential_changes += 1

    async def write_audit(self, entry: AuditEntry) -> None:
        """Write a record by itself."""
        with self._call("write_audit"):
            self._require_open()
            self._tell(entry)

    async def audit(self, after: int, limit: int) -> list[AuditRecord]:
        """Return records of the audit log."""
        with self._call("audit"):
            return [read_audit(row) for row in self.tables.audit if row["number"] > after][:limit]

    async def audit_head(self) -> AuditHead:
        """Return the end of the audit log."""
        with self._call("audit_head"):
            return self.tables.audit_head()

    async def forget_audit(self, before: float, limit: int) -> int:
        """Delete the oldest records."""
        with self._call("forget_audit"):
            last = forgettable([read_audit(row) for row in self.tables.audit[: limit + 1]], before)
            left = [row for row in self.tables.audit if last is None or row["number"] > last]
            deleted, self.tables.audit = len(self.tables.audit) - len(left), left
            return deleted

    def _tell(self, *entries: AuditEntry) -> None:
        self.tables.append(entries, self.wall())

    def _require_open(self) -> None:
        if self.tables.closed:
            raise Unavailable(CLOSED)

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        self.calls.append(method)
        fault = self._faults[method].popleft() if self._faults[method] else None
        if fault is not None and not fault.written:
            raise fault.error
        yield
        if fault is not None:
            raise fault.error
