"""I6, I7, I12 to I14 and I16 on snapshots that are made for them: what is said, and what is left unsaid."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from dockerbroker.invariants import breaches
from dockerbroker.invariants.history import Resource, encode_event, read_history, told
from dockerbroker.model.containers import Volume, container_name
from dockerbroker.model.orphans import Kind, Orphan, Removal, Sighting
from tests.invariants.case import ROW, CheckCase, container_of, event, world
from tests.model.values import CLUSTER, HOST, operation


class AnswerTests(CheckCase):
    """I6, I7 and I16."""

    def test_told(self) -> None:
        """What follows from a history."""
        made, bound = Resource("i-1"), Resource("i-1", "b-1")
        for history, expected in (
            ([event("provision", state="succeeded")], {made: True}),
            ([event("provision", state="in progress")], {}),
            ([event("provision", state="in progress"), event("poll", state="succeeded")], {made: True}),
            ([event("provision", state="in progress"), event("poll", state="failed")], {}),
            ([event("provision", "fail")], {made: False}),
            ([event("provision", state="succeeded"), event("provision", "fail")], {made: True}),
            ([event("provision", "info")], {}),
            ([event("provision", state="succeeded"), event("deprovision", "info")], {}),
            ([event("provision", state="succeeded"), event("deprovision", "fail")], {made: True}),
            ([event("deprovision", state="in progress")], {}),
            (
                [event("deprovision", state="in progress"), event("poll deletion", state="succeeded")],
                {made: False},
            ),
            (
                [event("bind", binding_id="b-1", state="succeeded"), event("deprovision", state="succeeded")],
                {made: False, bound: False},
            ),
        ):
            self.assertEqual(told(history), expected, history)

    def test_lives(self) -> None:
        """I6: what was made must run, unless it is told why it does not."""
        made = (event("provision", state="succeeded"),)
        self.assert_sound(world(ROW, history=made))
        stopped = [container_of(ROW, running=False, ports={})]
        self.assert_breach(world(ROW, history=made, containers=stopped), "I6", "its container does not run")
        self.assert_sound(world(ROW, history=made, containers=stopped, conditions={"i-1": "It stopped."}))
        said = breaches(world(history=made))
        self.assertEqual([line[:2] for line in said], ["I6", "I7"])

    def test_leaves_nothing(self) -> None:
        """I6: of what is gone neither container nor volume is left."""
        gone = (event("deprovision", state="succeeded"),)
        self.assert_sound(world(history=gone))
        left = Volume(name="v-1", labels={"dockerbroker.instance": "i-1"})
        said = breaches(world(history=gone, containers=[container_of(ROW)], volumes=(left,)))
        self.assertEqual(sorted(line[:2] for line in said), ["I1", "I1", "I6", "I6"])

    def test_beliefs(self) -> None:
        """I7: what a platform believes is compared with what is on record."""
        self.assert_sound(world(ROW, believed={Resource("i-1"): True, Resource("i-9"): False}))
        self.assert_breach(world(ROW, believed={Resource("i-1"): False}), "I7", "i-1 is believed to be gone")
        self.assert_breach(
            world(ROW, believed={Resource("i-1", "b-1"): True}), "I7", "i-1 b-1 is believed to"
        )
        self.assert_sound(world(evolve(ROW), believed={Resource("i-1"): False}, operations=(operation(),)))

    def test_answers(self) -> None:
        """I16: errors of the broker, late answers, none, and broken connections are told."""
        asked = event("fetch", "invoke")
        for answered, fragment in (
            (event("fetch", "info", status=500), "answered with 500"),
            (event("fetch", "info"), "got no answer"),
            (event("fetch", status=200, at=50.0), "answered after 49.0 s"),
            (event("fetch", status=200, unannounced_close=True), "the connection broke"),
        ):
            self.assert_breach(world(history=(asked, answered)), "I16", fragment)
        self.assert_sound(world(history=(asked, event("fetch", "fail", status=404))))

    def test_faults(self) -> None:
        """I16: while something is broken on purpose an error has its reason."""
        asked, failed = event("fetch", "invoke"), event("fetch", "info", status=500, at=3.0)
        self.assert_sound(world(history=(asked, failed), faults=((2.0, 9.0),)))
        self.assert_breach(world(history=(asked, failed), faults=((4.0, 9.0),)), "I16", "500")

    def test_round_trip(self) -> None:
        """A history that was written is read as it was."""
        history = (
            event("bind", binding_id="b-1", status=201, credentials="x"),
            event("poll", state="failed"),
        )
        self.assertEqual(read_history(map(encode_event, history)), history)


class ConductTests(CheckCase):
    """I12 to I14."""

    def removal(self, **members: Any) -> Removal:
        """Return a removal that was right."""
        orphan = Orphan(kind=Kind.CONTAINER, id="c-9", host=HOST, instance_id="i-9")
        settings = {
            "orphan": orphan,
            "name": container_name(CLUSTER, "i-9", 1),
            "generation": 1,
            "sighting": Sighting(first=0.0, passes=3),
            "at": 61.0,
            "count": 3,
            "total": 3,
            "forced": False,
        }
        return Removal(**{**settings, **members})

    def test_removals(self) -> None:
        """I12: removals of what was young, seen once, without its name, many or owned are told."""
        right = self.removal()
        self.assert_sound(world(removals=(right, self.removal(count=50, total=50, forced=True))))
        for wrong, fragment in (
            (self.removal(at=60.0), "60 s after"),
            (self.removal(sighting=Sighting(first=0.0, passes=1)), "at first sight"),
            (self.removal(name="jolly_turing"), "its name jolly_turing"),
            (self.removal(generation=None), "its name"),
            (self.removal(count=4, total=10), "one of 4 of 10"),
            (self.removal(orphan=evolve(right.orphan, id="c-1")), "although it has an owner"),
        ):
            self.assert_breach(world(ROW, removals=(wrong,)), "I12", fragment)

    def test_resources(self) -> None:
        """I13: whatever has grown is told; memory may grow a little."""
        self.assert_sound(world(resources={"threads": (3, 3), "memory": (100, 104)}))
        self.assert_breach(world(resources={"threads": (3, 4)}), "I13", "3 threads before, and 4")
        self.assert_breach(world(resources={"memory": (100, 106)}), "I13", "memory")

    def test_log(self) -> None:
        """I14: lines that are no JSON, about nothing, or tell of an unhandled error are told."""
        self.assert_sound(world(log=('{"operation": "o-1"}', '{"request_id": "r-1", "text": "x"}')))
        for line, fragment in (
            ("2023 text", "is no JSON"),
            ('{"text": "x"}', "names neither"),
            ("[]", "names neither"),
            ('{"operation": "o", "text": "Unhandled error in Deferred:"}', "nobody handled"),
        ):
            self.assert_breach(world(log=(line,)), "I14", fragment)
