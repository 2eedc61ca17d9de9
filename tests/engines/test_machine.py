"""What the machine itself tells."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.address import DockerAddress
from dockerbroker.engines.machine import Machine, Ticks, busy_share, is_own, memory_free, ticks

MEMINFO = (
    "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    2000000 kB\nBuffers: 1 kB\n"
)
STAT = "cpu  100 5 45 800 50 0 0 0 30 0\ncpu0 50 1 20 400 25 0 0 0 0 0\n"

counts = st.integers(0, 10**12)


class ReadingTests(SynchronousTestCase):
    """What is read of `/proc`."""

    def test_memory(self) -> None:
        """Free is what can be had without swapping, in bytes."""
        self.assertEqual(memory_free(MEMINFO), 2_000_000 * 1024)

    def test_ticks(self) -> None:
        """Waiting for disks is being idle, and the time of guests is not counted twice."""
        self.assertEqual(ticks(STAT), Ticks(busy=150, idle=850))

    def test_share(self) -> None:
        """The share of busy time is that between two looks."""
        self.assertEqual(busy_share(Ticks(100, 100), Ticks(150, 250)), 0.25)
        self.assertIsNone(busy_share(None, Ticks(1, 1)))
        self.assertIsNone(busy_share(Ticks(1, 1), Ticks(1, 1)))

    @given(st.builds(Ticks, counts, counts), st.builds(Ticks, counts, counts))
    def test_share_within_bounds(self, before: Ticks, after: Ticks) -> None:
        """Counters that go back, as when a machine is thawed, give no impossible share."""
        share = busy_share(before, after)
        self.assertTrue(share is None or 0 <= share <= 1)

    @given(st.text())
    def test_nonsense(self, text: str) -> None:
        """What is not understood is not known."""
        for read in (memory_free, ticks):
            found = read(text)
            self.assertTrue(found is None or text.startswith(("cpu", "MemAvailable")))

    def test_unreadable(self) -> None:
        """What cannot be read is not known."""
        machine = Machine(Path("/nowhere"))
        self.assertIsNone(machine.memory_free())
        self.assertIsNone(machine.busy_share())
        self.assertEqual(machine.disk("/nowhere"), (None, None))
        self.assertEqual(machine.disk("\0"), (None, None))

    def test_this_machine(self) -> None:
        """Of this machine everything is known, from the second look on also how busy it is."""
        machine = Machine()
        self.assertGreater(machine.memory_free() or 0, 0)
        machine.busy_share()
        total, free = machine.disk("/")
        assert total is not None
        assert free is not None
        self.assertLessEqual(free, total)

    def test_busy(self) -> None:
        """How busy the processors are is told of the time since the look before."""
        folder = Path(self.mktemp())
        folder.mkdir()
        machine = Machine(folder)
        (folder / "stat").write_text("cpu 100 0 0 100\n")
        self.assertIsNone(machine.busy_share())
        (folder / "stat").write_text("cpu 175 0 0 125\n")
        self.assertEqual(machine.busy_share(), 0.75)


class OwnTests(SynchronousTestCase):
    """Whether a Docker is this machine's."""

    def test_own(self) -> None:
        """Sockets and loopback are, and addresses of this machine."""
        for address in (
            DockerAddress(path="/var/run/docker.sock"),
            DockerAddress(host="127.0.0.1", port=2375),
            DockerAddress(host="localhost", port=2375),
            DockerAddress(host="::1", port=2375),
        ):
            self.assertTrue(is_own(address), address)

    def test_others(self) -> None:
        """Addresses of others and names are not."""
        for host in ("192.0.2.1", "docker.example.org", "2001:db8::1"):
            self.assertFalse(is_own(DockerAddress(host=host, port=2375)), host)
