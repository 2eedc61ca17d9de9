"""How much of a host is given away, and to whom: reservations, labels, neighbours and dispatchers."""

from __future__ import annotations

from typing import Any, Final

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import BadCommand
from dockerbroker.model.dispatchers import BinpackDispatcher, SpreadDispatcher
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.placement import Overcommit
from dockerbroker.model.plans import ContainerOptions, PlacementRules
from dockerbroker.model.reservations import Reserved
from dockerbroker.model.vitals import Ping, Vitals
from tests.broker.ledger import complaints, stack_instance
from tests.stack import HOST, REDIS, Answer, Stack, add_service, instance_path, provision_body

MIB: Final = 1024**2
OTHER: Final = evolve(HOST, key=HostKey(service_host="10.0.0.9", docker_host="10.0.0.9", docker_port=2375))
[_PLAN] = REDIS.plans


def service(memory: int | None = None, **rules: Any) -> Any:
    """Return the service with a plan that has this limit and these rules, and one with the double."""
    placement = PlacementRules(**rules)
    small = evolve(_PLAN, options=ContainerOptions(memory=memory), placement=placement)
    options = ContainerOptions(memory=memory and 2 * memory)
    large = evolve(small, id="redis_large", name="large", options=options)
    return evolve(REDIS, plans=(small, large), plan_updateable=True)


class DispatchCase(SynchronousTestCase):
    """A broker whose first host has 1 GiB of memory."""

    def setUp(self) -> None:
        """Start it."""
        self.stack = Stack()
        self.ping(HOST, memory_total=1024 * MIB, memory_free=1024 * MIB)

    def ping(self, host: DockerHost, **vitals: Any) -> None:
        """Let an agent ping."""
        call = self.stack.persister.record_pings([Ping(host=host, vitals=Vitals(**vitals))])
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(call)), {})

    def second(self, **members: Any) -> None:
        """Let there be another host."""
        self.ping(evolve(OTHER, **members))
        add_service(self.stack.engines(OTHER))

    def made(self, *instances: str, **changes: Any) -> list[str]:
        """Provision instances; returns on which hosts they are."""
        for one in instances:
            answer = self.stack.provision(one, **changes)
            self.assertEqual(answer.status, 201, answer.body)
        return [stack_instance(self.stack, one).host.service_host for one in instances]

    def refused(self, instance_id: str, why: str, **changes: Any) -> None:
        """Check that an instance is not made, and why."""
        answer = self.stack.provision(instance_id, **changes)
        self.assertEqual(answer.status, 503)
        self.assertIn(why, answer.description)

    def reserved(self) -> dict[HostKey, Reserved]:
        """Return what is reserved."""
        return self.stack.persister.tables.reserved()

    def update(self, instance_id: str) -> Answer:
        """Update an instance to the large plan."""
        body = {"service_id": "redis", "plan_id": "redis_large"}
        return self.stack.request("PATCH", instance_path(instance_id), body)


class MemoryTests(DispatchCase):
    """The memory of hosts."""

    def setUp(self) -> None:
        """Let the plan have half of the host's memory."""
        super().setUp()
        self.stack.add_definition(service(512 * MIB))

    def test_full(self) -> None:
        """No more instances are made than have room, until one is gone, and the refusal says why."""
        self.made("i-1", "i-2")
        self.refused("i-3", "of 1 Docker host 1 has less than 512 MB of memory left.")
        self.stack.deprovision("i-1")
        self.made("i-3")
        self.assertEqual(complaints(self.stack), [])

    def test_another_host(self) -> None:
        """What has no room on one host is made on another one."""
        self.second()
        self.assertEqual(self.made("i-1", "i-2", "i-3"), ["10.0.0.1", "10.0.0.1", "10.0.0.9"])

    def test_failed(self) -> None:
        """An instance that could not be made gives back what it had reserved."""
        self.stack.engine.fail_next("create", BadCommand("Docker cannot run that."))
        self.assertEqual(self.stack.provision("i-1").status, 500)
        self.assertEqual(self.stack.persister.tables.instances, {})
        self.assertEqual(self.reserved(), {})

    def test_race(self) -> None:
        """Two instances that found room for one at once do not both get it."""
        self.made("i-0")
        hang = self.stack.engine.hang_reply("image")
        first = self.stack.ask("PUT", instance_path("i-1"), provision_body())
        self.made("i-2")
        hang.release()
        answer = self.stack.settle(first)
        self.assertEqual(answer.status, 503)
        self.assertIn("1 has less than 512 MB of memory left", answer.description)
        self.assertEqual(self.reserved()[HOST.key].memory, 1024 * MIB)

    def test_update(self) -> None:
        """An update that has no room is refused and changes nothing; with room it is made."""
        self.made("i-1", "i-2")
        answer = self.update("i-1")
        self.assertEqual(answer.status, 503)
        self.assertIn("has not enough memory or processors left", answer.description)
        self.assertEqual(self.reserved()[HOST.key].memory, 1024 * MIB)
        self.stack.deprovision("i-2")
        self.assertEqual(self.update("i-1").status, 200)
        self.assertEqual(self.reserved()[HOST.key], Reserved(memory=1024 * MIB, ports=1, instances=1))
        self.assertEqual(complaints(self.stack), [])

    def test_overcommit(self) -> None:
        """More is given away when the configuration allows it."""
        self.stack.broker.placing.view.overcommit = Overcommit(memory=1.5)
        self.made("i-1", "i-2", "i-3")
        self.refused("i-4", "less than 512 MB")

    def test_in_use(self) -> None:
        """What others than the broker use on the host is not given away."""
        self.ping(HOST, memory_total=1024 * MIB, memory_free=511 * MIB)
        self.refused("i-1", "less than 512 MB")


class PlaceTests(DispatchCase):
    """Labels and neighbours."""

    def test_labels(self) -> None:
        """An instance is made on a host that has the labels; a refusal says which is missing."""
        self.stack.add_definition(service(host_labels={"disk": "ssd"}))
        self.refused("i-1", "of 1 Docker host 1 lacks the label disk=ssd.")
        self.second(labels={"disk": "ssd"})
        self.assertEqual(self.made("i-1", "i-2"), ["10.0.0.9", "10.0.0.9"])

    def test_update_to_other_labels(self) -> None:
        """An instance that is on the wrong host for its new plan stays what it is."""
        self.made("i-1")
        self.stack.add_definition(service(512 * MIB, host_labels={"disk": "ssd"}))
        answer = self.update("i-1")
        self.assertEqual(answer.status, 503)
        self.assertIn("lacks the label disk=ssd", answer.description)

    def test_never(self) -> None:
        """Instances of a space are on different hosts, or are refused; those of other spaces do not count."""
        self.stack.add_definition(service(same_host="never"))
        self.second()
        self.assertEqual(self.made("i-1", "i-2"), ["10.0.0.1", "10.0.0.9"])
        self.refused("i-3", "of 2 Docker hosts 2 have an instance of the service for this space.")
        self.assertEqual(self.made("i-4", space_guid="s-2"), ["10.0.0.1"])
        self.stack.deprovision("i-1")
        self.assertEqual(self.made("i-3"), ["10.0.0.1"])

    def test_never_races(self) -> None:
        """Two instances of a space that are placed at once do not get to one host."""
        self.stack.add_definition(service(same_host="never"))
        self.second()
        hang = self.stack.engine.hang_reply("image")
        first = self.stack.ask("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(self.made("i-2"), ["10.0.0.1"])
        hang.release()
        self.assertEqual(self.stack.settle(first).status, 201)
        self.assertEqual(stack_instance(self.stack, "i-1").host, OTHER.key)

    def test_avoided(self) -> None:
        """Instances of a space are on different hosts as long as there are enough."""
        self.stack.add_definition(service(same_host="avoided"))
        self.second()
        self.assertEqual(self.made("i-1", "i-2", "i-3"), ["10.0.0.1", "10.0.0.9", "10.0.0.1"])


class DispatcherTests(DispatchCase):
    """The dispatchers, with two hosts."""

    def setUp(self) -> None:
        """Let there be another host."""
        super().setUp()
        self.second()

    def test_spread(self) -> None:
        """The dispatcher that spreads gives every host one in turn."""
        self.stack.broker.placing.dispatcher = SpreadDispatcher()
        self.assertEqual(self.made("i-1", "i-2", "i-3", "i-4").count("10.0.0.9"), 2)

    def test_binpack(self) -> None:
        """The dispatcher that packs stays with the host that it has taken, but fills a cheaper one first."""
        self.stack.broker.placing.dispatcher = BinpackDispatcher()
        self.assertEqual(self.made("i-1", "i-2", "i-3").count("10.0.0.1"), 3)
        self.ping(evolve(OTHER, perf_factor=0.5))
        self.assertEqual(self.made("i-4"), ["10.0.0.9"])
