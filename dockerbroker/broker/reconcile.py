"""Finishes what is neither done nor being done: operations whose broker died, undoings that were parked."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import ClassVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dockerbroker.broker.limits import LEASE
from dockerbroker.broker.together import together
from dockerbroker.broker.turns import Turns
from dockerbroker.broker.worker import Worker
from dockerbroker.errors import BrokerError, LostLease
from dockerbroker.model.executables import printable
from dockerbroker.model.instances import Change, Operation, Phase
from dockerbroker.model.steps import resumed
from dockerbroker.model.survivors import is_untold, untold
from dockerbroker.model.work import Work, ending
from dockerbroker.persisters.interfaces import IPersister

#: Seconds between two renewals of the leases, and between two looks for operations without an owner.
PERIOD = 5.0
#: How long after its deadline an operation is taken over only when no broker ran, or the database is a copy
#: that was restored; in seconds.
LONG = 60.0
#: How many leases are renewed at once.
_TOGETHER = 8


@define(eq=False)
class Reconciler:
    """Keeps the leases of the worker's operations, and takes over those that nobody carries."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    worker: Worker
    reactor: IReactorTime
    _turns: Turns = field(init=False)
    #: Whether the database is another deployment's, whose operations must be left alone.
    is_paused: bool = field(default=False, init=False)
    _claiming: bool = field(default=True, init=False)
    #: What was claimed and could not be taken over; other operations may be held under the same name.
    _left: dict[str, Operation] = field(factory=dict, init=False)

    @_turns.default
    def _every_period(self) -> Turns:
        return Turns(self._pass, PERIOD, "no operation is taken over", self.reactor, self._log)

    def start(self) -> None:
        """Look at once, and then periodically."""
        self._turns.start(now=True)

    def settle(self) -> Deferred[None]:
        """Take nothing over any more, but keep the leases of what is being carried.

        The Deferred fires when what is just being claimed is: until then it could begin to be carried.
        """
        self._claiming = False
        return self._turns.over()

    def stop(self) -> None:
        """End the loop."""
        self._turns.stop()

    async def _pass(self) -> None:
        await self._renew()
        await self._let_go()
        if self._claiming and not self.is_paused:
            await self._claim()

    async def _renew(self) -> None:
        # Where the database is slow the last of many would have lapsed when its turn comes.
        waiting = iter(self.worker.holders())
        failures: list[BrokerError] = []
        await together(self._renew_along(waiting, failures.append) for _ in range(_TOGETHER))
        if failures:
            self._log.warn("{count} leases: {why}", count=len(failures), why=failures[0].description)

    async def _renew_along(self, waiting: Iterator[str], failed: Callable[[BrokerError], object]) -> None:
        for holder in waiting:
            try:
                self.worker.cancel(await self.persister.renew(holder, ttl=LEASE))
            except BrokerError as error:
                # The others are not to lapse with it.
                failed(error)

    async def _claim(self) -> None:
        claimed = await self.persister.claim(self.worker.holder(), ttl=LEASE)
        if not claimed:
            return
        self._left = {operation.id: operation for operation in claimed}
        # Deadlines are by the persister's clock, and timers by the reactor's.
        offset = self.reactor.seconds() - await self.persister.now()
        for operation in claimed:
            await self._try_take_over(operation, operation.deadline + offset)

    async def _let_go(self) -> None:
        """Let what was left be claimed again: its lease is renewed as long as others of its holder are."""
        for operation in list(self._left.values()):
            with suppress(LostLease):
                await self.persister.release(operation, delay=PERIOD)
            del self._left[operation.id]

    async def _try_take_over(self, operation: Operation, until: float) -> None:
        # One record that cannot be read must not keep the others from being taken over.
        try:
            await self._take_over(operation, until)
        except BrokerError as error:
            self._log.warn("taking over {id}: {why}", id=operation.id, why=error.description)
        except Exception:  # noqa: BLE001
            self._log.failure("taking over {id}", id=operation.id)
        else:
            del self._left[operation.id]

    async def _take_over(self, operation: Operation, until: float) -> None:
        instance = await self.persister.instance(operation.instance_id)
        if instance is None:
            self._log.error("operation {id} has lost its instance, and is given up", id=operation.id)
            lost = evolve(operation, description="The record of its service instance was lost.")
            await self.persister.commit(Change(operation=lost.over(Phase.FAILED, self.worker.wall())))
            return
        binding = None
        if operation.binding_id is not None:
            binding = await self.persister.binding(operation.instance_id, operation.binding_id)
        work = Work(operation=operation, instance=instance, binding=binding)
        if self.reactor.seconds() - until > LONG and is_untold(operation, instance):
            await self._leave(work)
            return
        operation = evolve(resumed(operation, instance), step_at=self.worker.wall())
        self._log.info(
            "taking over {kind} of {instance}", kind=operation.kind.value, instance=printable(instance.id)
        )
        await self.persister.commit(Change(operation=operation))
        self.worker.launch(evolve(work, operation=operation), until)

    async def _leave(self, work: Work) -> None:
        """End an operation whose outcome nobody can tell any more; what it may have made is left."""
        failed = untold(work.operation)
        self._log.warn("{id} is left: {why}", id=failed.id, why=failed.description)
        await self.persister.commit(ending(evolve(work, operation=failed), self.worker.wall(), clean=False))
