"""A broker that is cut off from its database, its Docker hosts or its agents, in every combination (G1)."""

from __future__ import annotations

from itertools import product

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.hosts import HostState
from tests.broker.fleet_world import CutPersister
from tests.broker.ledger import complaints
from tests.pinging import ping
from tests.stack import HOST, REDIS, Stack, instance_path, provision_body

_HOST = evolve(HOST, keep_alive=5)


class LinksTests(SynchronousTestCase):
    """Two brokers on one database; the first loses some of its links for a minute.

    Brokers do not talk to each other, so that there is no fourth link.
    """

    def setUp(self) -> None:
        """Start the brokers, and let their only host ping both."""
        self.persister = CutPersister((clock := Clock()).seconds)
        self.stack = Stack(clock=clock, persister=self.persister)
        self.stack.add_definition(REDIS)
        self.brokers = (self.stack, self.stack.neighbour())
        for broker in self.brokers:
            broker.heartbeat.start()
            broker.judge.start()
        self.live(10)

    def live(self, seconds: int, *, are_agents_cut: bool = False) -> None:
        """Let time pass while the host pings those brokers that it reaches, each second."""
        for _ in range(seconds):
            for broker in self.brokers[are_agents_cut:]:
                told = Deferred.fromCoroutine(broker.persister.record_pings([ping(_HOST)]))
                told.addErrback(lambda _failure: None)
            self.stack.advance(1)
            self.assertIs(HostState(self.persister.tables.hosts[HOST.key]["state"]), HostState.ALIVE)

    def test_every_combination(self) -> None:
        """Nobody dies by it, requests are answered in time; afterwards all is well, and nothing is left."""
        for is_database_cut, is_docker_cut, are_agents_cut in product((False, True), repeat=3):
            self.setUp()
            why = f"{is_database_cut} {is_docker_cut} {are_agents_cut}"
            self.persister.is_cut = is_database_cut
            self.stack.engine.reachable = not is_docker_cut
            asked = self.stack.ask("PUT", instance_path("i-1"), provision_body())
            self.live(60, are_agents_cut=are_agents_cut)
            assert asked.answer is not None, why
            self.assertEqual(asked.answer.status, 503 if is_database_cut or is_docker_cut else 201, why)
            self.persister.is_cut, self.stack.engine.reachable = False, True
            self.live(60)
            self.assertIn(self.stack.provision("i-1").status, {200, 201}, why)
            self.assertEqual(self.stack.deprovision("i-1").status, 200, why)
            self.assertEqual((self.stack.engine.world, complaints(self.stack)), ({}, []), why)
