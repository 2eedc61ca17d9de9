"""The part of the persister on Redis that keeps the certificates of Docker hosts."""

from typing import Any, Final

from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.persisters import refusals
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.redis.database import RedisDatabase
from dockerbroker.persisters.redis.rows import unpacked

#: The columns in which certificates differ.
_WHOLE: Final = ("document", "secret")


class RedisCertificates(RedisDatabase):
    """Keeps certificates."""

    __slots__ = ()

    async def certificates(self) -> list[HostCertificate]:
        """Return every certificate, in the order of the hosts."""
        [found] = await self._ask("certificates")
        return [self.sealed.read_certificate(unpacked(row)) for row in found]

    async def certificate(self, host: str) -> HostCertificate | None:
        """Return the certificate of the host."""
        row = await self._record("certificate", host)
        return None if row is None else self.sealed.read_certificate(row)

    async def put_certificate(
        self,
        certificate: HostCertificate,
        *,
        only: Only[HostCertificate] | None = None,
        origin: Origin = ITSELF,
    ) -> bool:
        """Add or replace a certificate."""
        row = (await self._current()).certificate_row(certificate)
        told = auditing.certificate_put(certificate, origin)
        _, added = await self._change(
            "put_certificate", certificate.host, only, row=row, audit=self._told(told)
        )
        return bool(added == "1")

    async def delete_certificate(
        self, host: str, *, only: Only[HostCertificate] | None = None, origin: Origin = ITSELF
    ) -> None:
        """Remove a certificate."""
        told = self._told(auditing.certificate_deleted(host, origin))
        if await self._change("delete_certificate", host, only, host=host, audit=told) == ["unknown"]:
            raise refusals.certificate_unknown(host)

    async def _change(
        self, name: str, host: str, only: Only[HostCertificate] | None, /, **request: Any
    ) -> list[Any]:
        """Change a certificate, if it is the only one that may be changed."""
        while True:
            before = None
            if only is not None:
                row = await self._record("certificate", host)
                stored = None if row is None else self.sealed.read_certificate(row)
                if stored is not None or name == "put_certificate":
                    refusals.require(only.stored == stored, f"The certificate of the Docker host {host!r}")
                before = {column: row[column] for column in _WHOLE} if row else {}
            answer = await self._call(name, before=before, **request)
            if answer != ["moved"]:
                return answer
