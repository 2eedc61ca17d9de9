"""The credentials of a configuration, and those of the database."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar, cast

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.authentication import Realm
from dockerbroker.broker.credentials import Admission, Credentials
from dockerbroker.errors import InvalidRequest, Unauthenticated
from dockerbroker.model.audit import ITSELF
from dockerbroker.model.credentials import Credential, Login
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.interfaces import IPersister
from tests.broker.test_authentication import claim
from tests.credentials import CHEAP, authenticator
from tests.memory_persister import MemoryPersister

T = TypeVar("T")

LOGINS = [Login(role=role, user="cf", password=Secret("one")) for role in Role]


class AdmissionTests(SynchronousTestCase):
    """What a broker does with the logins of its configuration when it starts."""

    def setUp(self) -> None:
        """Have an empty database."""
        self.persister = MemoryPersister(lambda: 0.0)

    def done(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def started(self, logins: Sequence[Login] = LOGINS) -> tuple[Admission, list[str]]:
        """Start a broker with these logins; return what it knows, and the lines of its log."""
        credentials = Credentials(self.persister, execute, lambda: 7.0, CHEAP)
        admission = Admission(credentials, authenticator(Clock(), []))
        with capturedLogs() as events:
            self.done(admission.begin(logins))
        return admission, [formatEvent(event) for event in events]

    def test_seeded(self) -> None:
        """A new database gets them in every role, hashed, and they are known without another hash."""
        admission, lines = self.started()
        stored = self.done(self.persister.credentials())
        self.assertEqual(
            {(one.role, one.user, one.created_at) for one in stored}, {(r, "cf", 7.0) for r in Role}
        )
        self.assertNotIn("one", repr(self.persister.tables.credentials))
        self.assertEqual(len(lines), 1)
        known = admission.authenticator.known(Realm.of(Role.PLATFORM), claim("one").header)
        self.assertEqual(known.name if known else None, "cf")

    def test_once(self) -> None:
        """Later the database rules: of other logins the log names the command, and no password."""
        self.started()
        changed = [evolve(one, password=Secret("another one")) for one in LOGINS[:2]]
        admission, lines = self.started([*changed, LOGINS[2]])
        self.assertEqual(len(self.done(self.persister.credentials())), 3)
        self.assertEqual(len(lines), 2)
        for line, login in zip(lines, changed, strict=True):
            self.assertIn(f"dockerbroker credentials add --role {login.role.value} --user cf", line)
            self.assertNotIn("another one", line)
        for password, is_known in (("another one", False), ("one", True)):
            asked = claim(password, realm=Realm.of(LOGINS[2].role))
            self.assertIs(admission.authenticator.known(asked.realm, asked.header) is not None, is_known)

    def test_unchanged(self) -> None:
        """As long as the file has what is in the database nothing is to be said."""
        self.started()
        self.assertEqual(self.started()[1], [])

    def test_salts(self) -> None:
        """All passwords of one user have one salt, those of others another one."""
        admission, _ = self.started()
        for user in ("cf", "new"):
            login = Login(role=Role.AGENT, user=user, password=Secret(f"password {user}"))
            self.done(admission.add(login, ITSELF))
        salts: dict[tuple[Role, str], set[bytes]] = {}
        for one in self.done(self.persister.credentials()):
            salts.setdefault((one.role, one.user), set()).add(one.password_hash.salt.value)
        self.assertEqual([len(found) for found in salts.values()], [1] * 4)
        self.assertNotEqual(salts[Role.AGENT, "cf"], salts[Role.AGENT, "new"])

    def test_weak(self) -> None:
        """Who adds a password later must choose a longer one than a file may have."""
        admission, _ = self.started()
        call = Deferred.fromCoroutine(admission.add(evolve(LOGINS[0], password=Secret("short")), ITSELF))
        self.failureResultOf(call, InvalidRequest)

    def test_overtaken(self) -> None:
        """What was read before a credential was removed, and comes after it, lets nobody in again."""
        admission, _ = self.started()
        slow: Deferred[list[Credential]] = Deferred()
        before = self.done(self.persister.credentials())
        persister = admission.credentials.persister
        admission.credentials.persister = cast("IPersister", Slow(slow))
        reading = Deferred.fromCoroutine(admission.refresh())
        admission.credentials.persister = persister
        [removed] = [one for one in before if one.role is Role.PLATFORM]
        self.done(admission.remove(removed.id, ITSELF))
        slow.callback(before)
        self.successResultOf(reading)
        self.failureResultOf(admission.authenticator.authenticate(claim("one")), Unauthenticated)


@frozen
class Slow:
    """A database whose credentials are not read yet."""

    read: Deferred[list[Credential]]

    async def credentials(self) -> list[Credential]:
        """Return what it reads at last."""
        return await self.read
