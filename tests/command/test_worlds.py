"""The commands that compare rows with Docker by hand."""

from __future__ import annotations

from dockerbroker.errors import EngineUnreachable
from dockerbroker.invariants.history import Event, encode_event
from tests.broker.test_comparing import orphan
from tests.command.case import LineCase


class CheckWorldTests(LineCase):
    """`check-world`."""

    def test_well(self) -> None:
        """Where all is well nothing is on standard output."""
        self.assertEqual(
            self.one_line(self.ask("check-world"), 0), "All is well: 1 service instances, 1 containers."
        )

    def test_breach(self) -> None:
        """Each breach is a line, and the status is 1."""
        made = orphan(self.stack, "i-2")
        result = self.ask("check-world")
        self.assert_said(result, 1)
        self.assertEqual(
            result.stdout, f"I1: the container {made} on 10.0.0.1 belongs to no service instance\n"
        )

    def test_settle(self) -> None:
        """With `--settle` what is gone a while later is no breach."""
        orphan(self.stack, "i-2")
        self.stack.comparer.start()
        self.addCleanup(self.stack.comparer.stop)
        self.stack.advance(100)
        self.assert_said(self.ask("check-world", "--settle", "60"), 0, "Looking again in 60 s.")

    def test_silent_host(self) -> None:
        """A host that does not answer is told, and its instances are on record or a breach."""
        self.stack.engine.reachable = False
        result = self.ask("check-world")
        self.assert_said(result, 1, "10.0.0.1 was not looked at: ")
        self.assertIn("I2: i-1: its host 10.0.0.1 does not answer", result.stdout)

    def test_moment(self) -> None:
        """What was only true while hosts and rows were looked at is no breach."""
        hang = self.stack.engine.hang_reply("containers")
        lost = self.stack.engine.world.popitem()
        self.stack.clock.callLater(1, self.stack.engine.world.update, [lost])
        self.stack.clock.callLater(1, hang.release)
        self.assert_said(self.ask("check-world"), 0, "All is well")

    def test_conditions(self) -> None:
        """What is on record about an instance is told."""
        self.stack.persister.tables.conditions["i-1"] = "It is paused."
        self.assert_said(self.ask("check-world"), 0, "On record about i-1: It is paused.")

    def test_history(self) -> None:
        """A history is compared with the world."""
        path = self.folder / "history"
        event = Event(
            number=1, kind="ok", call="provision", at=1.0, instance_id="i-9", status=201, state="succeeded"
        )
        path.write_text(encode_event(event) + "\n\n", encoding="utf-8")
        result = self.ask("check-world", "--history", str(path))
        self.assert_said(result, 1)
        self.assertIn("I7: i-9 is believed to exist, and does not\n", result.stdout)

    def test_bad_history(self) -> None:
        """A history that cannot be read is refused with the number of its line."""
        for line in ("x", "[]", '{"number": 1}', '{"number":1,"kind":"a","call":"bind","at":1}'):
            path = self.folder / "history"
            path.write_text(f"\n{line}\n", encoding="utf-8")
            told = self.one_line(self.ask("check-world", "--history", str(path)), 1)
            self.assertIn("Line 2 of the history is no event", told)
        self.assertEqual(self.asked, [])

    def test_log(self) -> None:
        """A log is looked through."""
        path = self.folder / "log"
        path.write_text("plain text\n", encoding="utf-8")
        result = self.ask("check-world", "--log", str(path))
        self.assertEqual(result.stdout, "I14: line 1 of the log is no JSON\n")


class ReapTests(LineCase):
    """`reap`."""

    def test_nothing(self) -> None:
        """Where everything has an owner nothing is waited for."""
        self.assertEqual(self.one_line(self.ask("reap"), 0), "Everything has an owner.")

    def test_silent_host(self) -> None:
        """A host that does not answer is told, and nothing on it is without an owner."""
        orphan(self.stack, "i-2")
        self.stack.engine.reachable = False
        self.assert_said(self.ask("reap", "--dry-run"), 0, "10.0.0.1 was not looked at: ")

    def test_removes(self) -> None:
        """What has no owner is removed after the grace, and shown."""
        made = orphan(self.stack, "i-2")
        result = self.ask("reap")
        self.assert_said(result, 0, "1 without an owner; looking again in 60 s.")
        self.assertEqual(result.stdout, f"container\t{made}\t10.0.0.1\ti-2\n")
        self.assertNotIn(made, self.stack.engine.world)

    def test_dry_run(self) -> None:
        """A dry run shows it at once, with what the database says, and removes nothing."""
        made = orphan(self.stack, "i-2")
        result = self.ask("reap", "--dry-run")
        self.assertEqual(result.stdout, f"container\t{made}\t10.0.0.1\ti-2\tmay be removed\n")
        self.assertIn(made, self.stack.engine.world)

    def test_refusal_and_force(self) -> None:
        """What a broker refuses is refused here as well, until the operator insists."""
        made = {orphan(self.stack, f"j-{number}") for number in range(5)}
        self.stack.persister.tables.operations.clear()
        dry = self.ask("reap", "--dry-run")
        self.assert_said(dry, 0, "Without --force nothing would be removed: 5 of 6 containers")
        self.assertEqual(dry.stdout.count("of which the database knows nothing"), 5)
        self.assert_said(self.ask("reap"), 1, "Nothing was removed: 5 of 6 containers have no owner")
        self.assertLessEqual(made, set(self.stack.engine.world))
        self.assert_said(self.ask("reap", "--force"), 0)
        self.assertEqual(len(self.stack.engine.world), 1)

    def test_host_refuses(self) -> None:
        """What could not be removed is told."""
        orphan(self.stack, "i-2")
        self.stack.engine.fail_next("remove", EngineUnreachable("It is away."))
        result = self.ask("reap")
        self.assert_said(result, 0, "1 are still there")
        self.assertEqual(result.stdout, "")
