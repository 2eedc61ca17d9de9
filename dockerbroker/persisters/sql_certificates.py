"""The part of the persister on a SQL database that keeps the certificates of Docker hosts."""

from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, AuditEntry, Origin
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.persisters import queries, refusals
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.databases import Query
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.tables import certificates

T = TypeVar("T")

_FIND_ALL: Final = select(certificates).order_by(certificates.c.host)
_FIND: Final = select(certificates).where(certificates.c.host == bindparam("wanted"))


class SqlCertificates:
    """Keeps certificates."""

    __slots__ = ()

    sealed: SealedRecords

    async def certificates(self) -> list[HostCertificate]:
        """Return every certificate, in the order of the hosts."""
        return await self._read(lambda connection: _find_all(connection, self.sealed))

    async def certificate(self, host: str) -> HostCertificate | None:
        """Return the certificate of the host."""
        return await self._read(lambda connection: _find(connection, self.sealed, host))

    async def put_certificate(
        self,
        certificate: HostCertificate,
        *,
        only: Only[HostCertificate] | None = None,
        origin: Origin = ITSELF,
    ) -> bool:
        """Add or replace a certificate."""

        def done(connection: Connection) -> bool | None:
            is_there = only is not None and _find(connection, self.sealed, certificate.host) == certificate
            return (only is not None and only.stored is None) if is_there else None

        told = auditing.certificate_put(certificate, origin)
        return await self._change(
            told, lambda connection: _put(connection, self.sealed, certificate, only), done=done
        )

    async def delete_certificate(
        self, host: str, *, only: Only[HostCertificate] | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove a certificate."""
        await self._change(
            auditing.certificate_deleted(host, origin),
            lambda connection: _delete(connection, self.sealed, host, only),
            done=lambda connection: not _exists(connection, host) or None,
        )

    async def _read(self, query: Query[T]) -> T:
        raise NotImplementedError

    async def _change(self, entry: AuditEntry, query: Query[T], *, done: Query[T | None] | None = None) -> T:
        raise NotImplementedError


def _find_all(connection: Connection, sealed: SealedRecords) -> list[HostCertificate]:
    return [sealed.read_certificate(row) for row in connection.execute(_FIND_ALL).mappings()]


def _find(connection: Connection, sealed: SealedRecords, host: str) -> HostCertificate | None:
    row = connection.execute(_FIND, {"wanted": host}).mappings().first()
    return None if row is None else sealed.read_certificate(row)


def _exists(connection: Connection, host: str) -> bool:
    return connection.execute(_FIND, {"wanted": host}).first() is not None


def _put(
    connection: Connection,
    sealed: SealedRecords,
    certificate: HostCertificate,
    only: Only[HostCertificate] | None,
) -> bool:
    # Whoever adds another one at this moment waits, and sees this one.
    queries.require_open(connection, alone=True)
    row = sealed.certificate_row(certificate)
    same = certificates.c.host == certificate.host
    if only is not None:
        is_same = only.stored == _find(connection, sealed, certificate.host)
        refusals.require(is_same, f"The certificate of the Docker host {certificate.host!r}")
    if _exists(connection, certificate.host):
        connection.execute(update(certificates).where(same).values(row))
        return False
    connection.execute(insert(certificates).values(row))
    return True


def _delete(
    connection: Connection, sealed: SealedRecords, host: str, only: Only[HostCertificate] | None
) -> bool:
    queries.require_open(connection, alone=True)
    if only is not None and (stored := _find(connection, sealed, host)) is not None:
        refusals.require(only.stored == stored, f"The certificate of the Docker host {host!r}")
    if connection.execute(delete(certificates).where(certificates.c.host == host)).rowcount == 0:
        raise refusals.certificate_unknown(host)
    return True
