"""What changes between two looks at the database."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import Operation
from tests.broker.ledger import complaints
from tests.memory_persister import MemoryPersister
from tests.stack import HOST, REDIS, Stack, bind_body, binding_path, instance_path, provision_body, query


@define(eq=False)
class InterleavedPersister(MemoryPersister):
    """Lets something happen between the reading of an instance and that of its operation."""

    between: list[Callable[[], None]] = field(factory=list, init=False)

    async def operation(self, operation_id: str) -> Operation | None:
        """Let it happen, and return the operation."""
        if self.between:
            self.between.pop(0)()
        return await MemoryPersister.operation(self, operation_id)


class RaceTests(SynchronousTestCase):
    """An operation that ends just when another request looks at its instance."""

    def setUp(self) -> None:
        """Start a broker on such a database."""
        clock = Clock()
        self.persister = InterleavedPersister(clock.seconds)
        self.stack = Stack(clock=clock, persister=self.persister)
        self.stack.add_definition(REDIS)
        self.stack.add_host(HOST)

    def status_when_over(self, held: tuple[str, str, object], at: str, asked: tuple[str, str, object]) -> int:
        """Return the status of a request that looks at an operation in the moment when it ends."""
        hang = self.stack.engine.hang_next(at)
        first = self.stack.ask(*held)
        self.persister.between.append(hang.release)
        second = self.stack.ask(*asked)
        self.assertIn(self.stack.settle(first).status, {200, 201})
        return self.stack.settle(second).status

    def test_same_provision(self) -> None:
        """The same PUT finds the instance that is now ready."""
        put = ("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(self.status_when_over(put, "start", put), 200)

    def test_bind(self) -> None:
        """A bind finds the instance free."""
        put = ("PUT", instance_path("i-1"), provision_body())
        bind = ("PUT", binding_path("i-1", "b-1"), bind_body())
        self.assertEqual(self.status_when_over(put, "start", bind), 201)

    def test_delete_after_delete(self) -> None:
        """The same DELETE finds that the instance is gone."""
        self.stack.provision("i-1")
        delete = ("DELETE", instance_path("i-1") + query(), None)
        self.assertEqual(self.status_when_over(delete, "remove", delete), 410)

    def test_provision_after_delete(self) -> None:
        """A PUT finds the id free, and makes the instance again."""
        self.stack.provision("i-1")
        delete = ("DELETE", instance_path("i-1") + query(), None)
        put = ("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(self.status_when_over(delete, "remove", put), 201)
        self.assertEqual(complaints(self.stack), [])
