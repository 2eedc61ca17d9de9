"""Which hosts may take an instance, and which ports it gets there."""

import random

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidConfiguration, NoCapacity
from dockerbroker.model.hosts import HostReport
from dockerbroker.model.placement import SimpleDispatcher, choose_ports, dispatcher_named, usable_hosts
from tests.model.values import HOST, unhurried

_random = random.Random(1)  # noqa: S311 (a test that is the same every time)

LIVE = HostReport(host=HOST, age=0, silence=0)
SILENT = HostReport(host=HOST, age=1000, silence=1000)
INACTIVE = HostReport(host=evolve(HOST, is_active=False), age=0, silence=0)


class HostTests(SynchronousTestCase):
    """The hosts."""

    def test_live_and_active(self) -> None:
        """Only hosts that are alive and active may take an instance."""
        self.assertEqual(usable_hosts([SILENT, LIVE, INACTIVE]), [HOST])

    def test_nobody_has_registered(self) -> None:
        """Without any agent the refusal says so."""
        error = self.assertRaises(NoCapacity, usable_hosts, [])
        self.assertIn("no agent has registered", error.description)

    def test_why_none_is_usable(self) -> None:
        """When all are dead or inactive the refusal counts both."""
        error = self.assertRaises(NoCapacity, usable_hosts, [SILENT, INACTIVE, SILENT])
        self.assertIn("of 3 known, 2 sent no ping lately and 1 are set inactive", error.description)

    def test_random_order(self) -> None:
        """The simple dispatcher tries every host, in an order that is the sample's."""
        hosts = [evolve(HOST, keep_alive=float(number)) for number in range(1, 9)]
        order = SimpleDispatcher(_random.sample).order(hosts)
        self.assertCountEqual([host.keep_alive for host in order], range(1, 9))
        self.assertNotEqual(order, hosts)

    def test_names_of_dispatchers(self) -> None:
        """A dispatcher is found by its name; an unknown name is answered with the known ones."""
        self.assertIsInstance(dispatcher_named("SimpleDispatcher", _random.sample), SimpleDispatcher)
        error = self.assertRaises(InvalidConfiguration, dispatcher_named, "Best", _random.sample)
        self.assertIn("use SimpleDispatcher", error.description)


class PortTests(SynchronousTestCase):
    """The ports."""

    @unhurried
    @given(st.integers(1, 6), st.sets(st.integers(100, 105)), st.integers(0, 6))
    def test_free_ports_of_the_range(self, size: int, leased: set[int], count: int) -> None:
        """Each wanted port gets a free port of the range for itself, as long as there are enough."""
        host = evolve(HOST, portbind_min=100, portbind_max=99 + size)
        wanted = [f"{number}/tcp" for number in range(count)]
        free = set(host.ports) - leased
        if len(free) < count:
            error = self.assertRaises(NoCapacity, choose_ports, host, wanted, leased, _random.sample)
            self.assertIn(f"{count} wanted, {len(free)} of 100 to {99 + size} free", error.description)
            return
        chosen = choose_ports(host, wanted, leased, _random.sample)
        self.assertEqual(list(chosen), wanted)
        self.assertEqual(len(set(chosen.values())), count)
        self.assertLessEqual(set(chosen.values()), free)

    def test_both_ends_of_the_range(self) -> None:
        """A range is used up to its last port, both ends included."""
        host = evolve(HOST, portbind_min=100, portbind_max=101)
        chosen = choose_ports(host, ["1/tcp", "2/udp"], (), _random.sample)
        self.assertEqual(set(chosen.values()), {100, 101})
