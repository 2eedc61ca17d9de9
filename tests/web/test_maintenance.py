"""Plans have no maintenance information yet, and whoever asks for a version of one is told."""

from twisted.trial.unittest import SynchronousTestCase

from tests.stack import Stack


class MaintenanceTests(SynchronousTestCase):
    """The member `maintenance_info` of a provision."""

    def setUp(self) -> None:
        """Start a broker."""
        self.stack = Stack()

    def test_another_version(self) -> None:
        """A version that the catalog does not have is refused, and nothing is made."""
        answer = self.stack.provision("i-1", maintenance_info={"version": "9.9.9"})
        self.assertEqual((answer.status, answer.json["error"]), (422, "MaintenanceInfoConflict"))
        self.assertEqual(self.stack.persister.tables.instances, {})

    def test_existing_instance(self) -> None:
        """An instance that exists is returned, whatever version the platform knows of."""
        self.stack.provision("i-1")
        self.assertEqual(self.stack.provision("i-1", maintenance_info={"version": "9.9.9"}).status, 200)

    def test_malformed(self) -> None:
        """A version that is no string is told as such."""
        self.assertEqual(self.stack.provision("i-1", maintenance_info={"version": 9}).status, 400)
        self.assertEqual(self.stack.provision("i-1", maintenance_info="9").status, 400)
