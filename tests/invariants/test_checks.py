"""Each invariant on snapshots that are made for it: what it says, and what it leaves unsaid."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.invariants import Event, HostView, Run, Sample, Snapshot, breaches
from dockerbroker.invariants.history import Resource, encode_event, read_history, told
from dockerbroker.model.containers import Container, Volume, container_name, container_spec
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import (
    InstanceState,
    OperationKind,
    Phase,
    ServiceInstance,
)
from dockerbroker.model.orphans import Kind, Orphan, Removal, Sighting
from tests.model.values import CLUSTER, EXISTING, HOST, instance, operation


def container_of(row: ServiceInstance, **members: Any) -> Container:
    """Return the container that the row describes, running."""
    spec = container_spec(CLUSTER, row, operation())
    settings = {
        "id": row.container_id,
        "name": spec.name,
        "image": spec.image,
        "running": True,
        "labels": spec.labels,
        "ports": dict(row.ports),
    }
    return Container(**{**settings, **members})


ROW = instance()
OTHER = instance(id="i-2", container_id="c-2", ports={"6379/tcp": 20002})


def world(*rows: ServiceInstance, containers: Any = None, **members: Any) -> Snapshot:
    """Return a sound world of these instances, but for what is given."""
    found = [container_of(row) for row in rows if row.owns_container] if containers is None else containers
    ports = frozenset(port for row in rows if row.owns_container for port in row.ports.values())
    view = HostView(host=HOST, containers=tuple(found), leased_ports=ports)
    of_view = {"volumes", "complaint", "is_alive", "leased_ports"}
    view = evolve(view, **{key: members.pop(key) for key in of_view & set(members)})
    return Snapshot(cluster_id=CLUSTER, instances=rows, hosts=(view,), **members)


class CheckCase(SynchronousTestCase):
    """What is said of a snapshot."""

    def assert_sound(self, snapshot: Snapshot) -> None:
        """Nothing is said."""
        self.assertEqual(breaches(snapshot), [])

    def assert_breach(self, snapshot: Snapshot, name: str, fragment: str) -> None:
        """One thing is said, by this invariant."""
        (line,) = breaches(snapshot)
        self.assertEqual(line.partition(":")[0], name)
        self.assertIn(fragment, line)


class BelongingTests(CheckCase):
    """I1 to I4."""

    def test_sound(self) -> None:
        """Instances with what belongs to them are as they should be, also while an operation is at work."""
        self.assert_sound(world(ROW, OTHER))
        self.assert_sound(world())
        self.assert_sound(world(instance(EXISTING), instance(EXISTING, id="i-2")))
        updating = instance(
            state=InstanceState.UPDATING,
            operation_id="o-1",
            successor=evolve(ROW, generation=2, container_id="c-9"),
        )
        made = [container_of(ROW), container_of(evolve(ROW, generation=2, container_id="c-9"), running=False)]
        self.assert_sound(world(updating, containers=made))
        self.assert_sound(world(evolve(updating, successor=evolve(ROW)), containers=made))

    def test_strays(self) -> None:
        """I1: containers and volumes of no instance are told."""
        stray = container_of(OTHER)
        self.assert_breach(world(ROW, containers=[container_of(ROW), stray]), "I1", "c-2 on 10.0.0.1 belongs")
        left = Volume(name="v-1", labels={"dockerbroker.instance": "i-9"})
        self.assert_breach(world(ROW, volumes=(left,)), "I1", "the volume v-1")
        beside = container_of(evolve(ROW, generation=9), id="c-9", running=False)
        self.assert_breach(world(ROW, containers=[container_of(ROW), beside]), "I1", "c-9")

    def test_shared(self) -> None:
        """I1: a container of two instances is told."""
        twin = evolve(OTHER, container_id="c-1")
        said = breaches(world(ROW, twin, containers=[container_of(ROW)]))
        self.assertIn("I1: the container c-1 belongs to 2 service instances", said)

    def test_missing(self) -> None:
        """I2: an instance without its container is told, unless that is on record or its host is dead."""
        self.assert_breach(world(ROW, containers=[]), "I2", "its container is missing")
        self.assert_sound(world(ROW, containers=[], conditions={"i-1": "It is missing."}))
        self.assert_sound(world(ROW, containers=[], is_alive=False))
        self.assert_sound(world(evolve(ROW, state=InstanceState.FAILED), containers=[]))

    def test_silent(self) -> None:
        """I2: a host that lives and does not answer, or is not known, is told."""
        self.assert_breach(world(ROW, containers=[], complaint="no route"), "I2", "does not answer")
        elsewhere = evolve(ROW, host=HostKey(service_host="h", docker_host="h", docker_port=1))
        found = breaches(world(elsewhere, containers=[], leased_ports=frozenset()))
        self.assertEqual(found, ["I2: i-1: its host h is not known, and nothing is on record about that"])

    def test_another_container(self) -> None:
        """I2: a container of another shape or another instance is told."""
        bigger = container_of(evolve(ROW, ports={"6379/tcp": 1}), ports=dict(ROW.ports))
        self.assert_breach(world(ROW, containers=[bigger]), "I2", "is not the one that its row describes")
        foreign = container_of(evolve(OTHER, container_id="c-1"), ports=dict(ROW.ports))
        self.assert_breach(world(ROW, containers=[foreign]), "I2", "labelled as another's")

    def test_two_running(self) -> None:
        """I3: two running containers are told, now and at any earlier moment; copies do not count."""
        sample = Sample(at=7.0, running={"i-1": ("c-1", "c-2")})
        self.assert_breach(world(ROW, samples=(sample,)), "I3", "at 7: c-1, c-2")
        held = evolve(ROW, operation_id="o-1")
        second = container_of(evolve(ROW, generation=2), id="c-9")
        self.assert_breach(world(held, containers=[container_of(ROW), second]), "I3", "now: c-1, c-9")
        copied = evolve(second, name="jolly_turing")
        self.assert_sound(world(held, containers=[container_of(ROW), copied]))

    def test_ports(self) -> None:
        """I4: ports with two owners, none, no reservation, or another publication are told."""
        twin = evolve(OTHER, ports=ROW.ports)
        self.assert_breach(world(ROW, twin), "I4", "port 20001 is reserved for i-1, i-2")
        self.assert_breach(world(ROW, leased_ports=frozenset({20001, 7})), "I4", "port 7 of 10.0.0.1")
        self.assert_breach(world(ROW, leased_ports=frozenset()), "I4", "and not reserved")
        moved = container_of(ROW, ports={"6379/tcp": 9})
        self.assert_breach(world(ROW, containers=[moved]), "I4", "i-1 publishes")
        self.assert_sound(world(ROW, containers=[container_of(ROW, running=False, ports={})]))


def event(call: str, kind: str = "ok", **members: Any) -> Event:
    """Return an event about the instance `i-1`."""
    settings = {"number": 1, "kind": kind, "call": call, "at": 1.0, "instance_id": "i-1"}
    status = {"ok": 200, "fail": 422}.get(kind)
    return Event(**{**settings, "status": status, **members})


class ProgressTests(CheckCase):
    """I5, I8 and I10."""

    def test_stuck(self) -> None:
        """I5: what is not over long after its deadline is told, unless its host does not answer."""
        stuck = operation(deadline=10.0)
        self.assert_sound(world(ROW, operations=(stuck,), now=100.0))
        self.assert_breach(world(ROW, operations=(stuck,), now=1000.0), "I5", "is not over 990 s after")
        dark = {"complaint": "no route", "is_alive": False, "containers": []}
        self.assert_sound(world(ROW, operations=(stuck,), now=1000.0, **dark))

    def test_final_states(self) -> None:
        """I5: an end that changes is told, on record and in answers."""
        done = operation(phase=Phase.SUCCEEDED)
        before = Sample(at=1.0, phases={"o-1": Phase.FAILED})
        self.assert_breach(world(ROW, operations=(done,), samples=(before,)), "I5", "was failed and is succ")
        polls = [
            event("poll", state=state, operation="o-1") for state in ("in progress", "failed", "succeeded")
        ]
        self.assert_breach(world(ROW, history=tuple(polls)), "I5", "told as failed, and then as succeeded")

    def test_repeated_operations(self) -> None:
        """I5: an operation that is told of two resources, or is not on record, is told."""
        begun = [
            event("update", state="in progress", operation="o-1", instance_id=one) for one in ("i-1", "i-2")
        ]
        self.assert_breach(world(history=tuple(begun)), "I5", "was told of")
        done = (operation(id="o-2", phase=Phase.SUCCEEDED),)
        self.assert_breach(world(history=(begun[0],), operations=done), "I5", "is not on record")

    def test_overlapping_runs(self) -> None:
        """I8: two runs at once on an instance are told; one after the other, or elsewhere, they are not."""
        first = Run(action="bind", instance_id="i-1", began=1.0, ended=5.0)
        later = Run(action="unbind", instance_id="i-1", began=5.0)
        self.assert_sound(world(runs=(first, later, evolve(first, instance_id="i-2"))))
        self.assert_breach(world(runs=(first, evolve(later, began=4.0))), "I8", "/bind of i-1 ran while its")

    def test_never_run(self) -> None:
        """I8: a success without a run that succeeded is told."""
        done = operation(OperationKind.BIND, binding_id="b-1", phase=Phase.SUCCEEDED)
        run = Run(action="bind", instance_id="i-1", binding_id="b-1", ended=1.0, exit_code=0)
        self.assert_sound(world(operations=(done,), runs=(run,)))
        failed = evolve(run, exit_code=1)
        self.assert_breach(world(operations=(done,), runs=(failed,)), "I8", "and /bind never did")

    def test_two_credentials(self) -> None:
        """I8: two sets of credentials for one binding are told; a new binding of that id may have others."""
        row = {"binding_id": "b-1", "state": "succeeded"}
        first, second = (event("bind", credentials=text, **row) for text in ("x", "y"))
        said = breaches(world(ROW, history=(first, second), believed={}))
        self.assertEqual(len(said), 1)
        self.assertIn("two different sets of credentials", said[0])
        between = event("unbind", **row)
        self.assert_sound(world(ROW, history=(first, between, second), believed={}))

    def test_stale_writes(self) -> None:
        """I10: writes without a lease are told."""
        self.assert_sound(world(counters={"stale writes": 0}))
        self.assert_breach(world(counters={"stale writes": 2}), "I10", "2 writes")


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
