"""The API by which administrators look at what nobody owns, and let it be removed."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from tests.broker.test_comparing import orphan
from tests.stack import Stack

_HOST_ID = "10.0.0.1,10.0.0.2,2375"


class ReaperTests(SynchronousTestCase):
    """A broker with one container that nobody owns."""

    def setUp(self) -> None:
        """Leave the container behind."""
        self.stack = Stack()
        self.made = orphan(self.stack, "i-1")
        self.told = {"Kind": "container", "ID": self.made, "Host": _HOST_ID, "Instance": "i-1"}

    def reaper(self) -> Any:
        """Return how the last removal goes."""
        return self.stack.request("GET", "/admin/reaper").json

    def test_dry_run(self) -> None:
        """What nobody owns is told with what the database says, and stays."""
        answer = self.stack.request("GET", "/admin/orphans")
        expected = {"Orphans": [{**self.told, "What": "may be removed"}], "Unseen": []}
        self.assertEqual((answer.status, answer.json), (200, expected))
        self.assertIn(self.made, self.stack.engine.world)

    def test_unseen(self) -> None:
        """A host that does not answer is told."""
        self.stack.engine.reachable = False
        told = self.stack.request("GET", "/admin/orphans").json
        self.assertEqual((told["Orphans"], [one["Host"] for one in told["Unseen"]]), ([], ["10.0.0.1"]))
        self.assertRegex(told["Unseen"][0]["Why"], r"\.$")

    def test_one_look(self) -> None:
        """Several who ask at once get what one look has seen, though one of them does not wait for it."""
        asked = [self.stack.ask("GET", "/admin/orphans") for _ in range(3)]
        asked.pop().disconnect()
        answers = [self.stack.settle(one).json for one in asked]
        self.assertEqual(answers[0], answers[1])
        self.assertEqual([one["ID"] for one in answers[0]["Orphans"]], [self.made])

    def test_removal(self) -> None:
        """It is removed after two looks; meanwhile no other removal is begun, and it is told how it goes."""
        self.assertEqual(self.reaper(), {"IsUnderWay": False})
        begun = self.stack.request("POST", "/admin/reaper")
        self.assertEqual(begun.status, 202)
        self.assertEqual((begun.json["IsUnderWay"], begun.json["IsForced"]), (True, False))
        again = self.stack.request("POST", "/admin/reaper")
        self.assertEqual(again.status, 409)
        self.assertRegex(again.description, r"\.$")
        self.stack.advance(30)
        self.assertIn(self.made, self.stack.engine.world)
        self.stack.advance(60)
        self.assertNotIn(self.made, self.stack.engine.world)
        told = self.reaper()
        self.assertEqual((told["IsUnderWay"], told["Removed"], told["Waiting"]), (False, [self.told], 0))
        self.assertEqual(self.stack.request("POST", "/admin/reaper").status, 202)
        self.assertEqual(self.reaper()["Removed"], [])

    def test_refusal_and_force(self) -> None:
        """What is suspicious is left, and why is told; by force it is removed."""
        made = [self.made, *(orphan(self.stack, f"j-{number}") for number in range(5))]
        self.stack.persister.tables.operations.clear()
        survey = self.stack.request("GET", "/admin/orphans").json
        self.assertIn("6 of 6 containers", survey["Refusal"])
        self.assertEqual(len(survey["Orphans"]), 6)
        self.stack.request("POST", "/admin/reaper?force=false")
        self.stack.advance(90)
        self.assertIn("6 of 6 containers", self.reaper()["Refusal"])
        self.assertLessEqual(set(made), set(self.stack.engine.world))
        self.stack.request("POST", "/admin/reaper?force=true")
        self.stack.advance(90)
        self.assertEqual((len(self.reaper()["Removed"]), self.stack.engine.world), (6, {}))
        self.assertEqual(self.stack.request("POST", "/admin/reaper?force=yes").status, 400)

    def test_failure(self) -> None:
        """A removal that cannot go on is over, and says why; so is one whose broker ends."""
        self.stack.request("POST", "/admin/reaper")
        self.stack.persister.fail_next("hosts", Unavailable("The database is away."))
        self.stack.advance(90)
        self.assertEqual(self.reaper()["Refusal"], "The database is away.")
        self.stack.request("POST", "/admin/reaper")
        self.stack.sweeps.stop()
        self.stack.sweeps.stop()
        self.assertEqual(
            (self.reaper()["IsUnderWay"], self.reaper()["Refusal"]), (False, "The broker has ended.")
        )
        self.stack.advance(90)
        self.assertIn(self.made, self.stack.engine.world)
