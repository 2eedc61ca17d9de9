"""How many wrong passwords an address may try (S25)."""

import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.attempts import MOST, MOST_ADDRESSES, WITHIN, WrongAttempts, origin_of


class WrongAttemptsTests(SynchronousTestCase):
    """The count."""

    def setUp(self) -> None:
        """Know nothing."""
        self.wrong = WrongAttempts()

    def test_most(self) -> None:
        """After ten wrong ones within ten seconds an address waits until the oldest of them is forgotten."""
        for number in range(MOST):
            self.assertEqual(self.wrong.wait("a", number / 2), 0)
            self.assertIs(self.wrong.count("a", number / 2), number == MOST - 1)
        self.assertEqual(self.wrong.wait("a", 5), WITHIN - 5)
        self.assertEqual(self.wrong.wait("b", 5), 0)
        self.assertEqual(self.wrong.wait("a", WITHIN), 0)
        self.assertIs(self.wrong.count("a", WITHIN), True)
        self.assertEqual(self.wrong.wait("a", WITHIN), 0.5)

    def test_seldom(self) -> None:
        """Who is wrong once in a while never waits."""
        for number in range(100):
            self.assertIs(self.wrong.count("a", number * 1.2), False)

    def test_forgotten(self) -> None:
        """Of addresses that were not wrong for ten seconds nothing is remembered."""
        for number in range(100):
            self.wrong.count(str(number), 0)
        self.wrong.count("later", WITHIN)
        self.assertEqual(len(self.wrong), 1)

    def test_flood(self) -> None:
        """However many addresses are wrong at once, so many are known that they take less than 64 MiB."""
        tracemalloc.start()
        try:
            for number in range(MOST * 1000):
                self.wrong.count(f"2001:db8:{number % 1000:x}/64", 1.0)
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(size * MOST_ADDRESSES / 1000, 64 * 1024 * 1024)
        for number in range(3 * MOST_ADDRESSES):
            self.wrong.count(f"{number}", 1.0)
        self.assertEqual(len(self.wrong), MOST_ADDRESSES)


class OriginTests(SynchronousTestCase):
    """Which addresses count as one."""

    def test_networks(self) -> None:
        """Of IPv6 the first 64 bits count, of IPv4 all; IPv4 inside IPv6 is IPv4."""
        self.assertEqual(origin_of("2001:db8::1"), origin_of("2001:db8:0:0:ffff::"))
        self.assertNotEqual(origin_of("2001:db8::1"), origin_of("2001:db8:0:1::1"))
        self.assertEqual(origin_of("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertNotEqual(origin_of("192.0.2.1"), origin_of("192.0.2.2"))

    def test_sockets(self) -> None:
        """All that come over sockets of this machine are one."""
        self.assertEqual(origin_of(""), "")
