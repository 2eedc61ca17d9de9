"""Hosts, their ports, and which of them are used."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.hosts import (
    DEFAULT_PORTS,
    HostReport,
    split_arguments,
)
from dockerbroker.model.pings import decode_ping
from tests.model.test_pings import PING
from tests.model.values import HOST, unhurried

ports = st.integers(1, 65535)
ranges = st.just((0, 0)) | st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair)))


class ArgumentTests(SynchronousTestCase):
    """The words before `docker-enter`."""

    def test_exec_arguments(self) -> None:
        """ExecArgs are split at commas; empty words at the end are dropped, others are kept."""
        self.assertEqual(split_arguments("boot2docker,ssh,sudo,"), ("boot2docker", "ssh", "sudo"))
        self.assertEqual(split_arguments("a,,b,,"), ("a", "", "b"))
        self.assertEqual(split_arguments(""), ())


class PortTests(SynchronousTestCase):
    """The range of a host's ports."""

    @unhurried
    @given(ranges.filter(any))
    def test_both_ends(self, bounds: tuple[int, int]) -> None:
        """The lowest and the highest port of a range are usable, and none beyond."""
        low, high = bounds
        usable = decode_ping({**PING, "Portbind_min": low, "Portbind_max": high}).host.ports
        self.assertEqual((min(usable), max(usable), len(usable)), (low, high, high - low + 1))

    def test_no_range(self) -> None:
        """Without a range the broker leases from 20000 to 29999, both included."""
        self.assertEqual(decode_ping(PING).host.ports, DEFAULT_PORTS)
        self.assertEqual((DEFAULT_PORTS[0], DEFAULT_PORTS[-1]), (20000, 29999))

    def test_half_a_range(self) -> None:
        """A range with one end, and one whose ends are in the wrong order, are refused."""
        for low, high in ((1, 0), (0, 1), (5, 4), (70000, 70001), (-1, 5)):
            changes = {"Portbind_min": low, "Portbind_max": high}
            error = self.assertRaises(InvalidRequest, decode_ping, {**PING, **changes})
            self.assertIn("portbind_m", error.description)


class LivenessTests(SynchronousTestCase):
    """Which hosts are used."""

    def test_three_intervals(self) -> None:
        """A host is alive until it was silent for more than three of its own intervals."""
        host = evolve(HOST, keep_alive=2.0)
        self.assertTrue(HostReport(host=host, age=1000, silence=6.0).is_alive)
        self.assertFalse(HostReport(host=host, age=1000, silence=6.001).is_alive)

    def test_heard(self) -> None:
        """A host is heard when its last ping is not older than that, whoever was there to hear others."""
        host = evolve(HOST, keep_alive=2.0)
        self.assertTrue(HostReport(host=host, age=6.0, silence=0).is_heard)
        self.assertFalse(HostReport(host=host, age=6.001, silence=0).is_heard)

    def test_active(self) -> None:
        """A host is used when it is alive and active."""
        self.assertTrue(HostReport(host=HOST, age=0, silence=0).is_usable)
        self.assertFalse(HostReport(host=evolve(HOST, is_active=False), age=0, silence=0).is_usable)
        self.assertFalse(HostReport(host=HOST, age=1000, silence=1000).is_usable)
