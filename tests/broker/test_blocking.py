"""Ports on which something else than a service instance listens."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.blocking import BLOCKED_FOR, BlockedPorts, taken
from tests.broker.ledger import complaints, stack_instance
from tests.stack import HOST, Stack

_OTHER = evolve(HOST.key, service_host="10.0.0.9")
_WORDS = "The Docker host 10.0.0.2:2375 refused with status 500: driver failed programming connectivity"


class TakenTests(SynchronousTestCase):
    """What Docker's sentence says of ports."""

    def test_named(self) -> None:
        """Those that it names are taken, and no others."""
        ports = (20000, 20001, 2000)
        for words in (
            "Bind for 0.0.0.0:20001 failed: port is already allocated",
            "Error starting userland proxy: listen tcp4 0.0.0.0:20001: bind: address already in use",
            "failed to bind port [::]:20001/tcp: listen tcp6 [::]:20001: bind: address already in use",
        ):
            self.assertEqual(taken(f"{_WORDS}: {words}", ports), {20001})

    def test_not_named(self) -> None:
        """Where it names none of them, any may be."""
        self.assertEqual(taken(f"{_WORDS}: address already in use", (20000, 20001)), {20000, 20001})
        self.assertEqual(taken(f"{_WORDS}: listen tcp4 0.0.0.0:2000: bind", (20000,)), {20000})


class BlockedTests(SynchronousTestCase):
    """What is remembered."""

    def test_for_a_while(self) -> None:
        """A port is taken for a while, on its host alone."""
        blocked = BlockedPorts()
        blocked.block(HOST.key, (100, 101), "x:100: address already in use", 50.0)
        self.assertEqual(blocked.on(HOST.key, 50.0), {100})
        self.assertEqual(blocked.on(_OTHER, 50.0), set())
        self.assertEqual(blocked.on(HOST.key, 49.9 + BLOCKED_FOR), {100})
        self.assertEqual(blocked.on(HOST.key, 50.0 + BLOCKED_FOR), set())

    def test_bounded(self) -> None:
        """What was taken long ago is forgotten."""
        blocked = BlockedPorts()
        for number in range(5):
            blocked.block(HOST.key, (number,), "", number * BLOCKED_FOR)
        self.assertEqual(len(blocked._until), 1)


class ChoiceTests(SynchronousTestCase):
    """A host of two ports, of which a stranger has the first (D6)."""

    def setUp(self) -> None:
        """Start a broker."""
        self.stack = Stack()
        self.stack.add_host(evolve(HOST, portbind_min=100, portbind_max=101))
        self.stack.engine.taken_ports.add(100)

    def starts(self) -> int:
        """Return how often Docker was asked to start something."""
        return sum(call[0] == "start" for call in self.stack.engine.calls)

    def test_not_chosen_again(self) -> None:
        """The next instance does not try it, and is told why there is none when no other port is left."""
        self.assertEqual(self.stack.provision("i-1").status, 201)
        self.assertEqual(stack_instance(self.stack, "i-1").ports, {"6379/tcp": 101})
        starts = self.starts()
        answer = self.stack.provision("i-2")
        self.assertEqual(answer.status, 503)
        self.assertIn("1 in use by something else than service instances", answer.description)
        self.assertEqual(self.starts(), starts)
        self.stack.deprovision("i-1")
        starts = self.starts()
        self.assertEqual(self.stack.provision("i-2").status, 201)
        self.assertEqual(self.starts(), starts + 1)
        self.assertEqual(complaints(self.stack), [])

    def test_given_back(self) -> None:
        """After a while it is tried again, and is as good as any other when the stranger has gone."""
        self.stack.provision("i-1")
        self.stack.engine.taken_ports.clear()
        self.stack.advance(BLOCKED_FOR)
        self.assertEqual(self.stack.provision("i-2").status, 201)
        self.assertEqual(stack_instance(self.stack, "i-2").ports, {"6379/tcp": 100})

    def test_all_taken(self) -> None:
        """When strangers have all ports the provision ends at once, says so, and leaves nothing."""
        self.stack.engine.taken_ports.add(101)
        answer = self.stack.provision("i-1")
        self.assertGreaterEqual(answer.status, 500)
        self.assertIn("2 in use by something else", answer.description)
        self.assertEqual((self.stack.engine.world, self.stack.persister.tables.leases), ({}, {}))
        self.assertEqual(complaints(self.stack), [])
