"""Whether a program can listen where it is told to."""

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime import check_address
from tests.polling import free_port


class AddressTests(SynchronousTestCase):
    """Whether a program can listen at an address."""

    def test_free(self) -> None:
        """A free address is no complaint, by number or by name, and stays free."""
        port = free_port()
        for host in ("127.0.0.1", "127.0.0.1", "localhost", "0.0.0.0"):
            check_address(host, port)

    def test_unusable(self) -> None:
        """An address that cannot be used is a complaint that says why."""
        for host, expected in (
            ("192.0.2.1", "is no address of this machine"),
            ("no.such.name.invalid", "cannot listen at no.such.name.invalid:"),
            ("x" * 300, "cannot listen at"),
            ("::ffff", "::ffff:"),
        ):
            refusal = self.assertRaises(InvalidConfiguration, check_address, host, free_port())
            self.assertIn(expected, refusal.description)
