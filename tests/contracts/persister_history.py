"""What every persister promises of telling of operations, and of forgetting them."""

from __future__ import annotations

from dockerbroker.errors import AlreadyExists
from dockerbroker.model.instances import Change, Operation, Phase
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values


class HistoryTestCase(PersisterTestCase):
    """Operations that were begun one after another."""

    def end(self, operation: Operation, at: float, *, removes: bool = False) -> None:
        """End the operation at that time, in seconds since 1970."""
        ended = operation.over(Phase.SUCCEEDED, at)
        self.done(self.persister.commit(Change(operation=ended, remove_instance=removes)))

    def run_through(self, change: Change, at: float, *, removes: bool = False) -> None:
        """Begin an operation and end it at that time."""
        self.end(self.begin(change), at, removes=removes)

    def last(self, instance_id: str = "i1", binding_id: str | None = None) -> str | None:
        """Return the id of the last operation on the instance or binding."""
        found = self.done(self.persister.last_operation(instance_id, binding_id))
        return None if found is None else found.id

    def ids(self, *, unfinished: bool = False, limit: int = 100) -> list[str]:
        """Return the ids of operations."""
        found = self.done(self.persister.operations(unfinished=unfinished, limit=limit))
        return [operation.id for operation in found]

    def known(self) -> set[str]:
        """Return the ids of all operations that were not forgotten."""
        return set(self.ids())


class HistoryContract(HistoryTestCase):
    """What is told of operations."""

    def test_last_operation(self) -> None:
        """The last operation on an instance itself is none on its bindings, and the other way round."""
        self.run_through(values.provision("a", values.instance()), 9)
        self.run_through(values.provision("other", values.instance("i2")), 9)
        self.run_through(values.bind("z", values.binding()), 8)
        self.run_through(values.bind("y", values.binding(binding_id="b2")), 7)
        self.assertEqual(
            (self.last(), self.last(binding_id="b1"), self.last(binding_id="b2")), ("a", "z", "y")
        )
        self.run_through(values.unbind("b"), 6)
        self.assertEqual(
            (self.last(), self.last(binding_id="b1"), self.last(binding_id="b2")), ("a", "b", "y")
        )
        begun = self.begin(values.deprovision("0"))
        self.assertEqual(self.done(self.persister.last_operation("i1")), begun)
        self.assertEqual(self.last("i2"), "other")

    def test_last_operation_unknown(self) -> None:
        """Where there was no operation there is no last one; ids are exact."""
        self.begin(values.provision("o1", values.instance()))
        for instance_id, binding_id in (("i2", None), ("I1", None), ("i1", "b1"), ("i1", "")):
            self.assertIsNone(self.last(instance_id, binding_id))

    def test_last_operation_outlives(self) -> None:
        """It is told when the instance is gone, and when it was made again it is of that one."""
        self.run_through(values.provision("o1", values.instance()), 1)
        self.run_through(values.deprovision("o2"), 2, removes=True)
        self.assertEqual(self.last(), "o2")
        self.begin(values.provision("o3", values.instance()))
        self.assertEqual(self.last(), "o3")

    def test_operations(self) -> None:
        """Operations come in the order in which they were begun, the last first, whatever their ids."""
        for number in ("3", "1", "2"):
            self.begin(values.provision(f"o{number}", values.instance(f"i{number}")))
        self.assertEqual(self.ids(), ["o2", "o1", "o3"])
        self.assertEqual(self.ids(limit=2), ["o2", "o1"])
        self.assertEqual(self.ids(limit=0), [])

    def test_operations_whole(self) -> None:
        """Each is told as it is stored."""
        begun = self.begin(values.provision("o1", values.instance()))
        self.assertEqual(self.done(self.persister.operations(unfinished=True, limit=9)), [begun])

    def test_unfinished(self) -> None:
        """Those that are not over come in the same order; somebody may carry them or not."""
        begun = [self.begin(values.provision(f"o{n}", values.instance(f"i{n}"))) for n in range(5)]
        self.end(begun[1], 1)
        self.done(self.persister.commit(Change(operation=begun[4].over(Phase.FAILED, 1))))
        self.done(self.persister.release(begun[2], delay=9))
        self.assertEqual(self.ids(unfinished=True), ["o3", "o2", "o0"])
        self.assertEqual(self.ids(unfinished=True, limit=1), ["o3"])
        self.assertEqual(self.ids(), ["o4", "o3", "o2", "o1", "o0"])

    def test_known_operations(self) -> None:
        """Those are known that were begun, over or not; ids are exact."""
        self.run_through(values.provision("o1", values.instance()), 1)
        self.begin(values.deprovision("o2"))
        asked = iter(["o1", "O1", "o2", "o3", "o1", ""])
        self.assertEqual(self.done(self.persister.known_operations(asked)), {"o1", "o2"})
        self.assertEqual(self.done(self.persister.known_operations([])), frozenset())

    def test_many_known_operations(self) -> None:
        """Any number of them can be asked for at once."""
        self.begin(values.provision("o1", values.instance()))
        asked = [*(f"never{number}" for number in range(2_000)), "o1"]
        self.assertEqual(self.done(self.persister.known_operations(asked)), {"o1"})


class ForgetContract(HistoryTestCase):
    """Operations that were over long ago."""

    def forget(self, before: float, limit: int = 100) -> int:
        """Forget operations."""
        return self.done(self.persister.forget(before, limit))

    def test_before(self) -> None:
        """Those that were over before that time are forgotten, and how many is told."""
        for at in (10, 20, 30):
            self.run_through(values.provision(f"p{at}", values.instance(f"i{at}")), at)
            self.run_through(values.deprovision(f"d{at}", f"i{at}"), at + 1, removes=True)
        self.assertEqual(self.forget(20), 2)
        self.assertEqual(self.known(), {"p20", "d20", "p30", "d30"})
        self.assertEqual(self.forget(20), 0)
        self.assertEqual(self.forget(20.5), 1)
        self.assertIsNone(self.done(self.persister.operation("p20")))
        self.assertEqual(self.done(self.persister.known_operations(["p20", "d20"])), {"d20"})

    def test_limit(self) -> None:
        """No more are forgotten at once than asked for, those that were over first before others."""
        for at in (40, 10, 30, 20):
            self.run_through(values.provision(f"p{at}", values.instance(f"i{at}")), at, removes=True)
        self.assertEqual(self.forget(100, limit=3), 3)
        self.assertEqual(self.known(), {"p40"})
        self.assertEqual(self.forget(100, limit=0), 0)
        self.assertEqual(self.forget(100, limit=3), 1)

    def test_many(self) -> None:
        """Any number is forgotten at once."""
        made = self.provisioned(values.instance())
        for number in range(120):
            self.run_through(values.bind(f"o{number}", values.binding(made.id, f"b{number}")), 5)
        self.assertEqual(self.forget(10, limit=110), 110)
        self.assertEqual(len(self.known()), 11)

    def test_unfinished(self) -> None:
        """An operation that is not over is kept, however old."""
        begun = self.begin(values.provision("o1", values.instance()))
        self.fixture.clock.advance(1e9)
        self.assertEqual(self.forget(1e12), 0)
        self.assertEqual(self.done(self.persister.operation("o1")), begun)

    def test_last_is_kept(self) -> None:
        """The last operation on an instance that exists is kept; the earlier ones are not."""
        self.run_through(values.provision("o1", values.instance()), 1)
        self.assertEqual(self.forget(100), 0)
        self.run_through(values.deprovision("o2"), 2)
        self.run_through(values.provision("other", values.instance("i2")), 2)
        self.run_through(values.bind("o3", values.binding()), 3)
        self.run_through(values.unbind("o4"), 4)
        self.assertEqual(self.forget(100), 3)
        self.assertEqual(self.known(), {"o2", "other"})
        self.assertEqual(self.last(), "o2")

    def test_last_while_another_is_under_way(self) -> None:
        """What was the last operation is not kept when a new one has begun."""
        self.run_through(values.provision("o1", values.instance()), 1)
        self.begin(values.deprovision("o2"))
        self.assertEqual(self.forget(100), 1)
        self.assertEqual(self.known(), {"o2"})

    def test_refused_beginning(self) -> None:
        """An operation that was refused leaves what was the last one as it was."""
        self.run_through(values.provision("o1", values.instance()), 1)
        again = values.provision("o2", values.instance())
        self.refused(AlreadyExists, self.persister.begin(again, owner="one", ttl=15, within=60))
        self.assertEqual(self.forget(100), 0)

    def test_instance_gone(self) -> None:
        """With the instance gone nothing of it is kept, also when it was made again."""
        self.run_through(values.provision("o1", values.instance()), 1)
        self.run_through(values.deprovision("o2"), 2, removes=True)
        self.assertEqual(self.forget(2), 1)
        self.run_through(values.provision("o3", values.instance()), 3)
        self.assertEqual(self.forget(100), 1)
        self.assertEqual(self.known(), {"o3"})

    def test_order_remains(self) -> None:
        """After the last operation was forgotten, new ones still come before the earlier ones."""
        self.run_through(values.provision("o1", values.instance()), 1)
        self.run_through(values.bind("o2", values.binding()), 2)
        self.assertEqual(self.forget(100), 1)
        self.begin(values.deprovision("o3"))
        self.assertEqual(self.ids(), ["o3", "o1"])
