"""The part of the persister on Redis that keeps the certificates of Docker hosts."""

from typing import Any

from dockerbroker.model.certificates import HostCertificate
from dockerbroker.persisters import records, refusals
from dockerbroker.persisters.redis.rows import unpacked


class RedisCertificates:
    """Keeps certificates."""

    __slots__ = ()

    async def certificates(self) -> list[HostCertificate]:
        """Return every certificate, in the order of the hosts."""
        [found] = await self._ask("certificates")
        return [records.read_certificate(unpacked(row)) for row in found]

    async def certificate(self, host: str) -> HostCertificate | None:
        """Return the certificate of the host."""
        row = await self._record("certificate", host)
        return None if row is None else records.read_certificate(row)

    async def put_certificate(self, certificate: HostCertificate) -> bool:
        """Add or replace a certificate."""
        _, added = await self._call("put_certificate", row=records.certificate_row(certificate))
        return bool(added == "1")

    async def delete_certificate(self, host: str) -> None:
        """Remove a certificate."""
        if await self._call("delete_certificate", host=host) == ["unknown"]:
            raise refusals.certificate_unknown(host)

    async def _record(self, kind: str, first: str, second: str | None = None) -> dict[str, Any] | None:
        raise NotImplementedError

    async def _ask(self, name: str, /, **request: Any) -> list[Any]:
        raise NotImplementedError

    async def _call(self, name: str, /, **request: Any) -> list[Any]:
        raise NotImplementedError
