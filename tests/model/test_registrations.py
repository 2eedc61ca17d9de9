"""How often agents of one host may start (S31), and change their host."""

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.registrations import (
    CHANGES_WITHIN,
    MOST_CHANGES,
    MOST_HOSTS,
    Reconfigurations,
    Registrations,
)


class RegistrationsTests(SynchronousTestCase):
    """The count."""

    def setUp(self) -> None:
        """Know nothing."""
        self.registrations = Registrations()

    def waits(self, session: str, now: float, host: str = "h") -> float:
        """Let an agent start; return how long it must wait."""
        return self.registrations.wait(host, session, now)

    def test_fourth(self) -> None:
        """The fourth start of one host within eight seconds waits, and others do not."""
        self.assertEqual([self.waits(session, now) for now, session in enumerate("abc")], [0, 0, 0])
        self.assertEqual(self.waits("d", 3), 5)
        self.assertEqual(self.waits("d", 3, host="other"), 0)
        self.assertEqual(self.waits("d", 8), 0)

    def test_known_sessions(self) -> None:
        """What is known goes on pinging, also two agents of one host in turn."""
        for now, session in enumerate("abababababab"):
            self.assertEqual(self.waits(session, now / 2), 0)

    def test_refused_is_not_counted(self) -> None:
        """One that had to wait has not started."""
        for now in range(3):
            self.waits(str(now), now)
        for now in range(30, 60):
            self.assertEqual(self.waits("again", now / 10) > 0, True)
        self.assertEqual(self.waits("again", 8), 0)

    def test_bounded(self) -> None:
        """Of a host that starts for ever, and of very many hosts, few starts are remembered."""
        for number in range(1000):
            self.waits(str(number), number * 10.0)
        self.assertLess(len(self.registrations._starts["h"]), 5)
        for number in range(MOST_HOSTS + 10):
            self.waits("a", 1e6, host=str(number))
        self.assertEqual(len(self.registrations), MOST_HOSTS)


class ReconfigurationsTests(SynchronousTestCase):
    """The count of changes."""

    def setUp(self) -> None:
        """Know nothing."""
        self.reconfigurations = Reconfigurations()

    def waits(self, factor: float, now: float, number: int = 1, keep_alive: float = 5.0) -> float:
        """Let a host be set; return how long it must wait."""
        key = HostKey(service_host="h", docker_host="h", docker_port=number)
        host = DockerHost(key=key, perf_factor=factor, keep_alive=keep_alive)
        return self.reconfigurations.wait(host, now)

    def test_bound(self) -> None:
        """So many changes of a host are taken in a minute; its settings of last go on being taken."""
        self.assertEqual({self.waits(factor, factor) for factor in range(MOST_CHANGES + 1)}, {0})
        self.assertEqual(self.waits(99, 10), CHANGES_WITHIN + 1 - 10)
        self.assertEqual(self.waits(99, 10, number=2), 0)
        self.assertEqual(self.waits(MOST_CHANGES, 11), 0)
        self.assertEqual(self.waits(99, CHANGES_WITHIN + 1), 0)

    def test_two_in_turn(self) -> None:
        """Two agents that set one host differently are both heard only so often."""
        taken = [self.waits(now % 2, now / 10) == 0 for now in range(100)]
        self.assertEqual(taken.index(False), MOST_CHANGES + 1)
        self.assertEqual(taken[MOST_CHANGES + 2 :: 2], [True] * 47)

    def test_interval(self) -> None:
        """Another interval is no change."""
        self.assertEqual({self.waits(1, 0, keep_alive=number + 1.0) for number in range(50)}, {0})

    def test_bounded(self) -> None:
        """Of very many hosts the last ones are remembered."""
        for number in range(MOST_HOSTS + 10):
            self.waits(1, 0, number=number)
        self.assertEqual(len(self.reconfigurations), MOST_HOSTS)
