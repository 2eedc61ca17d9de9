"""Records what an operation does, however long the database takes to answer again."""

from collections.abc import Awaitable, Callable
from typing import ClassVar, NoReturn, TypeVar

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.errors import LostLease, Unavailable
from dockerbroker.model.instances import Change, Operation
from dockerbroker.persisters.interfaces import IPersister

T = TypeVar("T")

#: The first and the longest pause between two tries to reach a database that does not answer, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
#: The longest time for which an operation is parked, in seconds.
LONGEST_DELAY = 60.0


@define(eq=False)
class Recording:
    """The record of an operation that is being carried."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    clock: IReactorTime

    async def write(self, change: Change) -> None:
        """Write: what was done must be recorded. Raises `LostLease`."""
        await self._patiently(change.operation, lambda: self.persister.commit(change))

    async def stored(self, operation: Operation) -> Operation:
        """Return the operation as it is recorded."""
        return await self._patiently(operation, lambda: self.persister.operation(operation.id)) or operation

    async def park(self, operation: Operation) -> NoReturn:
        """Leave the operation, which is recorded as it is, to whoever takes it over after a while.

        Always raises `LostLease`.
        """
        delay = min(2.0 ** min(operation.attempt, 10), LONGEST_DELAY)
        # Its lease does not lapse while others that are held under the same name are carried.
        await self._patiently(operation, lambda: self.persister.release(operation, delay=delay))
        raise LostLease("It waits to be tried again.")

    async def _patiently(self, operation: Operation, call: Callable[[], Awaitable[T]]) -> T:
        pause = FIRST_PAUSE
        while True:
            try:
                return await call()
            except Unavailable as error:
                self._log.warn("the record of {id}: {why}", id=operation.id, why=error.description)
                await deferLater(self.clock, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
