"""What every database promises of secrets that are sealed."""

from __future__ import annotations

import io
from collections.abc import Coroutine
from contextlib import redirect_stderr
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dockerbroker.command import keys
from dockerbroker.command.deployment import Deployment
from dockerbroker.errors import LostLease, Unavailable, Unreadable
from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF
from dockerbroker.model.instances import Change, Operation, Phase
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.archive import Kind, Resealed, Row
from dockerbroker.persisters.sealing import PLAIN, Sealing
from dockerbroker.persisters.vault import FRESH, MARK, SECRET_KINDS, Vault, label_of, place_of
from tests.contracts.archive_case import ArchiveTestCase
from tests.memory_engine import MemoryEngines
from tests.memory_persister import MemoryPersister
from tests.persisters import values
from tests.persisters.archives import Opened, memory
from tests.persisters.raw import raw
from tests.vaults import key_source, vault

#: What no thief of the database may read.
_SECRETS = [f"f0ul-s3cret-{number}-" for number in range(13)]
_IMAGE = evolve(
    values.STATIC,
    credentials=Secret({"password": _SECRETS[0]}),
    dashboard_client=Secret({"id": "c", "secret": _SECRETS[1], "redirect_uri": "http://x"}),
    dashboard_url=f"http://admin:{_SECRETS[2]}@$HOST",
)
_INSTANCE = values.instance(
    "i1",
    20001,
    definition=_IMAGE,
    parameters=Secret({"a": _SECRETS[3]}),
    provisioned=Secret({"b": _SECRETS[4]}),
    dashboard_url=f"http://{_SECRETS[5]}",
    context={"organization_annotations": {"e": _SECRETS[10]}},
)
_BINDING = values.binding(
    "i1",
    "b1",
    parameters=Secret({"c": _SECRETS[6]}),
    document=Secret({"d": _SECRETS[7]}),
    context={"f": _SECRETS[11]},
    bind_resource={"g": _SECRETS[12]},
)
_CERTIFICATE = evolve(values.certificate("h"), key=Secret(_SECRETS[8]))
_CREDENTIAL = values.credential("c", hash=Secret(_SECRETS[9]))


class SealingContract(ArchiveTestCase):
    """Secrets that are sealed."""

    def sealed_with(self, *labels: str, opened: Opened | None = None) -> Any:
        """Let the last of the keys seal in the database, which says so; return its persister."""
        database = opened or self.opened
        persister: Any = database.persister
        persister.vault.source = key_source(*labels)
        before = self.done(database.archive.standing()).identity.sealing
        told = persister.vault.first_sealing()
        entry = auditing.keys_changing(labels[-1], ITSELF)
        self.assertTrue(self.done(database.archive.change_sealing(before, told, entry)))
        self.assertIsNone(self.done(persister.state()).locked)
        return persister

    def another(self, keys: Vault) -> Any:
        """Return the persister of a broker with other keys, which has looked at the database."""
        persister: Any = self.persister
        if isinstance(persister, MemoryPersister):
            other: Any = MemoryPersister(persister.seconds, persister.tables, keys)
        elif hasattr(persister, "database"):
            other = type(persister)(persister.database, persister.run, vault=keys)
        else:
            other = type(persister)(persister.commands, persister.scripts, keys)
        self.state = self.done(other.state())
        return other

    def change(self, before: str | None, after: Sealing) -> None:
        """Let the database say that of its keys."""
        entry = auditing.keys_changing(after.primary, ITSELF)
        self.assertTrue(self.done(self.archive.change_sealing(before, after.text(), entry)))

    def begin(self, change: Change) -> Operation:
        """Begin an operation."""
        return self.done(self.persister.begin(change, owner="one", ttl=15, within=60))

    def over(self, operation: Operation, **records: Any) -> Coroutine[Any, Any, None]:
        """Return the call that ends an operation."""
        return self.persister.commit(Change(operation=operation.over(Phase.SUCCEEDED, 1.0), **records))

    def fill_with_secrets(self) -> None:
        """Store every kind of secret."""
        self.done(self.persister.seed_images([_IMAGE]))
        self.done(self.persister.put_certificate(_CERTIFICATE))
        self.done(self.persister.put_credential(_CREDENTIAL))
        self.done(self.over(self.begin(values.provision("o", _INSTANCE))))
        self.done(self.over(self.begin(values.bind("p", _BINDING))))

    def rows(self) -> dict[Kind, Row]:
        """Return the one row of each kind that has a secret."""
        return {kind: self.done(self.archive.page(kind, None, 9))[0] for kind in SECRET_KINDS}

    def read_all(self, persister: Any) -> list[Any]:
        """Return what brokers read of everything that has a secret; errors as they are."""
        calls = (
            persister.images(),
            persister.certificate("h"),
            persister.instance("i1"),
            persister.bindings("i1"),
            persister.credentials(),
        )
        outcomes: list[Any] = []
        for call in calls:
            Deferred.fromCoroutine(call).addErrback(lambda failure: failure.value).addCallback(
                outcomes.append
            )
        return outcomes

    def assert_whole(self, persister: Any) -> None:
        """Everything is read as it was stored."""
        images, certificate, instance, bindings, credentials = self.read_all(persister)
        self.assertEqual(credentials, [_CREDENTIAL])
        self.assertEqual((images, certificate), ([_IMAGE], _CERTIFICATE))
        self.assertEqual((evolve(instance, operation_id=None), bindings), (_INSTANCE, [_BINDING]))

    def test_stolen(self) -> None:
        """No secret can be found anywhere in the database or its files, and brokers read every one."""
        self.sealed_with("one")
        self.fill_with_secrets()
        stolen = raw(self.persister)
        self.assertIn(_IMAGE.name, stolen)
        for secret in _SECRETS:
            self.assertNotIn(secret, stolen)
        self.assert_whole(self.persister)

    def test_exchanged(self) -> None:
        """A secret that stands in another row, or was changed, does not open, and all others are read."""
        self.sealed_with("one")
        self.fill_with_secrets()
        other = values.instance("i2", 20002)
        self.done(self.over(self.begin(values.provision("q", other))))
        rows = self.done(self.archive.page(Kind.INSTANCE, None, 9))
        self.done(self.archive.reseal(Kind.INSTANCE, [Resealed(row=rows[1], secret=rows[0]["secret"])]))
        self.refused(Unreadable, self.persister.instance("i2"))
        self.assertEqual([one.id for one in self.done(self.persister.instances("", 9))], ["i1"])
        self.refused(Unreadable, self.persister.instances("i1", 9))
        self.assert_whole(self.persister)
        row = self.rows()[Kind.BINDING]
        for secret in (
            rows[0]["secret"],
            row["secret"][:-8] + "AAAAAAA=",
            f"{MARK}one:%",
            f"{MARK}two:AA",
            "{}",
        ):
            self.assertEqual(
                self.done(self.archive.reseal(Kind.BINDING, [Resealed(row=row, secret=secret)])), 0
            )
            self.refused(Unreadable, self.persister.binding("i1", "b1"))
            row = self.rows()[Kind.BINDING]

    def test_resealed_unless_changed(self) -> None:
        """A secret is replaced only as long as it is the one that was read."""
        persister = self.sealed_with("one")
        self.fill_with_secrets()
        for kind, row in self.rows().items():
            text = persister.vault.open(place_of(kind, row), row["secret"])
            anew = Resealed(row=row, secret=persister.vault.seal(place_of(kind, row), text))
            self.assertEqual(self.done(self.archive.reseal(kind, [anew])), 0)
            self.assertEqual(self.done(self.archive.reseal(kind, [evolve(anew, secret="lost")])), 1)
            gone = evolve(anew, row={**row, **dict.fromkeys(("name", "host", "id"), "gone")})
            self.assertEqual(self.done(self.archive.reseal(kind, [gone])), 1)
            self.assertEqual(self.rows()[kind], {**row, "secret": anew.secret})
        self.assert_whole(persister)

    def test_sealing_changes_once(self) -> None:
        """Of two who say something else of the keys the second is refused; the same twice is well."""
        self.sealed_with("one")
        before = self.done(self.archive.standing()).identity.sealing
        number = self.done(self.persister.audit_head()).number
        first, second = auditing.keys_changing("a", ITSELF), auditing.keys_changed("b", ITSELF)
        self.assertTrue(self.done(self.archive.change_sealing(before, "{}", first)))
        self.assertTrue(self.done(self.archive.change_sealing(before, "{}", first)))
        self.assertFalse(self.done(self.archive.change_sealing(before, "[]", second)))
        self.assertTrue(self.done(self.archive.change_sealing("{}", None, second)))
        self.assertIsNone(self.done(self.archive.standing()).identity.sealing)
        told = [one.members["subject"] for one in self.done(self.persister.audit(number, 9))]
        self.assertEqual(told, ["a", "b"])

    def test_two_views(self) -> None:
        """A broker that lacks the key with which another one seals is told its label, and writes nothing."""
        self.sealed_with("one")
        self.fill_with_secrets()
        behind = self.another(vault("one"))
        self.assert_whole(behind)
        self.sealed_with("one", "two")
        self.done(self.persister.put_certificate(values.certificate("new")))
        # It has not looked since, and needs the new key for what is sealed with it alone.
        self.refused(Unreadable, behind.certificate("new"))
        self.assertIn("the key two", str(self.done(behind.state()).locked))
        self.assertEqual(self.done(behind.keys()).labels, {"two": False})
        self.refused(Unavailable, behind.put_certificate(values.certificate("late")))
        late = values.provision("late", values.instance("late", 20009))
        self.refused(Unavailable, behind.begin(late, owner="two", ttl=15, within=60))
        self.assertIsNone(self.done(self.persister.instance("late")))
        behind.vault.source = key_source("one", "two")
        self.assertIsNone(self.done(behind.state()).locked)
        self.done(behind.put_certificate(values.certificate("late")))
        secrets = {
            row["host"]: row["secret"] for row in self.done(self.archive.page(Kind.CERTIFICATE, None, 9))
        }
        self.assertEqual(
            {name: label_of(one) for name, one in secrets.items()}, {"h": "one", "late": "two", "new": "two"}
        )
        self.assert_whole(behind)

    def test_not_seen(self) -> None:
        """A broker that has not seen the keys change, for as long as that takes, seals as the others do."""
        now = [0.0]
        provision = values.provision("o", _INSTANCE)
        for write in (
            lambda broker: broker.put_certificate(_CERTIFICATE),
            lambda broker: broker.put_credential(_CREDENTIAL),
            lambda broker: broker.seed_images([_IMAGE]),
            lambda broker: broker.begin(provision, owner="one", ttl=15, within=60),
        ):
            behind = self.another(Vault(key_source("one"), seconds=lambda: now[0]))
            lacking = self.another(Vault(seconds=lambda: now[0]))
            before = self.done(self.archive.standing()).identity.sealing
            self.sealed_with("one")
            now[0] += FRESH + 0.1
            self.refused(Unavailable, lacking.put_certificate(_CERTIFICATE))
            self.done(write(behind))
            told = self.done(self.archive.standing()).identity.sealing
            self.done(self.archive.change_sealing(told, before, auditing.keys_changed("", ITSELF)))
        rows = (
            self.done(self.archive.page(kind, None, 9)) for kind in SECRET_KINDS if kind is not Kind.BINDING
        )
        self.assertEqual([[label_of(row["secret"]) for row in some] for some in rows], [["one"]] * 4)

    def test_wrong_key(self) -> None:
        """A key with the right label that is another one is noticed before anything is read or written."""
        persister = self.sealed_with("one")
        text = persister.vault.source.text.reveal().replace("one b25l", "one b25m")
        self.another(Vault(evolve(persister.vault.source, text=Secret(text))))
        self.assertIn("another key one", str(self.state.locked))

    def test_taken_away(self) -> None:
        """A broker that has sealed writes nothing plain when the database says nothing of keys any more."""
        persister = self.sealed_with("one")
        self.fill_with_secrets()
        told = self.done(self.archive.standing()).identity.sealing
        self.done(self.archive.change_sealing(told, None, auditing.keys_changed("", ITSELF)))
        self.assertIn("put back a backup", str(self.done(persister.state()).locked))
        for write in (
            persister.put_certificate(values.certificate("late")),
            persister.put_credential(values.credential("late")),
            persister.put_image(values.STATIC),
            persister.begin(
                values.provision("q", values.instance("late", 20009)), owner="one", ttl=15, within=60
            ),
        ):
            self.refused(Unavailable, write)
        self.assert_whole(persister)
        self.assertEqual([len(self.done(self.archive.page(kind, None, 9))) for kind in SECRET_KINDS], [1] * 5)
        self.done(self.archive.change_sealing(None, told, auditing.keys_changed("one", ITSELF)))
        self.assertIsNone(self.done(persister.state()).locked)
        self.done(persister.put_certificate(_CERTIFICATE))

    def test_first_key(self) -> None:
        """What was written without keys is read as before, until all of it is sealed; then no more."""
        self.fill_with_secrets()
        self.assertIn(_SECRETS[3], raw(self.persister))
        persister: Any = self.persister
        persister.vault.source = key_source("one")
        self.assertTrue(persister.vault.knows("one"))
        begun = Sealing(primary="one", canaries={PLAIN: "", "one": persister.vault.canary("one")})
        self.change(None, begun)
        found = self.done(persister.keys())
        self.assertEqual((found.primary, found.labels), ("one", {"one": True}))
        self.assertEqual((found.is_plain, found.is_settled), (True, False))
        self.assert_whole(persister)
        ended = evolve(begun, canaries={"one": begun.canaries["one"]})
        self.change(begun.text(), ended)
        self.assertEqual(self.done(persister.keys()), evolve(found, is_plain=False, is_settled=True))
        self.assertIsInstance(self.read_all(persister)[2], Unreadable)
        self.another(vault())
        self.assertIn("the key one", str(self.state.locked))

    def test_rotated(self) -> None:
        """All secrets are sealed by a first key, and then by another, on whatever database."""
        self.fill_with_secrets()
        persister: Any = self.persister
        for label in ("one", "two"):
            persister.vault.source = key_source("one", "two")
            deployment = Deployment(
                persister=persister,
                archive=self.archive,
                engines=MemoryEngines(Clock()),
                clock=Clock(),
                vault=persister.vault,
            )
            with redirect_stderr(io.StringIO()):
                rotation = Deferred.fromCoroutine(keys.rotate(deployment, label))
                deployment.clock.advance(1)  # type: ignore[attr-defined]
            self.assertEqual(self.successResultOf(rotation), 0)
            self.assertEqual({label_of(row["secret"]) for row in self.rows().values()}, {label})
            self.assert_whole(persister)
        self.assert_whole(self.another(vault("two")))
        self.assertNotIn(_SECRETS[3], raw(persister).partition("SQLite format 3")[0])

    def test_moved_as_it_is(self) -> None:
        """What is sealed opens after it was moved to a database of another kind, and is sealed as it was."""
        source = memory(self, "source")
        mine, self.opened, self.persister = self.opened, source, source.persister
        self.sealed_with("one", opened=source)
        self.fill_with_secrets()
        rows = {kind: self.done(source.archive.page(kind, None, 99)) for kind in Kind}
        identity = self.done(source.archive.standing()).identity
        self.opened, self.persister = mine, mine.persister
        self.done(self.archive.identify(identity))
        self.fill(rows)
        self.assertEqual(self.done(self.archive.standing()).identity.sealing, identity.sealing)
        self.assert_whole(self.another(vault("one")))
        self.assertIsNone(self.state.locked)
        self.assertEqual(self.rows()[Kind.BINDING]["secret"], rows[Kind.BINDING][0]["secret"])

    def test_erased(self) -> None:
        """With the final state of a deletion the secrets are gone, and not without it."""
        self.fill_with_secrets()
        begun = self.begin(values.unbind("u"))
        lost = self.over(evolve(begun, epoch=9), remove_binding="b1")
        self.refused(LostLease, lost)
        self.assertIn(_SECRETS[7], raw(self.persister))
        self.done(self.over(begun, remove_binding="b1"))
        self.assert_gone(*_SECRETS[6:8])
        self.done(self.over(self.begin(values.bind("p2", _BINDING))))
        self.done(self.over(self.begin(values.deprovision("d")), remove_instance=True))
        self.assert_gone(*_SECRETS[3:8])

    def assert_gone(self, *secrets: str) -> None:
        """The secrets are nowhere in the tables; in a file of SQLite once its log was taken over."""
        persister: Any = self.persister
        if hasattr(persister, "database") and persister.database.write_all is not None:
            with persister.database.engine.connect() as connection:
                connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        stolen = raw(persister)
        for secret in secrets:
            self.assertNotIn(secret, stolen)
