"""The part of the persister on Redis that keeps the credentials of those who are let in."""

from collections.abc import Iterable
from typing import Any

from dockerbroker.model.credentials import Credential
from dockerbroker.model.roles import Role
from dockerbroker.persisters import refusals
from dockerbroker.persisters.redis.rows import unpacked
from dockerbroker.persisters.sealed_records import SealedRecords


class RedisCredentials:
    """Keeps credentials, and counts their changes."""

    __slots__ = ()

    sealed: SealedRecords

    async def credentials(self) -> list[Credential]:
        """Return every credential, in the order of the ids."""
        [found] = await self._ask("credentials")
        return [self.sealed.read_credential(unpacked(row)) for row in found]

    async def seed_credentials(self, credentials: Iterable[Credential]) -> bool:
        """Store the first credentials, the first time."""
        rows = [self.sealed.credential_row(one) for one in credentials]
        word, *_ = await self._call("put_credentials", rows=rows, seeding=True)
        return str(word) == "done"

    async def put_credential(self, credential: Credential) -> bool:
        """Add or replace a credential."""
        rows = [self.sealed.credential_row(credential)]
        _, added = await self._call("put_credentials", rows=rows, seeding=None)
        return bool(added == "1")

    async def delete_credential(self, credential_id: str) -> None:
        """Remove a credential."""
        match await self._call("delete_credential", id=credential_id, kept=Role.ADMINISTRATOR.value):
            case ["unknown"]:
                raise refusals.credential_unknown(credential_id)
            case ["last"]:
                raise refusals.credential_last()

    async def _ask(self, name: str, /, **request: Any) -> list[Any]:
        raise NotImplementedError

    async def _call(self, name: str, /, **request: Any) -> list[Any]:
        raise NotImplementedError
