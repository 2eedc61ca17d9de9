"""The part of the persister on Redis that keeps the credentials of those who are let in."""

from collections.abc import Iterable

from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.credentials import Credential
from dockerbroker.model.roles import Role
from dockerbroker.persisters import refusals
from dockerbroker.persisters.redis.database import RedisDatabase
from dockerbroker.persisters.redis.rows import unpacked


class RedisCredentials(RedisDatabase):
    """Keeps credentials, and counts their changes."""

    __slots__ = ()

    async def credentials(self) -> list[Credential]:
        """Return every credential, in the order of the ids."""
        [found] = await self._ask("credentials")
        return [self.sealed.read_credential(unpacked(row)) for row in found]

    async def seed_credentials(self, credentials: Iterable[Credential]) -> bool:
        """Store the first credentials, the first time."""
        seeds = list(credentials)
        sealed = await self._current()
        rows = [sealed.credential_row(one) for one in seeds]
        told = self._told(auditing.credentials_seeded(seeds))
        word, *_ = await self._call("put_credentials", rows=rows, seeding=True, audit=told)
        return str(word) == "done"

    async def put_credential(self, credential: Credential, *, origin: Origin = ITSELF) -> bool:
        """Add or replace a credential."""
        rows = [(await self._current()).credential_row(credential)]
        told = self._told(auditing.credential_put(credential, origin))
        _, added = await self._call("put_credentials", rows=rows, seeding=None, audit=told)
        return bool(added == "1")

    async def delete_credential(self, credential_id: str, *, origin: Origin = ITSELF) -> None:
        """Remove a credential."""
        told = self._told(auditing.credential_deleted(credential_id, origin))
        kept = Role.ADMINISTRATOR.value
        match await self._call("delete_credential", id=credential_id, kept=kept, audit=told):
            case ["unknown"]:
                raise refusals.credential_unknown(credential_id)
            case ["last"]:
                raise refusals.credential_last()
