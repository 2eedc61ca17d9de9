"""Draining hosts: instances move with their volumes, and what happens when something stands in the way."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import ensureDeferred

from dockerbroker.broker.resting import RESTS_FOR
from dockerbroker.errors import ConcurrencyError, EngineError, EngineUnreachable, NotFound
from dockerbroker.model.hosts import HostState
from dockerbroker.model.instances import Phase
from dockerbroker.model.plans import ContainerOptions
from tests.broker.calls import SERVICE, SMALL
from tests.broker.moves import DATA, OTHER, MoveCase
from tests.memory_faults import Hang
from tests.model.values import renamed
from tests.stack import HOST, add_service, instance_path, provision_body


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


class UndoingTests(MoveCase):
    """Moves that fail: the instance is what it was."""

    def test_no_image(self) -> None:
        """A host without the image is none to which the instance moves."""
        self.there.images.clear()
        self.drain()
        self.assert_failed("no image")
        self.assert_stayed()

    def test_steps(self) -> None:
        """Whatever fails before the former container goes is undone."""
        for call, times in (("create", 20), ("start", 20), ("keep_running", 20)):
            with self.subTest(call):
                self.there.fail_next(call, EngineError("It cannot be done."), times=times)
                self.drain()
                self.assert_failed("cannot be done")
                self.there.faults.clear()
                self.assert_stayed()
                self.stack.request("DELETE", f"/admin/hosts/{HOST.key.service_host}/drain")
                self.stack.advance(70)

    def test_unlike(self) -> None:
        """What is not the same there is copied anew, and given up when that does not help."""
        self.stack.copies.fail_next("copy", EngineError("What was copied is not the same."))
        self.drain()
        self.assertIs(self.until_over().phase, Phase.SUCCEEDED)
        self.assert_moved()

    def test_started_meanwhile(self) -> None:
        """When somebody starts the former container while it is copied, all is copied anew."""
        self.drain()
        self.until_step("copy")
        former = self.container(self.stack.engine)
        former.running = True
        self.data(self.stack.engine)["/dump"] = b"newer"
        self.assertIs(self.until_over().phase, Phase.SUCCEEDED)
        self.assertEqual(self.data(self.there)["/dump"], b"newer")
        self.assertEqual([call[0] for call in self.stack.copies.calls].count("copy"), 2)
        self.assert_empty(self.stack.engine)

    def test_half_copied(self) -> None:
        """A copy that was interrupted begins anew, on empty volumes."""
        self.drain()
        self.until_step("copy")
        self.stack.advance(4)
        self.assertEqual(len(self.data(self.there)), 1)
        self.data(self.there)["/left-over"] = b"x"
        self.die()
        self.until_over()
        self.assert_moved()

    def test_cancelled(self) -> None:
        """An operator's word ends the copying, and undoes the move."""
        self.drain()
        self.until_step("copy")
        self.stack.request("DELETE", f"/admin/hosts/{HOST.key.service_host}/drain")
        self.stack.persister.tables.operations[self.moves()[-1].id]["is_cancelled"] = True
        self.assert_failed("cancelled by an operator")
        self.assert_stayed()

    def test_lost_lease(self) -> None:
        """Who has lost the lease copies no more."""
        for number in range(20):
            self.data(self.stack.engine)[f"/{number}"] = b"x"
        self.drain()
        self.until_step("copy")
        row = self.stack.persister.tables.operations[self.moves()[-1].id]
        row.update(epoch=row["epoch"] + 1, owner="somebody", lease_until=self.stack.clock.seconds() + 1000)
        self.stack.advance(6)
        copied = len(self.data(self.there))
        self.stack.advance(30)
        self.assertEqual(len(self.data(self.there)), copied)

    def test_progress_is_recorded(self) -> None:
        """How much was copied is told while it is copied."""
        self.drain()
        self.until_step("copy")
        self.stack.advance(6)
        [told] = self.progress()["Instances"]
        self.assertEqual((told["State"], told["BytesCopied"]), ("moving", 8))
        self.assertIn("copying the volumes of redis to 10.0.0.7, 8 bytes so far", told["What"])

    def test_former_container_is_gone(self) -> None:
        """An instance whose container somebody removes in the midst of it stays as it is on record."""
        hang: Hang = self.there.hang_next("create")
        self.drain()
        self.until_step("create")
        self.stack.engine.world.clear()
        hang.release()
        self.assert_failed("no container")
        self.assertEqual(self.instance().host, HOST.key)
        self.assert_empty(self.there)


class DyingHostsTests(MoveCase):
    """Hosts that die in the midst of a move."""

    def die_at(self, step: str, host: object = OTHER) -> None:
        """Let a host die when the move comes to that step."""
        self.drain()
        self.until_step(step)
        self.kill(host)

    def kill(self, host: object) -> None:
        """Let a host die, of which the brokers know."""
        assert host in (HOST, OTHER)
        key = HOST.key if host is HOST else OTHER.key
        (self.stack.engine if host is HOST else self.there).reachable = False
        self.stack.persister.tables.hosts[key]["state"] = HostState.DEAD.value

    def revive(self) -> None:
        """Let both hosts live."""
        for engine, key in ((self.stack.engine, HOST.key), (self.there, OTHER.key)):
            engine.reachable = True
            self.stack.persister.tables.hosts[key]["state"] = HostState.ALIVE.value

    def reap(self) -> None:
        """Let the comparing take away what is left over."""
        self.stack.comparer.start()
        self.stack.advance(300)
        self.stack.comparer.stop()

    def test_new_host(self) -> None:
        """The former container serves again; what is left there goes when the host returns."""
        self.die_at("copy")
        self.assert_failed("reached")
        self.assertTrue(self.container(self.stack.engine).running)
        self.assertEqual(len(self.there.disk), 1)
        self.stack.request("DELETE", f"/admin/hosts/{HOST.key.service_host}/drain")
        self.revive()
        self.reap()
        self.assert_stayed()

    def test_former_host(self) -> None:
        """When the former host dies while it is copied from, the instance stays there until it returns."""
        self.die_at("copy", HOST)
        self.assert_failed("reached")
        self.assert_empty(self.there)
        self.assertEqual(self.instance().host, HOST.key)
        self.revive()
        self.stack.request("DELETE", f"/admin/hosts/{HOST.key.service_host}/drain")
        self.reap()
        self.assert_stayed()

    def test_former_host_at_the_end(self) -> None:
        """When it dies once all was copied, the instance has moved; what it left goes when it returns."""
        hang = self.there.hang_reply("keep_running")
        self.die_at("keep", HOST)
        hang.release()
        self.until_over()
        self.assertEqual((self.moves()[-1].phase, self.instance().host), (Phase.SUCCEEDED, OTHER.key))
        self.assertEqual((len(self.stack.engine.world), len(self.stack.engine.disk)), (1, 1))
        self.revive()
        self.reap()
        self.assert_moved()

    def test_unreachable(self) -> None:
        """A host that lives but cannot be reached keeps the former container waiting for a minute or so."""
        hang = self.there.hang_next("start")
        self.drain()
        self.until_step("start")
        self.there.reachable = False
        hang.fail(EngineUnreachable("The Docker host memory cannot be reached."))
        self.assert_failed("reached")
        self.assertTrue(self.container(self.stack.engine).running)

    def test_same_engine(self) -> None:
        """Two hosts that are one Docker Engine by two addresses are told apart before anything is removed."""
        self.add_twin()
        self.drain()
        self.assert_failed("is the one that it is on")
        self.assert_whole(self.stack.engine, self.instance())

    def test_gone_from_the_same_engine(self) -> None:
        """What may be the engine that it is on keeps its volumes, though its container is seen nowhere."""
        self.add_twin()
        before: Hang = self.stack.engine.hang_next("inspect")
        before.release()
        hang: Hang = self.stack.engine.hang_next("inspect")
        self.drain()
        self.stack.advance(5)
        self.assertTrue(hang.reached, "it is looked whether the container is there, too")
        self.stack.engine.world.clear()
        hang.release()
        self.assert_failed("missing")
        self.assertEqual(self.data(self.stack.engine), DATA)

    def add_twin(self) -> None:
        """Let the only other host be the same Docker Engine, by another address."""
        twin = evolve(OTHER, key=evolve(OTHER.key, docker_host="twin.example.org"))
        self.stack.request("PUT", f"/admin/hosts/{OTHER.key.service_host}/cordon")
        self.stack.add_host(twin)
        self.stack.engines.engines[twin.key.docker_host, 2375] = self.stack.engine
        add_service(self.stack.engine, SERVICE)

    def test_unreachable_for_a_moment(self) -> None:
        """What fails for a moment is tried again."""
        for seam in (self.there, self.stack.engine, self.stack.copies):
            for call in ("create", "start", "stop", "remove", "remove_volume", "copy", "is_empty"):
                seam.fail_next(call, EngineUnreachable("Not now."))
        self.drain()
        self.until_over()
        self.assert_moved()
