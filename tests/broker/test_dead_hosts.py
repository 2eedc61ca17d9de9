"""Deletions of what is on dead hosts, and what happens when those return."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.absence import DEFAULT_WAIT, is_given_up
from dockerbroker.errors import Unavailable
from dockerbroker.model.hosts import HostReport, HostState
from dockerbroker.model.secrets import Secret
from tests.asking import Answer
from tests.memory_engine import MemoryEngine
from tests.pinging import ping
from tests.stack import HOST, REDIS, Stack, instance_path, query

_PING_EVERY = 5.0
_HOST = evolve(HOST, keep_alive=_PING_EVERY)


class DeadHostCase(SynchronousTestCase):
    """A broker with an instance `i-1`, whose host pings every five seconds, or does not."""

    def setUp(self) -> None:
        """Start the broker, let the host ping, and make an instance."""
        self.stack = Stack()
        self.stack.heartbeat.start()
        self.stack.judge.start()
        self.live(10)
        self.assertEqual(self.stack.provision("i-1").status, 201)

    def live(self, seconds: float) -> None:
        """Let time pass while the host pings."""
        for _ in range(int(seconds / _PING_EVERY)):
            Deferred.fromCoroutine(self.stack.persister.record_pings([ping(_HOST)]))
            self.stack.advance(_PING_EVERY)

    def die(self) -> None:
        """Let the host die, and wait until it is known."""
        self.stack.engine.reachable = False
        self.stack.advance(20)
        self.assertIs(self.state(), HostState.DEAD)

    def state(self) -> HostState:
        """Return the state of the host."""
        return HostState(self.stack.persister.tables.hosts[HOST.key]["state"])

    def delete(self, instance_id: str = "i-1") -> Answer:
        """Ask for the deletion of an instance, as Cloud Foundry does."""
        return self.stack.request(
            "DELETE", instance_path(instance_id) + query(REDIS) + "&accepts_incomplete=true"
        )

    def outcome(self, instance_id: str = "i-1") -> str:
        """Return how the last operation on the instance stands."""
        return str(self.stack.request("GET", f"{instance_path(instance_id)}/last_operation").json["state"])


class DeletionTests(DeadHostCase):
    """Deletions while the host is dead."""

    def test_waits(self) -> None:
        """A deletion is accepted and waits, and succeeds after its time; then the instance is gone."""
        self.die()
        self.assertEqual(self.delete().status, 202)
        self.stack.advance(DEFAULT_WAIT - 60)
        self.assertEqual(self.outcome(), "in progress")
        with capturedLogs() as events:
            self.stack.advance(130)
        self.assertEqual(self.outcome(), "succeeded")
        self.assertEqual(self.stack.persister.tables.instances, {})
        self.assertEqual(self.stack.persister.tables.leases, {})
        self.assertTrue([one for one in events if one.get("host") == HOST.key.service_host])
        self.assertEqual(self.delete().status, 410)

    def test_wrong_clock(self) -> None:
        """It waits as long when the broker's clock is set by a day meanwhile."""
        self.die()
        self.delete()
        for skew in (86400.0, -86400.0):
            self.stack.skew = skew
            self.stack.advance(DEFAULT_WAIT / 2 - 60)
            self.assertEqual(self.outcome(), "in progress")
        self.stack.advance(190)
        self.assertEqual(self.outcome(), "succeeded")

    def test_shorter(self) -> None:
        """For how long it waits can be set."""
        self.stack.worker.wait_for_host = 0
        self.die()
        self.delete()
        self.stack.advance(5)
        self.assertEqual(self.outcome(), "succeeded")

    def test_alive(self) -> None:
        """While the host pings, and only its Docker does not answer, the deletion waits for ever."""
        self.stack.engine.reachable = False
        self.assertEqual(self.delete().status, 202)
        self.live(DEFAULT_WAIT * 2)
        self.assertEqual(self.outcome(), "in progress")

    def test_back_in_time(self) -> None:
        """A deletion whose host returns before its time is carried out there."""
        self.die()
        self.delete()
        self.stack.engine.reachable = True
        self.live(120)
        self.assertEqual(self.outcome(), "succeeded")
        self.assertEqual(self.stack.engine.world, {})

    def test_forgotten(self) -> None:
        """When an administrator forgets the host the deletion ends when it is tried next."""
        self.die()
        self.delete()
        self.stack.advance(60)
        answer = self.stack.request("POST", "/admin/hosts/10.0.0.1/forget?force=true")
        self.assertEqual(answer.status, 200)
        self.stack.advance(40)
        self.assertEqual(self.outcome(), "succeeded")

    def test_database_away(self) -> None:
        """While the database does not tell about the host, the deletion goes on waiting."""
        self.stack.worker.wait_for_host = 0
        self.die()
        self.stack.judge.stop()
        for _ in range(200):
            self.stack.persister.fail_next("hosts", Unavailable("It is away."))
        self.delete()
        self.stack.advance(60)
        self.assertEqual(self.outcome(), "in progress")

    def test_decision(self) -> None:
        """A container that is not the broker's is waited for until the host is forgotten."""
        [instance] = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.instances("", 9)))
        static = evolve(
            instance, definition=evolve(REDIS, container_name="theirs", credentials=Secret({"a": 1}))
        )
        dead = HostReport(host=HOST, age=99, silence=99, state=HostState.DEAD)
        for one, report, waited, expected in (
            (instance, dead, 600, True),
            (instance, dead, 599, False),
            (instance, evolve(dead, state=HostState.RETURNING), 9999, False),
            (instance, evolve(dead, state=HostState.ALIVE), 9999, False),
            (instance, None, 0, True),
            (static, dead, 9999, False),
            (static, None, 0, True),
        ):
            self.assertIs(is_given_up(one, report, waited, 600), expected)


class InstanceTests(DeadHostCase):
    """What is on a host that is dead, or goes elsewhere."""

    def conditions(self) -> dict[str, str]:
        """Return what administrators are told of instances."""
        told = self.stack.request("GET", "/admin/conditions").json
        return {one["Instance"]: one["Condition"] for one in told}

    def test_kept(self) -> None:
        """It stays on record and is told of; who wants to use it is told as well, and has it back (F2)."""
        self.stack.comparer.start()
        self.die()
        answer = self.stack.bind("i-1", "b-1")
        self.assertGreaterEqual(answer.status, 500)
        self.assertTrue(answer.description)
        self.stack.advance(300)
        self.assertIn("does not answer", self.conditions()["i-1"])
        self.assertEqual(list(self.stack.persister.tables.instances), ["i-1"])
        self.stack.engine.reachable = True
        self.live(120)
        self.assertEqual(self.conditions(), {})
        self.assertEqual(self.stack.bind("i-1", "b-2").status, 201)

    def test_other_address(self) -> None:
        """When its agent comes to announce another address nothing is removed, and that is told (F12)."""
        self.stack.comparer.start()
        moved = evolve(_HOST, key=evolve(HOST.key, docker_host="10.0.0.7"))
        engines, engine = self.stack.engines.engines, self.stack.engine
        nobody = MemoryEngine(self.stack.clock)
        nobody.reachable = False
        engines.update({("10.0.0.7", 2375): engine, ("10.0.0.2", 2375): nobody})
        for _ in range(60):
            Deferred.fromCoroutine(self.stack.persister.record_pings([ping(moved)]))
            self.stack.advance(_PING_EVERY)
        self.assertEqual(len(engine.running()), 1)
        self.assertIn("does not answer", self.conditions()["i-1"])
        engines["10.0.0.2", 2375] = engine
        self.live(120)
        self.assertEqual((self.conditions(), len(engine.running())), ({}, 1))


class ReturnTests(DeadHostCase):
    """Hosts that return."""

    def setUp(self) -> None:
        """Delete one of two instances while their host is dead."""
        super().setUp()
        self.stack.provision("i-2")
        self.stack.worker.wait_for_host = 0
        self.die()
        self.delete()
        self.stack.advance(60)
        self.assertEqual(self.outcome(), "succeeded")
        self.assertEqual(len(self.stack.engine.world), 2)

    def test_cleaned(self) -> None:
        """What was deleted is removed before the host is used again; what was not stays."""
        self.stack.engine.reachable = True
        self.live(5)
        self.assertIs(self.state(), HostState.RETURNING)
        self.assertEqual(len(self.stack.engine.world), 1)
        self.live(10)
        self.assertIs(self.state(), HostState.ALIVE)
        [container] = self.stack.engine.world.values()
        self.assertEqual(container.spec.labels["dockerbroker.instance"], "i-2")
        self.assertEqual(self.stack.provision("i-3").status, 201)

    def test_not_cleaned(self) -> None:
        """While its Docker does not answer a host that pings is not used."""
        self.live(60)
        self.assertIs(self.state(), HostState.RETURNING)
        answer = self.stack.provision("i-3")
        self.assertEqual(answer.status, 503)
        self.assertIn("return", answer.description)

    def test_stopped(self) -> None:
        """What was stopped meanwhile is started, in passes that follow."""
        [keep] = [
            one
            for one in self.stack.engine.world.values()
            if one.spec.labels["dockerbroker.instance"] == "i-2"
        ]
        keep.running = False
        self.stack.comparer.start()
        self.stack.engine.reachable = True
        self.live(90)
        self.assertTrue(keep.running)
        self.stack.comparer.stop()

    def test_unknown_stays(self) -> None:
        """What only looks as if it belonged to nobody is left to the reaper."""
        [one] = [
            one
            for one in self.stack.engine.world.values()
            if one.spec.labels["dockerbroker.instance"] == "i-1"
        ]
        operations = self.stack.persister.tables.operations
        for operation_id in [row["id"] for row in operations.values() if row["instance_id"] == "i-1"]:
            del operations[operation_id]
        self.stack.engine.reachable = True
        self.live(20)
        self.assertIn(one.id, self.stack.engine.world)
