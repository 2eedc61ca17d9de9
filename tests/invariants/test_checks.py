"""I1 to I5, I8 and I10 on snapshots that are made for them: what is said, and what is left unsaid."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.invariants import HostView, Run, Sample, breaches
from dockerbroker.model.containers import Volume
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import (
    InstanceState,
    OperationKind,
    Phase,
)
from dockerbroker.model.reservations import NOTHING
from tests.invariants.case import OTHER, ROW, CheckCase, container_of, event, world
from tests.model.values import EXISTING, HOST, instance, moving, operation


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

    def test_moving(self) -> None:
        """An instance that moves has things on two hosts, and afterwards on one; what it left is told."""
        there = moving().successor
        assert there is not None
        there = evolve(there, container_id="c-9")
        volume = Volume(name="v-1", labels={"dockerbroker.instance": "i-1"})
        other = HostView(
            host=evolve(HOST, key=there.host),
            containers=(container_of(there, running=False),),
            volumes=(volume,),
            leased_ports=there.leased_ports,
            reserved=there.reserved,
        )
        halfway = evolve(moving(), operation_id="o-1", successor=there)
        sound = world(halfway, volumes=(volume,), reserved=ROW.reserved)
        self.assert_sound(evolve(sound, hosts=(*sound.hosts, other)))
        unleased = evolve(other, leased_ports=frozenset())
        self.assert_breach(evolve(sound, hosts=(*sound.hosts, unleased)), "I4", "10.0.0.9 is used")
        stayed = world(ROW, volumes=(volume,))
        left = evolve(other, containers=(), leased_ports=frozenset(), reserved=NOTHING)
        self.assert_breach(evolve(stayed, hosts=(*stayed.hosts, left)), "I1", "v-1 on 10.0.0.9")

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
        self.assert_sound(world(ROW, reserved=ROW.reserved))
        self.assert_breach(world(ROW, reserved=NOTHING), "I4", "the instances of 10.0.0.1 reserve")
        moved = container_of(ROW, ports={"6379/tcp": 9})
        self.assert_breach(world(ROW, containers=[moved]), "I4", "i-1 publishes")
        self.assert_sound(world(ROW, containers=[container_of(ROW, running=False, ports={})]))


class ProgressTests(CheckCase):
    """I5, I8 and I10."""

    def test_stuck(self) -> None:
        """I5: what is not over long after its deadline is told, unless its host does not answer."""
        stuck = operation(deadline=10.0)
        self.assert_sound(world(ROW, operations=(stuck,), now=100.0))
        self.assert_breach(world(ROW, operations=(stuck,), now=1000.0), "I5", "is not over 990 s after")
        dark = {"complaint": "no route", "is_alive": False, "containers": []}
        self.assert_sound(world(ROW, operations=(stuck,), now=1000.0, **dark))

    def test_held(self) -> None:
        """I5: an instance that is held by an operation of which nobody knows is told."""
        held = evolve(ROW, operation_id="o-1")
        at_work = operation(id="o-1", deadline=10.0)
        self.assert_sound(world(held, operations=(at_work,)))
        self.assert_breach(
            world(held, operations=(evolve(at_work, id="o-2"),)), "I5", "held by the operation o-1"
        )

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
