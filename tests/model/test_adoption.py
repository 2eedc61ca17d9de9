"""Which containers are adopted, and what their records become."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.adoption import (
    Adoption,
    Candidates,
    Reason,
    Record,
    Seen,
    adopted,
    candidates,
    recorded,
)
from dockerbroker.model.containers import Container, container_name
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import InstanceState, Operation, OperationKind, Phase, ServiceInstance, Step
from tests.model.values import definition

CLUSTER = "c" * 32
HERE = DockerHost(key=HostKey(service_host="10.0.0.1", docker_host="10.0.0.1", docker_port=2375))
THERE = DockerHost(key=HostKey(service_host="10.0.0.2", docker_host="10.0.0.2", docker_port=2375))


IMAGES = [definition("redis", "free")]
_LABELS = {
    "dockerbroker.instance": "i",
    "dockerbroker.generation": "2",
    "dockerbroker.operation": "o-2",
    "dockerbroker.service": IMAGES[0].service_id,
    "dockerbroker.plan": IMAGES[0].plan.id,
}


def seen(
    generation: int = 1,
    *,
    running: bool = True,
    host: DockerHost = HERE,
    instance_id: str = "i",
    **changes: Any,
) -> Seen:
    """Return a container of an instance that bears its name."""
    labels = {
        "dockerbroker.instance": instance_id,
        "dockerbroker.generation": str(generation),
        "dockerbroker.operation": f"o-{generation}",
    }
    container = Container(
        id=f"{host.key.service_host} {generation}",
        name=container_name(CLUSTER, instance_id, generation),
        image="image",
        running=running,
        labels=labels,
    )
    return Seen(host=host, container=evolve(container, **changes))


def instance(**changes: Any) -> ServiceInstance:
    """Return an instance that is ready, and whose container is gone."""
    ready = ServiceInstance(
        id="i",
        definition=definition("redis", "free"),
        organization_guid="o",
        space_guid="s",
        host=HERE.key,
        container_id="gone",
        state=InstanceState.READY,
    )
    return evolve(ready, **changes)


def operation(kind: OperationKind, phase: Phase) -> Operation:
    """Return an operation that is over."""
    return Operation(id="o", kind=kind, instance_id="i", step=Step.REMOVE, phase=phase)


class CandidatesTests(SynchronousTestCase):
    """What may be adopted."""

    def chosen(self, *found: Seen, known: tuple[str, ...] = (), **record: Any) -> Candidates:
        """Return what is chosen when the database says this of the instance."""
        return candidates(found, {"i": Record(**record)}, frozenset(known), CLUSTER)

    def assert_wanted(self, result: Candidates, *wanted: Seen) -> None:
        """Check that these are wanted, in this order."""
        self.assertEqual(result.wanted, wanted)

    def assert_left(self, result: Candidates, reason: Reason, *left: Seen) -> None:
        """Check that nothing is wanted and these are left for this reason."""
        self.assertEqual(result.wanted, ())
        self.assertEqual([(one.seen, one.why) for one in result.left], [(one, reason.value) for one in left])

    def test_without_record(self) -> None:
        """A container without a record is wanted, whether it runs or not."""
        for running in (True, False):
            self.assert_wanted(self.chosen(seen(running=running)), seen(running=running))

    def test_generations(self) -> None:
        """The highest generation that runs is wanted; if none runs, the lowest is what the instance was."""
        for running, generation in (((1, 2), 2), ((1,), 1), ((2,), 2), ((), 1), ((1, 3), 3), ((2, 3), 3)):
            found = [seen(number, running=number in running) for number in (1, 2, 3)]
            result = self.chosen(*found)
            self.assertEqual([one.generation for one in result.wanted], [generation], running)
            self.assertEqual({one.why for one in result.left}, {Reason.BESIDE.value})
            self.assertFalse(any(one.is_loss for one in result.left))

    def test_two_hosts(self) -> None:
        """Of equal ones on two hosts it is always the same."""
        for found in ((seen(), seen(host=THERE)), (seen(host=THERE), seen())):
            self.assert_wanted(self.chosen(*found), seen())

    def test_ended(self) -> None:
        """What is left of an instance whose end is known is brokers' to remove; else it is wanted."""
        ends = (
            (OperationKind.DEPROVISION, Phase.SUCCEEDED),
            (OperationKind.PROVISION, Phase.FAILED),
        )
        for kind in OperationKind:
            for phase in (Phase.SUCCEEDED, Phase.FAILED):
                last = operation(kind, phase)
                result = self.chosen(seen(), last=last, known=("o-1",))
                if (kind, phase) in ends:
                    self.assert_left(result, Reason.ENDED, seen())
                else:
                    self.assert_wanted(result, seen())
                # Made by an operation that the database does not know: since it was copied.
                self.assert_wanted(self.chosen(seen(), last=last), seen())

    def test_named(self) -> None:
        """What the record names has its record; what stands beside it is no loss."""
        self.assertEqual(
            self.chosen(seen(), instance=instance(container_id=seen().container.id)), Candidates()
        )
        result = self.chosen(seen(), seen(2), instance=instance(container_id=seen().container.id))
        self.assert_left(result, Reason.BESIDE, seen(2))
        updated = instance(container_id=None, successor=instance(container_id=seen(2).container.id))
        self.assert_left(self.chosen(seen(), seen(2), instance=updated), Reason.BESIDE, seen())

    def test_renewed(self) -> None:
        """A record whose container is gone gets the one of its generation, or of a later one."""
        for generation in (2, 3):
            result = self.chosen(seen(generation), instance=instance(generation=2))
            self.assert_wanted(result, seen(generation))
        self.assert_left(self.chosen(seen(1), instance=instance(generation=2)), Reason.OLDER, seen(1))

    def test_elsewhere(self) -> None:
        """A record on another host is not moved, unless that is the same Docker."""
        elsewhere = seen(host=THERE)
        self.assert_left(self.chosen(elsewhere, instance=instance()), Reason.ELSEWHERE, elsewhere)
        renamed = evolve(HERE, key=evolve(HERE.key, service_host="10.0.0.3"))
        self.assert_wanted(self.chosen(seen(host=renamed), instance=instance()), seen(host=renamed))

    def test_moved(self) -> None:
        """A record from before a move gets the host to which its instance has moved since."""
        moved = seen(2, host=THERE)
        self.assert_wanted(self.chosen(moved, instance=instance()), moved)
        halted = seen(2, host=THERE, running=False)
        self.assert_left(self.chosen(halted, instance=instance()), Reason.ELSEWHERE, halted)
        adoption = adopted(
            evolve(moved, container=evolve(moved.container, labels=_LABELS)), instance(), IMAGES, CLUSTER
        )
        assert isinstance(adoption, Adoption)
        self.assertEqual((adoption.instance.host, adoption.instance.moves), (THERE.key, 1))

    def test_changing(self) -> None:
        """What an operation holds, or has left as failed, is left."""
        for changes in ({"operation_id": "o"}, {"state": InstanceState.FAILED}):
            result = self.chosen(seen(2), instance=instance(**changes))
            self.assert_left(result, Reason.CHANGING, seen(2))
            self.assertTrue(result.left[0].is_loss)

    def test_at_work(self) -> None:
        """What the operation that holds the instance has made is its own."""
        self.assertEqual(self.chosen(seen(2), instance=instance(operation_id="o-2")), Candidates())

    def test_copies(self) -> None:
        """What does not bear the name of its labels is nobody's, whatever they say."""
        for strange in (
            seen(name="other"),
            seen(labels={}),
            seen(labels={**seen().container.labels, "dockerbroker.generation": "x"}),
            seen(instance_id="x" * 256),
        ):
            self.assert_left(self.chosen(strange), Reason.COPY, strange)


class RecordedTests(SynchronousTestCase):
    """The operations by which records are written."""

    def test_over(self) -> None:
        """They are over at once, and say what they have done."""
        for is_renewal, kind in ((False, OperationKind.PROVISION), (True, OperationKind.UPDATE)):
            change = recorded(instance(), "o-1", 5.0, is_renewal=is_renewal)
            self.assertEqual((change.operation.id, change.operation.kind), ("o-1", kind))
            self.assertEqual((change.operation.is_over, change.operation.finished_at), (True, 5.0))
            self.assertEqual(change.instance, instance())
