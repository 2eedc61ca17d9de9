"""Ports that were given back are not given to others at once (S51)."""

import random

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.comparing import PERIOD
from dockerbroker.broker.resting import RESTS_FOR, RestingPorts
from dockerbroker.errors import NoPort
from dockerbroker.model.placement import choose_ports
from tests.broker.ledger import stack_instance
from tests.model.values import unhurried
from tests.stack import HOST, Stack

_OTHER = evolve(HOST.key, service_host="10.0.0.9")
_SAMPLE = random.Random(1).sample  # noqa: S311 (no secret)
_ports = st.sets(st.integers(100, 109))


class RestingTests(SynchronousTestCase):
    """What is remembered."""

    def setUp(self) -> None:
        """Have seen two ports leased."""
        self.resting = RestingPorts()
        self.resting.see(HOST.key, {100, 101}, 10.0)

    def test_for_a_minute(self) -> None:
        """A port that is seen to be given back rests for a minute, on its host alone."""
        self.assertEqual(self.resting.on(HOST.key, 10.0), [])
        self.resting.see(HOST.key, {101}, 20.0)
        self.assertEqual(self.resting.on(HOST.key, 20.0), [100])
        self.assertEqual(self.resting.on(_OTHER, 20.0), [])
        self.assertEqual(self.resting.on(HOST.key, 19.9 + RESTS_FOR), [100])
        self.assertEqual(self.resting.on(HOST.key, 20.0 + RESTS_FOR), [])
        self.assertGreaterEqual(RESTS_FOR, 60)

    def test_order(self) -> None:
        """The port that was given back first comes first."""
        self.resting.see(HOST.key, {100}, 20.0)
        self.resting.see(HOST.key, set(), 30.0)
        self.assertEqual(self.resting.on(HOST.key, 31.0), [101, 100])

    def test_chosen(self) -> None:
        """What was chosen and is seen not to be leased was given back, or never taken: it rests."""
        self.resting.choose(HOST.key, {102}, 20.0)
        self.resting.see(HOST.key, {100, 101}, 50.0)
        self.assertEqual(self.resting.on(HOST.key, 49.0 + RESTS_FOR), [102])

    def test_all_hosts(self) -> None:
        """A host on which nothing is leased any more has given back what it had."""
        self.resting.see_all({_OTHER: {100}}, 20.0)
        self.assertEqual(self.resting.on(HOST.key, 20.0), [100, 101])
        self.resting.see_all({}, 20.0 + RESTS_FOR)
        self.assertEqual(self.resting.on(_OTHER, 20.0 + RESTS_FOR), [100])
        self.resting.see_all({}, 20.0 + 2 * RESTS_FOR)
        self.assertEqual((self.resting._leased, self.resting._since), ({}, {}))


class ChoiceTests(SynchronousTestCase):
    """What is chosen."""

    @unhurried
    @given(_ports, _ports, st.lists(st.integers(100, 109), unique=True), st.integers(1, 3))
    def test_rule(self, leased: set[int], blocked: set[int], resting: list[int], count: int) -> None:
        """A port that rests is chosen only when every other is taken, the first one first."""
        host = evolve(HOST, portbind_min=100, portbind_max=109)
        wanted = [f"{number}/tcp" for number in range(count)]
        free = set(host.ports) - leased - blocked
        if len(free) < count:
            self.assertRaises(NoPort, choose_ports, host, wanted, leased, _SAMPLE, blocked, resting)
            return
        chosen = choose_ports(host, wanted, leased, _SAMPLE, blocked, resting)
        ports = set(chosen.values())
        self.assertEqual((len(ports), ports - free), (count, set()))
        tired = [port for port in resting if port in free]
        fresh = free - set(tired)
        self.assertEqual(ports & set(tired), set(tired[: max(0, count - len(fresh))]))

    def test_next_instance(self) -> None:
        """The next instance gets another port; a minute later the port may be had again."""
        stack = self.stack(3)
        first = self.given(stack, "one")
        stack.deprovision("one")
        second = self.given(stack, "two")
        self.assertNotEqual(first, second)
        stack.deprovision("two")
        third = self.given(stack, "three")
        self.assertNotIn(third, {first, second})
        stack.deprovision("three")
        # None has rested for long enough, and it is better than none.
        self.assertEqual(self.given(stack, "four"), first)

    def test_of_another_broker(self) -> None:
        """What another broker has given back is noticed when the records are compared."""
        stack = self.stack(2)
        other = stack.neighbour()
        first = self.given(stack, "one")
        compared = ensureDeferred(other.comparer.compare())
        other.advance(PERIOD)
        self.successResultOf(compared)
        stack.deprovision("one")
        self.assertNotEqual(self.given(other, "two"), first)

    def stack(self, ports: int) -> Stack:
        """Return a broker with a host of so many ports."""
        stack = Stack()
        stack.add_host(evolve(HOST, portbind_min=100, portbind_max=99 + ports))
        return stack

    def given(self, stack: Stack, instance_id: str) -> int:
        """Return the port of a new instance."""
        stack.provision(instance_id)
        ports: dict[str, int] = stack_instance(stack, instance_id).ports
        (port,) = ports.values()
        return port
