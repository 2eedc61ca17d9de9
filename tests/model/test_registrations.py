"""How often agents of one host may start (S31)."""

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.registrations import MOST_HOSTS, Registrations


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
