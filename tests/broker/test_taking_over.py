"""Operations that are taken over together do not wait for one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.limits import LEASE, Limits
from dockerbroker.broker.reconcile import PERIOD
from dockerbroker.errors import Unavailable
from dockerbroker.model.instances import Operation, Phase
from tests.asking import instance_path, provision_body
from tests.memory_persister import MemoryPersister
from tests.stack import Stack

_LOST: Final = Unavailable("The database is gone.")
#: Until which another broker has taken over what nobody carries.
_TAKEN: Final = LEASE + 2 * PERIOD


def carrying(*instance_ids: str) -> Stack:
    """Return a broker that provisions these instances, whose service is never ready."""
    stack = Stack(limits=Limits(ready_within=500.0))
    stack.image.scripts["healthy"] = lambda _stdin, _environment: (1, b"", b"")
    for instance_id in instance_ids:
        path = instance_path(instance_id) + "?accepts_incomplete=true"
        stack.ask("PUT", path, provision_body())
        stack.advance(1)
    return stack


class RenewingTests(SynchronousTestCase):
    """A broker carries several operations, and the database fails for one of them."""

    def test_unavailable(self) -> None:
        """The leases of the others are renewed, and its own the next time: nothing is ever taken over."""
        stack = carrying("one", "two", "three")
        lapsing = self.leases(stack)
        stack.persister.fail_next("renew", _LOST)
        stack.advance(PERIOD)
        renewed = self.leases(stack)
        self.assertEqual(len([one for one in lapsing if renewed[one] > lapsing[one]]), 2)
        stack.advance(PERIOD)
        self.assertTrue(all(until > lapsing[one] for one, until in self.leases(stack).items()))
        stack.neighbour()
        stack.advance(2 * LEASE)
        self.assertEqual({one.epoch for one in stack.persister.history()}, {1})

    def leases(self, stack: Stack) -> dict[str, float]:
        """Return until when the operations are held."""
        return {name: row["lease_until"] for name, row in stack.persister.tables.operations.items()}


class TakingOverTests(SynchronousTestCase):
    """A broker takes over two creations of one that has crashed; the service of one is never ready."""

    def crashed(self) -> Stack:
        """Return the broker that is about to take them over."""
        return carrying("one", "two").successor()

    def assert_both_carried(self, fail: Callable[[Stack], None]) -> None:
        """Check that both are soon carried although something fails at first."""
        stack = self.crashed()
        fail(stack)
        stack.advance(2 * _TAKEN)
        carried = [one for one in stack.persister.history() if one.phase is Phase.FORWARD]
        self.assertEqual(len(carried), 2)
        held = stack.worker.holders()
        self.assertTrue(all(one.owner in held for one in carried), (carried, held))
        self.assertEqual(sorted(stack.worker._running), sorted(one.id for one in carried))

    def test_unavailable(self) -> None:
        """One whose records cannot be read at first is taken over while the other goes on."""
        self.assert_both_carried(lambda stack: stack.persister.fail_next("instance", _LOST))

    def test_defect(self) -> None:
        """A defect that one shows does not keep the others from being taken over, nor is it left for good."""
        self.assert_both_carried(lambda stack: stack.persister.fail_next("instance", ZeroDivisionError()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


@define(eq=False)
class SlowClaims(MemoryPersister):
    """A database that answers claims when it is told to."""

    gates: list[Deferred[None]] = field(factory=list, init=False)
    is_slow: bool = field(default=False, init=False)

    async def claim(self, owner: str, *, ttl: float) -> list[Operation]:
        """Claim, after a while."""
        if self.is_slow:
            self.gates.append(Deferred())
            await self.gates[-1]
        return await MemoryPersister.claim(self, owner, ttl=ttl)


class SettlingTests(SynchronousTestCase):
    """A broker ends while it is just claiming the operation of one that has crashed."""

    def test_claim_under_way(self) -> None:
        """What it claims is waited for, so that it is carried to its end, and then nothing is claimed."""
        crashed = carrying("one").successor()
        persister = SlowClaims(crashed.clock.seconds, crashed.persister.tables)
        stack = Stack(
            clock=crashed.clock,
            owner="another",
            limits=crashed.limits,
            persister=persister,
            engines=crashed.engines,
        )
        crashed.reconciler.stop()
        persister.is_slow = True
        stack.advance(_TAKEN)
        settled = stack.reconciler.settle()
        self.assertNoResult(settled)
        [gate] = persister.gates
        gate.callback(None)
        self.successResultOf(settled)
        [operation] = stack.persister.history()
        self.assertEqual([operation.owner], stack.worker.holders())
        self.successResultOf(stack.reconciler.settle())
        stack.advance(2 * _TAKEN)
        self.assertEqual(len(persister.gates), 1)
