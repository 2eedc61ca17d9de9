"""Finishes what is neither done nor being done: operations whose broker died, undoings that were parked."""

from contextlib import suppress
from typing import ClassVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dockerbroker.broker.limits import LEASE
from dockerbroker.broker.worker import Worker
from dockerbroker.errors import BrokerError, LostLease
from dockerbroker.model.executables import printable
from dockerbroker.model.instances import Change, Operation, Phase
from dockerbroker.model.steps import resumed
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister

#: Seconds between two renewals of the leases, and between two looks for operations without an owner.
PERIOD = 5.0


@define(eq=False)
class Reconciler:
    """Keeps the leases of the worker's operations, and takes over those that nobody carries."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    worker: Worker
    reactor: IReactorTime
    _loop: LoopingCall = field(init=False)
    _claiming: bool = field(default=True, init=False)
    #: What was claimed and could not be taken over; other operations may be held under the same name.
    _left: dict[str, Operation] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the loop on the broker's own clock."""
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._pass()))
        self._loop.clock = self.reactor

    def start(self) -> None:
        """Look at once, and then periodically."""
        self._loop.start(PERIOD, now=True)

    def settle(self) -> None:
        """Take nothing over any more, but keep the leases of what is being carried."""
        self._claiming = False

    def stop(self) -> None:
        """End the loop."""
        if self._loop.running:
            self._loop.stop()

    async def _pass(self) -> None:
        # One uncaught error would end the loop for ever.
        try:
            for holder in self.worker.holders():
                self.worker.cancel(await self.persister.renew(holder, ttl=LEASE))
            await self._let_go()
            if self._claiming:
                await self._claim()
        except BrokerError as error:
            self._log.warn("reconciling: {why}", why=error.description)
        except Exception:  # noqa: BLE001
            self._log.failure("reconciling")

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
        operation = evolve(resumed(operation, instance), step_at=self.worker.wall())
        self._log.info(
            "taking over {kind} of {instance}", kind=operation.kind.value, instance=printable(instance.id)
        )
        await self.persister.commit(Change(operation=operation))
        self.worker.launch(Work(operation=operation, instance=instance, binding=binding), until)
