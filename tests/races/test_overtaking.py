"""A deletion that overtakes the creation of the same instance, on whichever broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

from attrs import define, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.memory_persister import MemoryPersister
from tests.stack import HOST, REDIS, Stack, instance_path, provision_body, query

#: The first call of a creation: what was deleted before that was deleted before it.
_FIRST = "tombstone"


@define(eq=False)
class InterruptedPersister(MemoryPersister):
    """Lets something happen before one of its calls, by the call's number."""

    interruptions: dict[int, Callable[[], None]] = field(factory=dict, init=False)

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        if (interruption := self.interruptions.pop(len(self.calls), None)) is not None:
            interruption()
        with MemoryPersister._call(self, method):
            yield


class OvertakingTests(SynchronousTestCase):
    """A DELETE comes between any two calls that a PUT makes of the database."""

    def stack(self) -> Stack:
        """Start a broker."""
        clock = Clock()
        stack = Stack(clock=clock, persister=InterruptedPersister(clock.seconds))
        stack.add_definition(REDIS)
        stack.add_host(HOST)
        return stack

    def test_every_call(self) -> None:
        """Who is told that there was nothing to delete finds nothing later."""
        calm = self.stack()
        first = len(calm.persister.calls)
        calm.provision("i-1")
        calls = calm.persister.calls[first:]
        self.assertEqual(calls[0], _FIRST)
        places = product(range(1, len(calls) + 1), (False, True))
        told = {self.overtake(position, is_neighbour=is_neighbour) for position, is_neighbour in places}
        self.assertEqual(told, {200, 410})

    def overtake(self, position: int, *, is_neighbour: bool) -> int:
        """Delete before the PUT's call of that number; return what the DELETE was told."""
        stack = self.stack()
        persister = stack.persister
        assert isinstance(persister, InterruptedPersister)
        deleting = stack.neighbour() if is_neighbour else stack
        asked = []
        path = instance_path("i-1")
        persister.interruptions[len(persister.calls) + position] = lambda: asked.append(
            deleting.ask("DELETE", path + query(), None)
        )
        making = stack.ask("PUT", path, provision_body())
        made = stack.settle(making).status
        if not asked:  # the call that was to be interrupted came after the end of the PUT
            asked.append(deleting.ask("DELETE", path + query(), None))
        deleted = deleting.settle(asked[0]).status
        where = f"call {position}, neighbour {is_neighbour}: PUT {made}, DELETE {deleted}"
        self.assertIn(deleted, {200, 410}, where)
        if deleted == 410:
            self.assertEqual(made, 500, where)
        self.assertEqual((persister.tables.instances, stack.engine.world), ({}, {}), where)
        return deleted
