"""Whether a program can listen where it is told to."""

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.endpoints import TcpEndpoint
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime import check_endpoint
from tests.ports import free_port


class AddressTests(SynchronousTestCase):
    """Whether a program can listen at an address."""

    def test_free(self) -> None:
        """A free address is no complaint, by number or by name, and stays free."""
        port = free_port()
        for host in ("127.0.0.1", "127.0.0.1", "localhost", "0.0.0.0"):
            check_endpoint(TcpEndpoint(host=host, port=port))

    def test_unusable(self) -> None:
        """An address that cannot be used is a complaint that says why."""
        for host, expected in (
            ("192.0.2.1", "is no address of this machine"),
            ("no.such.name.invalid", "cannot listen at no.such.name.invalid:"),
            ("x" * 300, "cannot listen at"),
            ("::ffff", "[::ffff]:"),
        ):
            endpoint = TcpEndpoint(host=host, port=free_port())
            refusal = self.assertRaises(InvalidConfiguration, check_endpoint, endpoint)
            self.assertIn(expected, refusal.description)
