"""Records whose secrets are sealed: what `records` makes of values, and the secret column sealed."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from attrs import frozen
from twisted.logger import Logger

from dockerbroker.errors import Unreadable
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.credentials import Credential
from dockerbroker.model.instances import ServiceBinding, ServiceInstance
from dockerbroker.persisters import records
from dockerbroker.persisters.archive import KEYS, Kind
from dockerbroker.persisters.documents import Row
from dockerbroker.persisters.vault import Unopened, Vault, place_of


@frozen(eq=False)
class SealedRecords:
    """Makes rows of values that have secrets, and reads them."""

    _log: ClassVar[Logger] = Logger()

    vault: Vault

    def image_row(self, definition: ImageDefinition) -> dict[str, Any]:
        """Return the columns of a catalog entry."""
        return self._sealed(Kind.IMAGE, records.image_row(definition))

    def read_image(self, row: Row) -> ImageDefinition:
        """Return the catalog entry of a row; raises `Unreadable`, as all that read do."""
        return records.read_image(self._opened(Kind.IMAGE, row))

    def certificate_row(self, certificate: HostCertificate) -> dict[str, Any]:
        """Return the columns of a certificate."""
        return self._sealed(Kind.CERTIFICATE, records.certificate_row(certificate))

    def read_certificate(self, row: Row) -> HostCertificate:
        """Return the certificate of a row."""
        return records.read_certificate(self._opened(Kind.CERTIFICATE, row))

    def credential_row(self, credential: Credential) -> dict[str, Any]:
        """Return the columns of a credential."""
        return self._sealed(Kind.CREDENTIAL, records.credential_row(credential))

    def read_credential(self, row: Row) -> Credential:
        """Return the credential of a row."""
        return records.read_credential(self._opened(Kind.CREDENTIAL, row))

    def instance_row(self, instance: ServiceInstance) -> dict[str, Any]:
        """Return the columns of an instance, but for the ids of operations."""
        return self._sealed(Kind.INSTANCE, records.instance_row(instance))

    def read_instance(self, row: Row) -> ServiceInstance:
        """Return the instance of a row."""
        return records.read_instance(self._opened(Kind.INSTANCE, row))

    def read_instances(self, rows: Iterable[Row]) -> list[ServiceInstance]:
        """Return the instances up to the first that cannot be read; see `records.read_instances`."""
        return records.read_instances(self._each_opened(rows))

    def binding_row(self, binding: ServiceBinding) -> dict[str, Any]:
        """Return the columns of a binding."""
        return self._sealed(Kind.BINDING, records.binding_row(binding))

    def read_binding(self, row: Row) -> ServiceBinding:
        """Return the binding of a row."""
        return records.read_binding(self._opened(Kind.BINDING, row))

    def _each_opened(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            yield self._opened(Kind.INSTANCE, row)

    def _sealed(self, kind: Kind, row: dict[str, Any]) -> dict[str, Any]:
        row["secret"] = self.vault.seal(place_of(kind, row), row["secret"])
        return row

    def _opened(self, kind: Kind, row: Row) -> Row:
        try:
            return {**row, "secret": self.vault.open(place_of(kind, row), row["secret"])}
        except (AttributeError, KeyError, TypeError, Unopened) as error:
            which = " ".join(str(row.get(name, "")) for name in KEYS[kind])
            why = error if isinstance(error, Unopened) else "it is absent"
            self._log.error(
                "the secret of the record {which} among the {kind} does not open: {why}",
                which=which,
                kind=kind.value,
                why=str(why),
            )
            raise Unreadable(
                "A secret of the broker's database does not open; the operator must look at it.",
                str(row.get("id", "")),
            ) from None
