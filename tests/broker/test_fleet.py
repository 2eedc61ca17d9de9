"""A broker places by what it has seen lately, and is right all the same."""

from __future__ import annotations

from typing import Any, Final, cast

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from dockerbroker.model.dispatchers import SpreadDispatcher
from dockerbroker.model.fleet import Fleet
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.plans import ContainerOptions
from tests.broker.ledger import stack_instance
from tests.memory_persister import MemoryPersister
from tests.pinging import ping
from tests.stack import HOST, REDIS, Stack, add_service

MIB: Final = 1024**2
OTHER: Final = evolve(HOST, key=HostKey(service_host="10.0.0.9", docker_host="10.0.0.9", docker_port=2375))
[_PLAN] = REDIS.plans
#: Half a host with 1 GiB.
HALF: Final = evolve(REDIS, plans=(evolve(_PLAN, options=ContainerOptions(memory=512 * MIB)),))


@frozen
class _Slow:
    """A persister whose answers take long to arrive."""

    persister: MemoryPersister
    arrived: Deferred[None]

    async def fleet(self) -> Fleet:
        """Return what is known of every host, as it was when it was asked for."""
        found = await self.persister.fleet()
        await self.arrived
        return found


class ViewTests(SynchronousTestCase):
    """A broker with two hosts, which it has just seen; its dispatcher tries `HOST` before `OTHER`."""

    def setUp(self) -> None:
        """Start the broker and let it look."""
        self.stack = Stack(youth=1.0)
        add_service(self.stack.add_host(OTHER))
        self.view = self.stack.broker.placing.view
        self.look()

    def look(self) -> None:
        """Let the broker look, as its judge does."""
        self.successResultOf(Deferred.fromCoroutine(self.view.look()))

    def looks(self) -> int:
        """Return how often all hosts were read."""
        return self.stack.persister.calls.count("fleet")

    def ping(self, host: DockerHost, **vitals: Any) -> None:
        """Let an agent ping."""
        call = self.stack.persister.record_pings([ping(host, **vitals)])
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(call)), {})

    def made(self, *instances: str) -> list[str]:
        """Provision instances; returns on which hosts they are."""
        for one in instances:
            answer = self.stack.provision(one)
            self.assertEqual(answer.status, 201, answer.body)
        return [stack_instance(self.stack, one).host.service_host for one in instances]

    def cordon(self, key: HostKey) -> None:
        """Let another broker put a cordon around a host."""
        call = self.stack.persister.another().cordon(key, is_cordoned=True)
        self.successResultOf(Deferred.fromCoroutine(call))

    def test_young(self) -> None:
        """As long as the view is young, hosts are not read again for a placement."""
        before = self.looks()
        self.made("i-1")
        self.assertEqual(self.looks(), before)

    def test_old(self) -> None:
        """When nobody has looked for a second a placement does; what it sees others use as well."""
        self.ping(evolve(HOST, is_active=False))
        before = self.looks()
        self.stack.advance(1)
        self.assertEqual(self.made("i-1"), ["10.0.0.9"])
        self.assertEqual(self.looks(), before + 1)

    def test_cordon_elsewhere(self) -> None:
        """Nothing is placed on a host from the moment on in which any broker has cordoned it."""
        self.cordon(HOST.key)
        self.assertEqual(self.made("i-1"), ["10.0.0.9"])

    def test_all_cordoned(self) -> None:
        """When all hosts were cordoned meanwhile, the refusal says so."""
        self.cordon(HOST.key)
        self.cordon(OTHER.key)
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 503)
        self.assertIn("of 2 Docker hosts 2 are cordoned.", answer.description)
        self.assertEqual(self.stack.persister.tables.instances, {})

    def test_full_meanwhile(self) -> None:
        """What another broker has reserved meanwhile is not given away once more."""
        self.stack.add_definition(HALF)
        for host in (HOST, OTHER):
            self.ping(host, memory_total=512 * MIB, memory_free=512 * MIB)
        self.look()
        neighbour = self.stack.neighbour()
        neighbour.provision("i-0")
        self.assertEqual(self.made("i-1"), ["10.0.0.9"])

    def test_never_refused_by_old(self) -> None:
        """Nothing is refused for what was so: room that was made meanwhile, or a new host, is found."""
        self.stack.add_definition(HALF)
        for host in (HOST, OTHER):
            self.ping(host, memory_total=512 * MIB, memory_free=512 * MIB)
        self.look()
        self.made("i-1", "i-2")
        self.look()
        self.stack.deprovision("i-1")
        self.assertEqual(self.made("i-3"), ["10.0.0.1"])

    def test_own(self) -> None:
        """What the broker has placed itself counts before it looks again."""
        self.stack.broker.placing.dispatcher = SpreadDispatcher()
        before = self.looks()
        self.assertEqual(self.made("i-1", "i-2", "i-3", "i-4").count("10.0.0.9"), 2)
        self.assertEqual(self.looks(), before)
        self.look()
        self.assertEqual(
            [place.candidate.reserved.instances for place in self.view.places()],
            [2, 2],
        )

    def test_placed_during_a_look(self) -> None:
        """What is placed while the broker looks still counts when it has looked."""
        waiting: Deferred[None] = Deferred()
        self.view.persister = cast("Any", _Slow(self.stack.persister, waiting))
        looking = Deferred.fromCoroutine(self.view.look())
        self.made("i-1")
        waiting.callback(None)
        self.successResultOf(looking)
        [mine, _] = self.view.places()
        self.assertEqual(mine.candidate.reserved.instances, 1)

    def test_begun_in_vain(self) -> None:
        """What was chosen and not written counts until the next look, and no longer."""
        self.stack.persister.fail_next("begin", Unavailable("It is away."))
        self.assertEqual(self.stack.provision("i-1").status, 503)
        [mine, _] = self.view.places()
        self.assertEqual(mine.candidate.reserved.instances, 1)
        self.look()
        [mine, _] = self.view.places()
        self.assertEqual(mine.candidate.reserved.instances, 0)

    def test_same(self) -> None:
        """Of a host of which nothing else is known nothing is made anew."""
        [mine, other] = self.view.places()
        self.ping(OTHER, containers=7)
        self.look()
        [same, changed] = self.view.places()
        self.assertIs(same, mine)
        self.assertIsNot(changed, other)

    def test_gone(self) -> None:
        """A host that was forgotten is none at the next look."""
        self.successResultOf(Deferred.fromCoroutine(self.stack.persister.forget_host(HOST.key)))
        self.look()
        self.assertEqual([place.candidate.host for place in self.view.places()], [OTHER])

    def test_late(self) -> None:
        """A host that falls silent becomes doubtful though its row does not change, and then none."""
        self.stack.heartbeat.start()
        self.stack.advance(1)
        self.stack.add_host(evolve(HOST, keep_alive=2))
        self.stack.advance(3.5)
        self.look()
        self.assertTrue(self.view.places()[0].is_doubtful)
        self.stack.advance(3)
        self.look()
        self.assertIsNotNone(self.view.places()[0].hindrance)

    def test_judge(self) -> None:
        """The looks of the judge are those by which is placed."""
        self.stack.judge.start()
        self.stack.advance(5)
        before = self.looks()
        self.made("i-1", "i-2")
        self.assertEqual(self.looks(), before)
