"""Moves that are undone, and hosts that die while instances move."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import EngineError, EngineUnreachable
from dockerbroker.model.hosts import HostState
from dockerbroker.model.instances import Phase
from tests.broker.calls import SERVICE
from tests.broker.moves import DATA, OTHER, MoveCase
from tests.memory_faults import Hang
from tests.stack import HOST, add_service


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
