"""An instance that is to be updated, and what must be kept of it."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import ServiceInstance
from tests.broker.calls import Platform, stack_with_plans
from tests.broker.ledger import complaints, stack_instance
from tests.memory_engine import MemoryContainer


class UpdateCase(SynchronousTestCase):
    """An instance of the small plan, with data and parameters."""

    def setUp(self) -> None:
        """Make the instance."""
        self.stack, self.ledger = stack_with_plans()
        self.platform = Platform(self.stack)
        self.platform.provision(parameters={"a": 1, "b": 2}, context={"instance_name": "one"}).result()
        self.before = self.instance()
        self.old = self.container()
        (volume,) = self.stack.engine.disk.values()
        volume.contents["/dump"] = b"precious"
        self.stack.engine.calls.clear()

    def instance(self) -> ServiceInstance:
        """Return the instance as it is stored."""
        found: ServiceInstance = stack_instance(self.stack, "i-1")
        return found

    def container(self) -> MemoryContainer:
        """Return the only container."""
        (container,) = self.stack.engine.world.values()
        return container

    def changes(self) -> list[str]:
        """Return the calls that have changed a container, in order."""
        changing = {"create", "start", "stop", "remove", "keep_running"}
        return [call[0] for call in self.stack.engine.calls if call[0] in changing]

    def assert_as_before(self) -> None:
        """The instance is what it was, in its old container, which runs and is restarted by Docker."""
        self.assertEqual(evolve(self.instance(), volumes=self.before.volumes), self.before)
        self.assertIs(self.container(), self.old)
        self.assertTrue(self.old.running and self.old.keeps_running)
        self.assert_data_kept()
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def assert_data_kept(self) -> None:
        """The volume has what it had."""
        (volume,) = self.stack.engine.disk.values()
        self.assertEqual(volume.contents, {"/dump": b"precious"})
        self.assertEqual(self.container().volumes, {"/data": volume.name})
