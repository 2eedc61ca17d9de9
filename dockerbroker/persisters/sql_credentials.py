"""The part of the persister on a SQL database that keeps the credentials of those who are let in."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, AuditEntry, Origin
from dockerbroker.model.credentials import Credential
from dockerbroker.model.roles import Role
from dockerbroker.persisters import queries, refusals
from dockerbroker.persisters.databases import Query
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.sql_audit import note
from dockerbroker.persisters.tables import credentials, deployment

T = TypeVar("T")

_FIND_ALL: Final = select(credentials).order_by(credentials.c.id)
_FIND_ROLE: Final = select(credentials.c.role).where(credentials.c.id == bindparam("wanted"))
_COUNT: Final = (
    select(func.count()).select_from(credentials).where(credentials.c.role == bindparam("wanted_role"))
)


class SqlCredentials:
    """Keeps credentials, and counts their changes."""

    __slots__ = ()

    sealed: SealedRecords
    wall: Callable[[], float]

    async def credentials(self) -> list[Credential]:
        """Return every credential, in the order of the ids."""
        return await self._read(lambda connection: _find_all(connection, self.sealed))

    async def seed_credentials(self, credentials: Iterable[Credential]) -> bool:
        """Store the first credentials, the first time."""
        seeds = list(credentials)
        told = auditing.credentials_seeded(seeds)

        def seed(connection: Connection) -> bool:
            is_seeded = _seed(connection, self.sealed, seeds)
            if is_seeded:
                note(connection, told, self.wall())
            return is_seeded

        return await self._write(seed)

    async def put_credential(self, credential: Credential, *, origin: Origin = ITSELF) -> bool:
        """Add or replace a credential."""
        told = auditing.credential_put(credential, origin)
        return await self._change(told, lambda connection: _put(connection, self.sealed, credential))

    async def delete_credential(self, credential_id: str, *, origin: Origin = ITSELF) -> None:
        """Remove a credential."""
        await self._change(
            auditing.credential_deleted(credential_id, origin),
            lambda connection: _delete(connection, credential_id),
            done=lambda connection: _find_role(connection, credential_id) is None or None,
        )

    async def _read(self, query: Query[T]) -> T:
        raise NotImplementedError

    async def _write(
        self, query: Query[T], *, done: Query[T | None] | None = None, is_told: bool = True
    ) -> T:
        raise NotImplementedError

    async def _change(self, entry: AuditEntry, query: Query[T], *, done: Query[T | None] | None = None) -> T:
        raise NotImplementedError


def _find_all(connection: Connection, sealed: SealedRecords) -> list[Credential]:
    return [sealed.read_credential(row) for row in connection.execute(_FIND_ALL).mappings()]


def _find_role(connection: Connection, credential_id: str) -> str | None:
    return connection.execute(_FIND_ROLE, {"wanted": credential_id}).scalar()


def _seed(connection: Connection, sealed: SealedRecords, first: Iterable[Credential]) -> bool:
    # Whoever seeds at this moment waits, and sees these.
    seeding = update(deployment).where(deployment.c.credentials == 0).values(credentials=1)
    if connection.execute(seeding).rowcount == 0:
        return False
    for credential in first:
        _put(connection, sealed, credential)
    return True


def _put(connection: Connection, sealed: SealedRecords, credential: Credential) -> bool:
    queries.require_open(connection, alone=True)
    row = sealed.credential_row(credential)
    _count_change(connection)
    if _find_role(connection, credential.id) is not None:
        connection.execute(update(credentials).where(credentials.c.id == credential.id).values(row))
        return False
    connection.execute(insert(credentials).values(row))
    return True


def _delete(connection: Connection, credential_id: str) -> bool:
    # Of two who remove the last two at once the second one waits, and is refused.
    queries.require_open(connection, alone=True)
    role = _find_role(connection, credential_id)
    if role is None:
        raise refusals.credential_unknown(credential_id)
    if role == Role.ADMINISTRATOR.value:
        left = connection.execute(_COUNT, {"wanted_role": role}).scalar_one()
        if left < 2:  # noqa: PLR2004 (itself)
            raise refusals.credential_last()
    connection.execute(delete(credentials).where(credentials.c.id == credential_id))
    _count_change(connection)
    return True


def _count_change(connection: Connection) -> None:
    connection.execute(update(deployment).values(credentials=deployment.c.credentials + 1))
