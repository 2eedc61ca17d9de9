"""Moves that do not come to their end, or not well, have done nothing, and are done again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, product
from typing import Any

from dockerbroker.errors import Conflict, Unavailable
from dockerbroker.persisters.archive import Closed, Kind
from tests.command.moving import MoveCase, Troubled
from tests.persisters import values
from tests.persisters.archives import memory


class InterruptionTests(MoveCase):
    """Moves that do not come to their end are done again."""

    text = "short"

    def usable(self) -> list[bool]:
        """Return which of the two databases brokers may use."""
        found = [self.done(one.archive.standing()) for one in (self.source, self.target)]
        return [one.closed is Closed.NO and one.counts[Kind.INSTANCE] > 0 for one in found]

    def interrupt(
        self, error: BaseException, *, side: str, number: int, after: bool, forced: bool = False
    ) -> bool:
        """Move, and let a call of that number end it; returns whether there was such a call."""

        def trouble(call: int, _name: str) -> None:
            if call == number:
                raise error

        opened = self.source if side == "source" else self.target
        troubled = Troubled(opened.archive, trouble, after)
        arguments: dict[str, Any] = {side: troubled}
        try:
            self.move(forced=forced, **arguments)
        except BaseException as found:
            if found is not error:
                raise
        return len(troubled.calls) >= number

    def test_database_fails(self) -> None:
        """When a database fails, before or after a call, the source is used as before, or the target is."""
        self.interrupt_everywhere(lambda: Unavailable("It is away."))

    def test_killed(self) -> None:
        """Wherever the command is killed, no broker can use both databases, and it can be run again."""
        self.interrupt_everywhere(Killed)

    def interrupt_everywhere(self, make: Callable[[], BaseException]) -> None:
        """Let each call of either database end a move, before or after it is done, and move once more."""
        for side, after in product(("source", "target"), (False, True)):
            for number in count(1):
                self.setUp()
                is_interrupted = self.interrupt(make(), side=side, number=number, after=after)
                where = f"{side} {number} {after}"
                self.assertLessEqual(sum(self.usable()), 1, where)
                if self.usable() != [False, True]:
                    forced = isinstance(make(), Killed)
                    self.assertEqual(self.move(forced=forced), 0, where)
                self.assert_moved()
                if not is_interrupted:
                    break

    def test_given_up(self) -> None:
        """After a failure the source can be used as before, and operations that wait are taken over."""
        self.interrupt(Unavailable("It is away."), side="target", number=8, after=False)
        self.assertEqual(self.usable(), [True, False])
        self.assertEqual(len(self.done(self.source.persister.claim("one", ttl=15))), 6)
        self.done(self.source.persister.begin(values.deprovision("o", "i1"), owner="o", ttl=1, within=1))

    def test_both_away(self) -> None:
        """When the source cannot be opened again, that is told; the move can be done again."""

        def trouble(call: int, _name: str) -> None:
            if call > 8:
                raise Unavailable("It is away.")

        troubled = Troubled(self.source.archive, trouble)
        self.assertEqual(self.told(Unavailable, source=troubled), "It is away.")
        self.assertEqual(self.errors, "here cannot be used until this is run again: It is away.\n")
        self.assertEqual(self.usable(), [False, False])
        self.assertEqual(self.move(forced=True), 0)
        self.assert_moved()

    def test_after_the_hand_over(self) -> None:
        """A source that was moved to its end is not used again, even if the target fails then and later."""
        closes = 0

        def trouble(_call: int, name: str) -> None:
            nonlocal closes
            closes += name == "close"
            if closes > 1:
                raise Unavailable("It is away.")

        self.told(Unavailable, target=Troubled(self.target.archive, trouble))
        self.assertEqual(self.usable(), [False, False])
        self.interrupt(Unavailable("It is away."), side="target", number=5, after=False, forced=True)
        self.assertEqual(self.usable(), [False, False])
        self.assertEqual(self.move(), 0)
        self.assert_moved()

    def test_two_at_once(self) -> None:
        """A second run, out of the source or into the target, is refused and changes nothing."""
        self.interrupt(Killed(), side="target", number=8, after=True)
        before = [self.rows(one) for one in (self.source, self.target)]
        source, target = self.source, self.target
        for role in ("source", "target"):
            self.source, self.target = source, target
            setattr(self, role, memory(self, "other"))
            self.assertIn("give --force", self.told(Conflict))
        self.source, self.target = source, target
        self.assertEqual([self.rows(one) for one in (self.source, self.target)], before)
        self.assertEqual(self.usable(), [False, False])

    def test_overtaken(self) -> None:
        """A run whose place another one has taken changes nothing any more, wherever it stands then."""
        for side, name in product(("source", "target"), ("page", "close", "write")):
            self.setUp()
            is_overtaken = False

            def overtake(_call: int, called: str, name: str = name) -> None:
                nonlocal is_overtaken
                if called == name and not is_overtaken:
                    is_overtaken = True
                    self.assertEqual(self.move(forced=True), 0)

            opened = self.source if side == "source" else self.target
            if side == "source" and name == "write":
                continue
            arguments: dict[str, Any] = {side: Troubled(opened.archive, overtake)}
            self.told(Conflict, **arguments)
            self.assertTrue(is_overtaken)
            self.assert_moved()
            self.assertEqual(self.usable(), [False, True])

    def test_other_source(self) -> None:
        """A target that was filled by half can be filled from another source."""
        self.interrupt(Killed(), side="target", number=8, after=True)
        self.source = memory(self, "other")
        self.done(self.source.persister.seed_images([values.EXISTING]))
        self.assertIn("works with the target", self.told(Conflict))
        self.assertEqual(self.move(forced=True), 0)
        self.assert_moved()


class Killed(BaseException):
    """What ends the program at once."""


class DifferenceTests(MoveCase):
    """What is not the same in the target is told, and then the source is the deployment's database still."""

    text = "short"

    def sabotage(self, kind: Kind, change: Any) -> str:
        """Move while records of that kind are changed on their way; returns what is said."""
        self.setUp()
        troubled = Sabotaged(self.target.archive, kind, change)
        told = self.told(Conflict, target=troubled)
        self.assertIn("run this again", told)
        archives: list[Any] = [self.source.archive, self.target.archive]
        closed = [archive.tables.closed for archive in archives]
        self.assertEqual(closed, [Closed.NO.value, Closed.FILLING.value])
        return self.output

    def test_missing(self) -> None:
        """A record that is missing is told, whatever it is."""
        for kind in Kind:
            told = self.sabotage(kind, lambda rows: rows[:-1])
            self.assertTrue(told.startswith(f"{kind.value}: "), told)

    def test_too_much(self) -> None:
        """A record that is too much is told, also after the last one."""
        for kind, key in ((Kind.IMAGE, "name"), (Kind.HOST, "docker_host"), (Kind.CONDITION, "instance_id")):

            def add(rows: Any, key: str = key) -> Any:
                return [*rows, {**rows[-1], key: "\U0001f980"}]

            self.assertRegex(self.sabotage(kind, add), "\U0001f980.* is too much.")

    def test_changed(self) -> None:
        """A record that differs in anything is told with the names of what differs, and nothing of it."""
        for kind in Kind:
            self.setUp()
            columns = self.rows(self.source)[kind][0].keys() - {"id", "name", "instance_id", "binding_id"}
            for column in sorted(
                columns - {"number", "host", "service_host", "docker_host", "docker_port", "port", "kept_for"}
            ):

                def change(rows: Any, column: str = column) -> Any:
                    return [{**rows[0], column: 1.5 if column == "lease_until" else "swordfish"}, *rows[1:]]

                told = self.sabotage(kind, change)
                self.assertIn(f"differs in {column}.", told)
                self.assertNotIn("swordfish", told)

    def test_order(self) -> None:
        """Operations in another order are told."""
        told = self.sabotage(Kind.OPERATION, lambda rows: rows[::-1])
        self.assertIn("stands where", told)

    def test_source_changes(self) -> None:
        """A record that a broker which runs still changes after it was copied is told."""

        def change(_call: int, name: str) -> None:
            if name == "page":
                self.done(self.source.persister.set_condition("large", "It is paused."))

        told = self.told(Conflict, target=Troubled(self.target.archive, change))
        self.assertIn("if no broker runs", told)
        self.assertIn("conditions: large is missing", self.output)
        self.assertEqual(self.move(), 0)
        self.assert_moved()
        self.assertIn("large", self.done(self.target.persister.conditions()))


class Sabotaged(Troubled):
    """An archive that changes what is written."""

    def __init__(self, archive: Any, kind: Kind, change: Any) -> None:
        super().__init__(archive, lambda _call, _name: None)
        self.kind, self.change = kind, change

    async def write(self, kind: Kind, rows: Any, **options: str) -> None:
        """Write other records."""
        await super().write(kind, self.change(rows) if kind is self.kind else rows, **options)
