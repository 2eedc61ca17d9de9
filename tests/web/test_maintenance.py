"""Versions of plans (OSB section Maintenance Info Object)."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.plans import MaintenanceInfo
from tests.stack import REDIS, Stack


class MaintenanceTests(SynchronousTestCase):
    """The member `maintenance_info` of a provision."""

    def setUp(self) -> None:
        """Offer a plan with a version."""
        self.stack = Stack()
        plan = evolve(REDIS.plan, maintenance=MaintenanceInfo(version="1.2.3"))
        self.stack.add_definition(evolve(REDIS, plans=(plan,)))

    def test_version(self) -> None:
        """The catalog's version may be asked for, with whatever else the object holds."""
        info = {"version": "1.2.3", "description": "x", "other": 1}
        self.assertEqual(self.stack.provision("i-1", maintenance_info=info).status, 201)

    def test_no_version(self) -> None:
        """A version need not be asked for."""
        self.assertEqual(self.stack.provision("i-1").status, 201)

    def test_another_version(self) -> None:
        """A version that the catalog does not have is refused, and nothing is made."""
        answer = self.stack.provision("i-1", maintenance_info={"version": "9.9.9"})
        self.assertEqual((answer.status, answer.json["error"]), (422, "MaintenanceInfoConflict"))
        self.assertEqual(self.stack.persister.tables.instances, {})

    def test_plan_without_version(self) -> None:
        """Of a plan without a version none can be asked for."""
        self.stack.add_definition(REDIS)
        answer = self.stack.provision("i-1", maintenance_info={"version": "1.2.3"})
        self.assertEqual((answer.status, answer.json["error"]), (422, "MaintenanceInfoConflict"))

    def test_existing_instance(self) -> None:
        """An instance that exists is returned, whatever version the platform knows of."""
        self.stack.provision("i-1")
        self.assertEqual(self.stack.provision("i-1", maintenance_info={"version": "9.9.9"}).status, 200)

    def test_malformed(self) -> None:
        """A version that is missing or no string is told as such."""
        for info in ({"version": 9}, {"version": ""}, {}, "9"):
            answer = self.stack.provision("i-1", maintenance_info=info)
            self.assertEqual(answer.status, 400)
            self.assertIn("maintenance_info", answer.description)
