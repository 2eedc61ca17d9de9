"""What every persister promises of deletions of what does not exist."""

from __future__ import annotations

from functools import partial

from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values


class TombstonesContract(PersisterTestCase):
    """Deletions that came before what they were to delete."""

    def seen(self, instance_id: str) -> str | None:
        """Return the tombstone that another broker sees."""
        return self.done(self.fixture.persister().tombstone(instance_id))

    def test_last(self) -> None:
        """The last one is told, to every broker."""
        self.assertIsNone(self.seen("i1"))
        self.done(self.persister.entomb("i1", "t1"))
        self.assertEqual(self.seen("i1"), "t1")
        self.done(self.fixture.restart().entomb("i1", "t2"))
        self.assertEqual(self.seen("i1"), "t2")

    def test_exact(self) -> None:
        """Names that only look alike are different."""
        first, *others = values.LOOK_ALIKES
        self.done(self.persister.entomb(first, "t1"))
        self.assertEqual(self.seen(first), "t1")
        self.assertEqual([other for other in others if self.seen(other)], [])

    def test_nothing_else(self) -> None:
        """No instance comes of it, and one can be made."""
        self.done(self.persister.entomb("i1", "t1"))
        self.assertIsNone(self.done(self.persister.instance("i1")))
        made = self.provisioned(values.instance("i1", 20001))
        self.assertEqual(self.done(self.persister.instance("i1")), made)
        self.assertEqual(self.seen("i1"), "t1")

    def test_forgotten(self) -> None:
        """After an hour it is forgotten, when the next one is recorded."""
        self.done(self.persister.entomb("i1", "t1"))
        self.fixture.clock.advance(3599)
        self.done(self.persister.entomb("i2", "t2"))
        self.assertEqual(self.seen("i1"), "t1")
        self.fixture.clock.advance(2)
        self.done(self.persister.entomb("i3", "t3"))
        self.assertEqual([self.seen(one) for one in ("i1", "i2", "i3")], [None, "t2", "t3"])

    def test_race(self) -> None:
        """Of eight at once none fails, and one is the last."""
        calls = [partial(self.fixture.persister().entomb, "i1", f"t{number}") for number in range(8)]
        self.assertEqual(self.fixture.race(calls), [None] * 8)
        self.assertIn(self.seen("i1"), {f"t{number}" for number in range(8)})
