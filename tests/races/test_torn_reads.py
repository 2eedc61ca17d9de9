"""What begins between two looks at the database, of which the first one has not seen it yet."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import ServiceBinding
from tests.memory_persister import MemoryPersister
from tests.stack import HOST, REDIS, Stack, bind_body, binding_path, query


@define(eq=False)
class InterleavedPersister(MemoryPersister):
    """Lets something happen between the reading of an instance and that of its binding."""

    between: list[Callable[[], None]] = field(factory=list, init=False)

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Let it happen, and return the binding."""
        if self.between:
            self.between.pop()()
        return await MemoryPersister.binding(self, instance_id, binding_id)


class TornReadTests(SynchronousTestCase):
    """A request that has seen the instance free, and then its binding at work."""

    def setUp(self) -> None:
        """Start a broker on such a database, with an instance."""
        clock = Clock()
        self.persister = InterleavedPersister(clock.seconds)
        self.stack = Stack(clock=clock, persister=self.persister)
        self.stack.add_definition(REDIS)
        self.stack.add_host(HOST)
        self.stack.provision("i-1")

    def answers(self, first: tuple[str, str, object], second: tuple[str, str, object]) -> list[int]:
        """Return the statuses of two requests, the first of which begins while the second one looks."""
        hang = self.stack.engine.hang_next("start_exec")
        asked = []
        self.persister.between.append(lambda: asked.append(self.stack.ask(*first)))
        asked.append(self.stack.ask(*second))
        hang.release()
        return sorted(self.stack.settle(one).status for one in asked)

    def test_equal_binds(self) -> None:
        """The same PUT of a binding that has just begun is answered with what comes of that."""
        put = ("PUT", binding_path("i-1", "b-1"), bind_body())
        self.assertEqual(self.answers(put, put), [201, 201])
        self.assertEqual(len(self.persister.tables.operations), 2)

    def test_equal_unbinds(self) -> None:
        """The same DELETE of a binding whose removal has just begun is answered as that one."""
        self.stack.bind("i-1", "b-1")
        delete = ("DELETE", binding_path("i-1", "b-1") + query(), None)
        self.assertEqual(self.answers(delete, delete), [200, 200])

    def test_bind_of_unbound(self) -> None:
        """A PUT of a binding whose removal has just begun is told that the instance is busy."""
        self.stack.bind("i-1", "b-1")
        delete = ("DELETE", binding_path("i-1", "b-1") + query(), None)
        put = ("PUT", binding_path("i-1", "b-1"), bind_body())
        self.assertEqual(self.answers(delete, put), [200, 422])
