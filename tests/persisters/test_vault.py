"""Secrets that are sealed open in their place alone, with the key that the database names."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.keys import KeySource, add_key
from dockerbroker.errors import InvalidConfiguration, Unavailable
from dockerbroker.persisters.archive import Kind
from dockerbroker.persisters.sealing import PLAIN, Sealing, read_sealing
from dockerbroker.persisters.vault import MARK, Place, Unopened, Vault, label_of, place_of
from tests.persisters.files import temporary_folder
from tests.vaults import key_source, sealing_vault, vault

HERE = Place("bindings", ("i1", "b1"))
#: Places that a careless way of joining their parts would take for one another.
ELSEWHERE = (
    Place("bindings", ("i1", "b2")),
    Place("bindings", ("b1", "i1")),
    Place("bindings", ("i1b1",)),
    Place("bindings", ('i1", "b1',)),
    Place("instances", ("i1", "b1")),
    Place("bindings", ("i1", "b1"), "document"),
    Place("bindings", ("I1", "b1")),
    Place("bindings", ("i1 ", "b1")),
)

few = settings(max_examples=50, deadline=None, database=None)


class SealTests(SynchronousTestCase):
    """A vault that seals."""

    @few
    @given(
        text=st.text(st.characters(exclude_categories=["Cs"])),
        row=st.lists(st.text(), min_size=1, max_size=2),
    )
    def test_round_trip(self, text: str, row: list[str]) -> None:
        """Whatever is sealed opens as it was, and is never the same twice."""
        keys, place = sealing_vault("one"), Place("t", tuple(row))
        stored = keys.seal(place, text)
        self.assertEqual(keys.open(place, stored), text)
        self.assertNotEqual(keys.seal(place, text), stored)
        self.assertTrue(stored.startswith(f"{MARK}one:"))

    def test_bound(self) -> None:
        """In another table, row or column it does not open, nor with another key."""
        keys = sealing_vault("one", "two")
        stored = keys.seal(HERE, "s3cret")
        for place in ELSEWHERE:
            self.assertRaises(Unopened, keys.open, place, stored)
        relabelled = stored.replace("two", "one", 1)
        self.assertRaises(Unopened, keys.open, HERE, relabelled)
        self.assertRaises(Unopened, vault("three").open, HERE, stored)

    def test_changed(self) -> None:
        """No change of a single character leaves something that opens."""
        keys = sealing_vault("one")
        stored = keys.seal(HERE, '{"a":1}')
        # In base64 two bits before the end mean nothing: with them changed it is the same bytes.
        while not stored.endswith("A="):
            stored = keys.seal(HERE, '{"a":1}')
        for number, character in enumerate(stored):
            changed = stored[:number] + ("A" if character != "A" else "B") + stored[number + 1 :]
            self.assertRaises(Unopened, keys.open, HERE, changed)
        self.assertRaises(Unopened, keys.open, HERE, stored[:-4])

    def test_nothing_is_told(self) -> None:
        """Neither a vault nor what it raises shows a key or a secret."""
        keys = sealing_vault("one")
        error = self.assertRaises(Unopened, keys.open, ELSEWHERE[0], keys.seal(HERE, "s3cret"))
        key = keys.source.load().keys["one"].reveal()
        for text in (repr(keys), str(error), repr(error)):
            self.assertNotIn("s3cret", text)
            self.assertNotIn(repr(key)[2:9], text)

    def test_same_place_everywhere(self) -> None:
        """The place of a record is its table and key, whatever else stands in its row."""
        row = {"id": "b1", "instance_id": "i1", "secret": "x", "more": 1}
        self.assertEqual(place_of(Kind.BINDING, row), HERE)


class LearnTests(SynchronousTestCase):
    """What a vault learns of the database."""

    def test_plain(self) -> None:
        """Where the database says nothing of keys nothing is sealed, though there are some."""
        keys = vault("one")
        self.assertIsNone(keys.learn(None))
        self.assertEqual(keys.seal(HERE, "{}"), "{}")
        self.assertEqual(keys.open(HERE, "{}"), "{}")
        self.assertIsNone(vault().first_sealing())

    def test_primary(self) -> None:
        """The database's key seals, whichever was added last; what others have sealed opens."""
        keys = sealing_vault("one")
        before = keys.seal(HERE, "a")
        both = vault("one", "two", "three")
        canaries = {label: both.canary(label) for label in ("one", "two")}
        self.assertIsNone(both.learn(Sealing(primary="two", canaries=canaries).text()))
        self.assertEqual((both.open(HERE, before), label_of(both.seal(HERE, "a"))), ("a", "two"))
        self.assertEqual((both.is_current(before), both.is_current(both.seal(HERE, "a"))), (False, True))

    def test_plain_refused(self) -> None:
        """When all is sealed nothing plain is taken; as long as a first key is at work it is."""
        keys = sealing_vault("one")
        self.assertRaises(Unopened, keys.open, HERE, "{}")
        keys = vault("one")
        begun = Sealing(primary="one", canaries={PLAIN: "", "one": keys.canary("one")})
        self.assertIsNone(keys.learn(begun.text()))
        self.assertEqual(keys.open(HERE, "{}"), "{}")
        self.assertEqual(label_of(keys.seal(HERE, "{}")), "one")

    def test_lacking(self) -> None:
        """A key that is lacking or wrong is told, and nothing is sealed until it is there."""
        told = sealing_vault("one", "two").first_sealing()
        behind = vault("one")
        self.assertIn("needs the key two, which is not in the variable", str(behind.learn(told)))
        self.assertRaises(Unavailable, behind.seal, HERE, "a")
        behind.source = key_source("one", "two")
        self.assertIsNone(behind.learn(told))
        self.assertEqual(label_of(behind.seal(HERE, "a")), "two")
        wrong = evolve(Sealing(primary="one"), canaries={"one": vault("one", "two").canary("two")})
        self.assertIn("another key one", str(vault("one").learn(wrong.text())))
        self.assertIn("no key file", str(vault().learn(told)))

    def test_taken_away(self) -> None:
        """A vault that has sealed writes and takes nothing plain although the database asks for it."""
        keys = sealing_vault("one")
        told, stored = keys.sealing.text(), keys.seal(HERE, "a")
        doubtful = evolve(keys.sealing, canaries={**keys.sealing.canaries, PLAIN: ""}).text()
        for taken in (None, "", doubtful, None):
            self.assertIn("does not say any more that", str(keys.learn(taken)))
            self.assertRaises(Unavailable, keys.seal, HERE, "a")
            self.assertRaises(Unopened, keys.open, HERE, "{}")
            self.assertEqual(keys.open(HERE, stored), "a")
        self.assertIsNone(keys.learn(told))
        self.assertEqual(label_of(keys.seal(HERE, "a")), "one")

    def test_taken_away_while_changing(self) -> None:
        """A first change of keys that has not ended may end, and is not taken back."""
        keys = vault("one")
        settled = Sealing(primary="one", canaries={"one": keys.canary("one")})
        begun = evolve(settled, canaries={**settled.canaries, PLAIN: ""})
        for told in (None, begun.text(), settled.text()):
            self.assertIsNone(keys.learn(told))
        self.assertIn("all of its secrets are", str(keys.learn(begun.text())))
        self.assertIsNone(keys.learn(settled.text()))
        other = vault("one")
        self.assertIsNone(other.learn(begun.text()))
        self.assertIn("put back a backup", str(other.learn(None)))

    def test_never_looked(self) -> None:
        """A vault with keys must learn before it seals for the first time; without keys nothing is lost."""
        self.assertTrue(vault("one").is_stale)
        self.assertFalse(sealing_vault("one").is_stale)
        self.assertFalse(vault().is_stale)

    def test_not_understood(self) -> None:
        """What says of its keys what cannot be understood is an obstacle."""
        for told in (
            "x",
            "[]",
            "{}",
            '{"primary": "one", "canaries": {}}',
            '{"primary": "a", "canaries": {"a": 1}}',
            '{"primary": "", "canaries": {"": ""}}',
        ):
            self.assertIn("cannot be understood", str(vault("one").learn(told)))

    @few
    @given(st.text() | st.dictionaries(st.text(), st.text()).map(str))
    def test_any_text(self, told: str) -> None:
        """Whatever a database says is understood or refused."""
        try:
            read_sealing(told)
        except ValueError:
            return
        self.assertFalse(told)

    def test_file_that_grows(self) -> None:
        """A key that was added to the file meanwhile is found when something is sealed with it."""
        path = temporary_folder(self) / "keys"
        add_key(path, "one")
        behind, ahead = Vault(KeySource(file=path)), Vault(KeySource(file=path))
        behind.learn(ahead.first_sealing())
        add_key(path, "two")
        told = ahead.first_sealing()
        ahead.learn(told)
        self.assertEqual(behind.open(HERE, ahead.seal(HERE, "a")), "a")
        self.assertEqual(label_of(behind.seal(HERE, "a")), "one")
        self.assertIsNone(behind.learn(told))
        self.assertEqual(label_of(behind.seal(HERE, "a")), "two")

    def test_file_that_goes(self) -> None:
        """A broker that works keeps the keys that it has when its file cannot be read any more."""
        path = temporary_folder(self) / "keys"
        add_key(path, "one")
        keys = Vault(KeySource(file=path))
        keys.learn(keys.first_sealing())
        stored = keys.seal(HERE, "a")
        path.unlink()
        self.assertFalse(keys.knows("two"))
        self.assertEqual(keys.open(HERE, stored), "a")
        self.assertRaises(InvalidConfiguration, Vault, KeySource(file=path))
