"""What every persister promises of looking through all instances, and of what was observed of them."""

from __future__ import annotations

from attrs import evolve

from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values


class InstancesContract(PersisterTestCase):
    """All instances, page by page, and the clock by which they are judged."""

    def ids(self, after: str, limit: int) -> list[str]:
        """Return the ids of a page."""
        return [instance.id for instance in self.done(self.persister.instances(after, limit))]

    def make_look_alikes(self) -> None:
        """Make instances whose ids only look alike."""
        for number, look_alike in enumerate(values.LOOK_ALIKES):
            self.begin(values.provision(f"o{number}", values.instance(look_alike)))

    def test_now(self) -> None:
        """The clock is that of the leases, the same for all brokers."""
        before = self.done(self.persister.now())
        self.fixture.clock.advance(2.5)
        self.assertEqual(self.done(self.persister.now()), before + 2.5)
        self.assertEqual(self.done(self.fixture.persister().now()), before + 2.5)

    def test_none(self) -> None:
        """Without instances a page is empty."""
        self.assertEqual(self.ids("", 10), [])

    def test_whole(self) -> None:
        """Each instance comes as it is stored."""
        made = values.instance("i1", 20001, definition=values.STATIC)
        self.begin(values.provision("o1", made))
        self.assertEqual(self.done(self.persister.instances("", 10)), [evolve(made, operation_id="o1")])

    def test_bytes(self) -> None:
        """They come in the order of the bytes of their ids, those that only look alike apart."""
        self.make_look_alikes()
        self.assertEqual(self.ids("", 100), sorted(values.LOOK_ALIKES, key=str.encode))

    def test_pages(self) -> None:
        """Pages of any length, each after the last id of the one before, are all instances once."""
        self.make_look_alikes()
        everything = self.ids("", 100)
        for limit in (1, 4, len(everything)):
            found: list[str] = []
            while page := self.ids(found[-1] if found else "", limit):
                self.assertLessEqual(len(page), limit)
                found += page
            self.assertEqual(found, everything)

    def test_after_what_is_gone(self) -> None:
        """A page may begin after an id that no instance has."""
        for instance_id in ("a", "c", "d"):
            self.provisioned(values.instance(instance_id))
        self.assertEqual(self.ids("b", 10), ["c", "d"])


class ConditionsContract(PersisterTestCase):
    """What was observed of instances."""

    def setUp(self) -> None:
        """Make two instances."""
        super().setUp()
        for instance_id in ("i1", "i2"):
            self.provisioned(values.instance(instance_id))

    def observe(self, instance_id: str, condition: str | None) -> dict[str, str]:
        """Record a condition; returns all there are."""
        self.done(self.persister.set_condition(instance_id, condition))
        return self.done(self.persister.conditions())

    def test_none(self) -> None:
        """At first all instances are as they should be."""
        self.assertEqual(self.done(self.persister.conditions()), {})

    def test_set(self) -> None:
        """A condition is kept, replaced by the next one, and told to all brokers."""
        self.assertEqual(self.observe("i1", "Gone."), {"i1": "Gone."})
        self.assertEqual(self.observe("i2", "Lost."), {"i1": "Gone.", "i2": "Lost."})
        self.assertEqual(self.observe("i1", "Stopped."), {"i1": "Stopped.", "i2": "Lost."})
        self.assertEqual(self.observe("i1", "Stopped."), {"i1": "Stopped.", "i2": "Lost."})
        self.assertEqual(self.done(self.fixture.restart().conditions()), {"i1": "Stopped.", "i2": "Lost."})

    def test_clear(self) -> None:
        """An instance that is as it should be again has none, and clearing it again changes nothing."""
        self.observe("i1", "Gone.")
        self.observe("i2", "Lost.")
        self.assertEqual(self.observe("i1", None), {"i2": "Lost."})
        self.assertEqual(self.observe("i1", None), {"i2": "Lost."})

    def test_without_lease(self) -> None:
        """It is recorded while an operation holds the instance, and changes nothing of either."""
        begun = self.begin(values.deprovision("o1"))
        before = self.done(self.persister.instance("i1"))
        self.observe("i1", "Gone.")
        self.assertEqual(self.done(self.persister.instance("i1")), before)
        self.assertEqual(self.done(self.persister.operation("o1")), begun)

    def test_outlives_operations(self) -> None:
        """Operations that leave the instance leave what was observed of it."""
        self.observe("i1", "Gone.")
        self.bound(values.binding())
        self.assertEqual(self.done(self.persister.conditions()), {"i1": "Gone."})

    def test_goes_with_instance(self) -> None:
        """What was observed goes with the instance, and another one of that id has none."""
        self.observe("i1", "Gone.")
        self.succeed(self.begin(values.deprovision("o1")), remove_instance=True)
        self.assertEqual(self.done(self.persister.conditions()), {})
        self.begin(values.provision("o2", values.instance()))
        self.assertEqual(self.done(self.persister.conditions()), {})

    def test_no_instance(self) -> None:
        """Of an instance that does not exist nothing is recorded."""
        for condition in ("Gone.", None):
            self.assertEqual(self.observe("unknown", condition), {})
        self.assertEqual(self.observe("I1", "Gone."), {})
