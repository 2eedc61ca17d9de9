"""Administers the credentials of those who are let in."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from dockerbroker.broker.authentication import Authenticator, InThread
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.credentials import (
    Cost,
    Credential,
    Login,
    PasswordHash,
    Salt,
    check_login,
    new_id,
    recognized,
    salt_for,
)
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Credentials:
    """Reads and changes credentials; passwords are hashed in threads, and kept nowhere.

    `wall` is seconds since 1970, and `cost` what the hash of a new password costs.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    run: InThread
    wall: Callable[[], float]
    cost: Cost = field(factory=Cost)

    async def all(self) -> list[Credential]:
        """Return every credential, in the order of the ids."""
        return await self.persister.credentials()

    async def add(self, login: Login, origin: Origin = ITSELF) -> Credential:
        """Let somebody in by that password, too; raises `InvalidRequest`."""
        check_login(login)
        salt = salt_for(await self.persister.credentials(), login, self.cost)
        [credential] = await self._hashed([login], salt)
        await self.persister.put_credential(credential, origin=origin)
        self._log.info(
            "The credential {id} lets {user!r} in as {role}",
            id=credential.id,
            user=credential.user,
            role=credential.role.value,
        )
        return credential

    async def remove(self, credential_id: str, origin: Origin = ITSELF) -> None:
        """Let nobody in by that credential any more; raises `NotFound` or `Conflict`."""
        await self.persister.delete_credential(credential_id, origin=origin)
        self._log.info("The credential {id} lets nobody in any more", id=credential_id)

    async def seed(self, logins: Sequence[Login]) -> list[Credential]:
        """Store the first credentials of a new database; returns what was stored, none for a known one."""
        if (await self.persister.state()).credentials:
            return []
        seeds = await self._hashed(logins, Salt.new(self.cost))
        return seeds if await self.persister.seed_credentials(seeds) else []

    async def _hashed(self, logins: Sequence[Login], salt: Salt) -> list[Credential]:
        now = self.wall()

        def made() -> list[Credential]:
            # Those of a new database are mostly one password in all roles.
            hashes: dict[str, str] = {}
            for login in logins:
                password = login.password.reveal()
                if password not in hashes:
                    hashes[password] = PasswordHash.of(password.encode(), salt).encode()
            return [
                Credential(
                    id=new_id(),
                    role=login.role,
                    user=login.user,
                    host=login.host,
                    created_at=now,
                    hash=Secret(hashes[login.password.reveal()]),
                )
                for login in logins
            ]

        return await self.run(made)


@define(eq=False)
class Admission:
    """Keeps what the authenticator knows as the database has it."""

    _log: ClassVar[Logger] = Logger()

    credentials: Credentials
    authenticator: Authenticator
    _known: Sequence[Credential] = field(default=(), init=False)
    _begun: int = field(default=0, init=False)
    _learned: int = field(default=0, init=False)

    async def refresh(self) -> None:
        """Let in by what is in the database now."""
        self._begun = begun = self._begun + 1
        found = await self.credentials.all()
        if begun < self._learned:
            # What was read before may have somebody in it who has been removed.
            return
        self._known, self._learned = found, begun
        self.authenticator.learn(found)

    async def add(self, login: Login, origin: Origin) -> Credential:
        """Let somebody in, at once by this broker; raises as `Credentials.add`."""
        credential = await self.credentials.add(login, origin)
        await self.refresh()
        return credential

    async def remove(self, credential_id: str, origin: Origin) -> None:
        """Let nobody in by a credential any more, at once by this broker; raises as `Credentials.remove`."""
        await self.credentials.remove(credential_id, origin)
        await self.refresh()

    async def begin(self, logins: Sequence[Login]) -> None:
        """Store the logins of the configuration in a new database, and let in by what is in the database.

        Returns before it is known whether a database that is not new has these logins.
        """
        seeded = await self.credentials.seed(logins)
        await self.refresh()
        if not seeded:
            comparing = Deferred.fromCoroutine(self.compare(logins))
            comparing.addErrback(lambda failure: self._log.failure("comparing credentials", failure))
            return
        self._log.info("The credentials are new, those of the configuration in every role")
        for login, credential in zip(logins, seeded, strict=True):
            self.authenticator.welcome(login, credential)

    async def compare(self, logins: Sequence[Login]) -> None:
        """Warn of logins of the configuration that are not, or not any more, in the database."""
        known = self._known
        found = await self.credentials.run(lambda: recognized(known, logins))
        for login, credential in zip(logins, found, strict=True):
            if credential is not None:
                self.authenticator.welcome(login, credential)
                continue
            self._log.warn(
                "The user {user!r} and its password in the section services of the configuration do not let "
                "anybody in as {role}: they counted when the database was new, and others are in it. To let "
                "them in run dockerbroker credentials add --role {role} --user {user}",
                user=login.user,
                role=login.role.value,
            )
