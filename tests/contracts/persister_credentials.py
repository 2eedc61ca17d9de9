"""What every persister promises of the credentials of those who are let in."""

from __future__ import annotations

from functools import partial

from dockerbroker.errors import Conflict, NotFound
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters.values import LOOK_ALIKES, credential


class CredentialsContract(PersisterTestCase):
    """Credentials are there for all brokers, which see that something has changed."""

    def changes(self) -> int:
        """Return the number that changes with the credentials, as another broker sees it."""
        return self.done(self.fixture.persister().state()).credentials

    def test_seed(self) -> None:
        """The first credentials are stored once, also when there are none, and never again."""
        self.assertEqual(self.changes(), 0)
        first = [credential("a"), credential("b", Role.AGENT, host="10.0.0.2")]
        self.assertIs(self.done(self.persister.seed_credentials(first)), True)
        self.assertNotEqual(self.changes(), 0)
        self.assertIs(self.done(self.fixture.persister().seed_credentials([credential("c")])), False)
        self.assertEqual(self.done(self.fixture.restart().credentials()), first)

    def test_seeds_race(self) -> None:
        """Of several that seed at once one does."""
        seeds = [partial(self.persister.seed_credentials, [credential(str(number))]) for number in range(4)]
        self.assertEqual(sorted(self.fixture.race(seeds)), [False, False, False, True])
        self.assertEqual(len(self.done(self.persister.credentials())), 1)

    def test_put(self) -> None:
        """A credential is there, with its hash, for all brokers; the next one of its id replaces it."""
        first, second = credential("a", Role.PLATFORM), credential("a", hash=Secret("other"), user="u")
        self.assertIs(self.done(self.persister.put_credential(first)), True)
        before = self.changes()
        self.assertEqual(self.done(self.fixture.persister().credentials()), [first])
        self.assertIs(self.done(self.persister.put_credential(second)), False)
        self.assertNotEqual(self.changes(), before)
        self.assertEqual(self.done(self.fixture.restart().credentials()), [second])

    def test_names(self) -> None:
        """Credentials are told apart by the bytes of their ids, by which they are in order."""
        stored = [credential(name, user=name) for name in LOOK_ALIKES]
        for one in stored:
            self.done(self.persister.put_credential(one))
        in_order = sorted(stored, key=lambda one: one.id.encode())
        self.assertEqual(self.done(self.persister.credentials()), in_order)

    def test_delete(self) -> None:
        """What is removed is gone, and other brokers see that something has changed."""
        self.done(self.persister.put_credential(credential("a", Role.PLATFORM)))
        self.done(self.persister.put_credential(credential("b", Role.AGENT)))
        before = self.changes()
        self.done(self.persister.delete_credential("a"))
        self.assertNotEqual(self.changes(), before)
        self.refused(NotFound, self.persister.delete_credential("a"))
        self.refused(NotFound, self.persister.delete_credential("B"))
        self.assertEqual([one.id for one in self.done(self.persister.credentials())], ["b"])

    def test_last(self) -> None:
        """The last credential of administrators stays, those of others do not count."""
        for one in (credential("a"), credential("b"), credential("c", Role.PLATFORM)):
            self.done(self.persister.put_credential(one))
        self.done(self.persister.delete_credential("a"))
        before = self.changes()
        self.refused(Conflict, self.persister.delete_credential("b"))
        self.assertEqual(self.changes(), before)
        self.done(self.persister.delete_credential("c"))
        self.assertEqual([one.id for one in self.done(self.persister.credentials())], ["b"])

    def test_removals_race(self) -> None:
        """Of the last two of administrators that are removed at once one stays."""
        for name in ("a", "b"):
            self.done(self.persister.put_credential(credential(name)))
        removals = [partial(self.persister.delete_credential, name) for name in ("a", "b")]
        outcomes = self.fixture.race(removals)
        self.assertEqual(sorted(type(one).__name__ for one in outcomes), ["Conflict", "NoneType"])
        self.assertEqual(len(self.done(self.persister.credentials())), 1)
