"""Draining hosts: instances move with their volumes, and what happens when something stands in the way."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import ensureDeferred

from dockerbroker.broker.resting import RESTS_FOR
from dockerbroker.errors import ConcurrencyError, NotFound
from dockerbroker.model.hosts import HostState
from dockerbroker.model.plans import ContainerOptions
from tests.broker.calls import SERVICE, SMALL
from tests.broker.moves import OTHER, MoveCase
from tests.model.values import renamed
from tests.stack import HOST, instance_path, provision_body


class MovingTests(MoveCase):
    """Moves of instances with all that they have."""

    def test_moved(self) -> None:
        """An instance of a host that is drained moves with its data, and is served from there."""
        drain = self.drain()
        self.assertEqual((drain["IsDraining"], drain["Waiting"]), (True, 1))
        self.until_over()
        self.assert_moved()
        progress = self.progress()
        self.assertEqual((progress["Moved"], progress["IsUnderWay"], progress["BytesCopied"]), (1, False, 18))
        [told] = progress["Instances"]
        self.assertEqual((told["State"], told["BindingsToMakeAgain"]), ("moved", ["b-1"]))
        self.assertNotIn("update", self.ledger.actions())
        self.platform.unbind().result()
        self.platform.deprovision().result()
        self.assert_empty(self.there)
        self.assertEqual(self.stack.persister.tables.leases, {})

    def test_order(self) -> None:
        """The container there is made first; the one here goes last, when that one is ready."""
        self.stack.engine.calls.clear()
        self.drain()
        self.until_over()
        changing = {"create", "start", "stop", "remove", "remove_volume", "keep_running"}
        here = [call[0] for call in self.stack.engine.calls if call[0] in changing]
        there = [call[0] for call in self.there.calls if call[0] in changing]
        self.assertEqual(here, ["stop", "remove", "remove_volume"])
        self.assertEqual(there, ["create", "start", "keep_running"])
        self.assertEqual([call[0] for call in self.stack.copies.calls], ["is_empty", "copy"])

    def test_ports(self) -> None:
        """It keeps its ports, unless another instance has them there."""
        self.drain()
        self.until_over()
        self.assertEqual(self.instance().ports, self.former.ports)
        self.stack.request("DELETE", f"/admin/hosts/{HOST.key.service_host}/cordon")
        # Before, it would get other ports than those that were just given back.
        compared = ensureDeferred(self.stack.comparer.compare())
        self.stack.advance(RESTS_FOR)
        self.successResultOf(compared)
        self.platform.provision("i-2").result()
        self.assertEqual(
            (self.instance("i-2").host, self.instance("i-2").ports), (HOST.key, self.former.ports)
        )
        self.drain(OTHER)
        self.until_over()
        self.stack.advance(60)
        self.assertEqual(self.instance().host, HOST.key)
        self.assertNotEqual(self.instance().ports, self.former.ports)

    def test_dashboard(self) -> None:
        """The dashboard is where the instance is."""
        self.assertEqual(self.former.dashboard_url, "http://10.0.0.1/i-1")
        self.drain()
        self.until_over()
        self.assertEqual(self.instance().dashboard_url, "http://10.0.0.7/i-1")

    def test_bindings(self) -> None:
        """A binding from before names the former host, and is told as expired; a new one is not."""
        self.drain()
        self.until_over()
        metadata = self.platform.fetch("b-1").result().document.reveal()["metadata"]
        self.assertTrue(metadata["expires_at"].endswith("Z"), metadata)
        again = self.platform.bind().result()
        self.assertEqual(again.binding.document.reveal()["metadata"], metadata)
        self.platform.bind("b-2").result()
        self.assertNotIn("metadata", self.platform.fetch("b-2").result().document.reveal())
        self.assertIn("expired", self.platform.rotate("b-3", "b-1").error().description)

    def test_platform_meanwhile(self) -> None:
        """While it moves requests are refused as during an update; the platform sees its own operation."""
        before = self.platform.poll()
        self.drain()
        self.until_step("copy")
        for call in (self.platform.deprovision(), self.platform.bind("b-2"), self.platform.update("large")):
            self.assertIsInstance(call.error(), ConcurrencyError)
        self.assertEqual(self.platform.poll(), before)
        self.until_over()
        self.assertEqual(self.platform.poll(), before)
        self.platform.update("large").result()
        self.assertEqual(self.platform.poll().description, "the service instance is updated")

    def test_forgotten_operation(self) -> None:
        """When the platform's operation is not on record any more, no other is told instead."""
        self.drain()
        self.until_over()
        after = self.moves()[-1].after_id
        assert after is not None
        del self.stack.persister.tables.operations[after]
        self.assertRaises(NotFound, self.platform.poll)

    def test_nested_volumes(self) -> None:
        """What lies within another volume is copied with that one."""
        nested = evolve(SMALL, options=ContainerOptions(volumes={"data": "/data", "log": "/data/log"}))
        self.stack.add_definition(evolve(SERVICE, plans=(nested,)))
        self.platform.provision("i-2").result()
        log = self.stack.engine.disk[self.instance("i-2").volumes["/data/log"]]
        log.contents["/one"] = b"1"
        self.drain()
        for _ in range(3):
            self.stack.advance(30)
        copied = [call[1].path for call in self.stack.copies.calls if call[0] == "copy"]
        self.assertEqual(copied, ["/data", "/data"])
        self.assertEqual(self.instance("i-2").host, OTHER.key)
        self.assertEqual([len(one.contents) for one in self.there.disk.values()].count(1), 1)


class StandingInTheWayTests(MoveCase):
    """What cannot be moved, and stays."""

    def test_no_room(self) -> None:
        """Without another host the instance stays and serves; when there is one it moves."""
        self.stack.request("PUT", f"/admin/hosts/{OTHER.key.service_host}/cordon")
        self.drain()
        self.assert_failed("of 2 Docker hosts 2 are cordoned")
        self.assert_stayed()
        [told] = self.progress()["Instances"]
        self.assertEqual((told["State"], "cordoned" in told["What"]), ("failed", True))
        self.stack.advance(300)
        self.assertEqual(len(self.moves()), 1)
        self.stack.request("DELETE", f"/admin/hosts/{OTHER.key.service_host}/cordon")
        self.stack.advance(90)
        self.assert_moved()

    def test_others_go_on(self) -> None:
        """What cannot be moved, since its container is gone, does not keep others from moving."""
        self.platform.provision("i-2").result()
        del self.stack.engine.world[self.instance("i-2").container_id or ""]
        self.drain()
        self.stack.advance(60)
        self.assertEqual(self.instance().host, OTHER.key)
        states = {one["InstanceID"]: one["State"] for one in self.progress()["Instances"]}
        self.assertEqual(states, {"i-1": "moved", "i-2": "failed"})

    def test_volumes_of_former_plans(self) -> None:
        """Data that the container does not have is not left behind: the instance stays."""
        plain = evolve(SMALL, options=ContainerOptions(memory=2**30), id="large")
        self.stack.add_definition(evolve(SERVICE, plans=(SMALL, plain)))
        self.platform.update("large").result()
        self.drain()
        self.assert_failed("volumes", "a plan that it had before")
        self.assertEqual(self.data(self.stack.engine), {"/dump": b"precious", "/log": b"0123456789"})

    def test_container_of_somebody_else(self) -> None:
        """What is in a container that is not the broker's stays, and it is said who has to move it."""
        mine = evolve(renamed(SERVICE, "mine", container_name="theirs"), plans=(evolve(SMALL, id="mine"),))
        self.stack.add_definition(mine)
        theirs = self.container(self.stack.engine)
        theirs.spec = evolve(theirs.spec, name="theirs")
        made = self.stack.request(
            "PUT", instance_path("i-2"), provision_body(service_id=mine.service_id, plan_id="mine")
        )
        self.assertEqual(made.status, 201, made)
        self.drain()
        self.until_over()
        states = {one["InstanceID"]: one for one in self.progress()["Instances"]}
        self.assertEqual(states["i-2"]["State"], "staying")
        self.assertIn("whoever looks after", states["i-2"]["What"])
        self.assertEqual((self.instance().host, self.instance("i-2").host), (OTHER.key, HOST.key))

    def test_dead_host(self) -> None:
        """A host that is dead cannot be drained: nobody can read what it has."""
        self.stack.persister.tables.hosts[HOST.key]["state"] = HostState.DEAD.value
        answer = self.stack.request("PUT", f"/admin/hosts/{HOST.key.service_host}/drain")
        self.assertEqual(answer.status, 409)
        self.assertIn("is dead", answer.description)
        self.stack.persister.tables.hosts[HOST.key]["state"] = HostState.ALIVE.value
        self.drain()
        self.stack.persister.tables.hosts[HOST.key]["state"] = HostState.DEAD.value
        self.stack.advance(60)
        progress = self.progress()
        self.assertEqual((progress["IsUnderWay"], progress["Failed"], self.moves()), (False, 1, []))
        self.assertIn("is dead", progress["Instances"][0]["What"])

    def test_undrained(self) -> None:
        """What has begun to move goes on when nobody wants it any more, and nothing else begins."""
        for number in (2, 3, 4):
            self.platform.provision(f"i-{number}").result()
        self.drain()
        self.until_step("copy")
        answer = self.stack.request("DELETE", f"/admin/hosts/{HOST.key.service_host}/drain").json
        self.assertEqual((answer["IsDraining"], answer["IsUnderWay"]), (False, False))
        self.stack.advance(120)
        hosts = [self.instance(f"i-{number}").host for number in (1, 2, 3, 4)]
        self.assertEqual(sorted(hosts), [HOST.key, HOST.key, OTHER.key, OTHER.key])
        report = self.stack.request("GET", f"/admin/hosts/{HOST.key.service_host}").json
        self.assertEqual((report["IsCordoned"], report["IsDraining"]), (True, False))

    def test_few_at_a_time(self) -> None:
        """Two instances of a host move at once, whoever looks; in the end all have moved."""
        for number in range(2, 7):
            self.platform.provision(f"i-{number}").result()
        self.stack.neighbour().drainer.start()
        self.drain()
        for _ in range(200):
            self.stack.advance(1)
            self.assertLessEqual(sum(not one.is_over for one in self.moves()), 3)
        self.assertEqual(self.progress()["Moved"], 6)
        self.assert_empty(self.stack.engine)
