"""What administrators ask of operations, and how they help those that wait."""

from typing import ClassVar

from attrs import define, frozen
from twisted.logger import Logger

from dockerbroker.errors import InvalidRequest, NotFound
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.instances import Operation, ServiceInstance
from dockerbroker.model.listings import MOST, OperationFilter, Part
from dockerbroker.model.progress import sentence
from dockerbroker.persisters.interfaces import IPersister


@frozen(kw_only=True)
class KnownOperation:
    """An operation, its instance if that exists, and how that is not as it should be."""

    operation: Operation
    instance: ServiceInstance | None
    condition: str | None = None

    @property
    def what(self) -> str:
        """What it does, did, or why it failed, in a sentence."""
        # How long a step has taken is a matter of the broker's clock, and told by `cf service`.
        text = sentence(self.operation, self.instance, self.operation.step_at)
        description = self.operation.description
        return f"{text}: {description}" if description not in text else text


@define(eq=False)
class Operations:
    """Lists operations, shows them, and lets them be tried at once or undone."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister

    async def some(self, wanted: OperationFilter, *, after: str | None, limit: int) -> Part[Operation]:
        """Return wanted operations that were begun before that one, those begun last first.

        At most `MOST` are looked at, so that a part may hold fewer although there are more. Raises
        `InvalidRequest` when nothing is known of the one after which they are to come.
        """
        if after is not None and await self.persister.operation(after) is None:
            raise InvalidRequest(f"There is no operation {after!r}, or none any more; begin with the first.")
        most = MOST if wanted.is_partial else limit
        looked_at = await self._looked_at(wanted, after, most)
        found: list[Operation] = []
        for operation in looked_at:
            if wanted.admits(operation):
                found.append(operation)
            if len(found) == limit:
                return Part(tuple(found), operation.id)
        return Part(tuple(found), looked_at[-1].id if len(looked_at) == most else None)

    async def _looked_at(self, wanted: OperationFilter, after: str | None, most: int) -> list[Operation]:
        if wanted.instance is None:
            unfinished = wanted.unfinished
            return await self.persister.operations(unfinished=unfinished, limit=most, before=after)
        on = wanted.instance, wanted.binding
        return await self.persister.operations_on(*on, limit=most, before=after)

    async def known(self, operation: Operation) -> KnownOperation:
        """Return an operation with its instance."""
        instance = await self.persister.instance(operation.instance_id)
        return KnownOperation(operation=operation, instance=instance)

    async def one(self, operation_id: str) -> KnownOperation:
        """Return all that is known of one operation; raises `NotFound`."""
        operation = await self.persister.operation(operation_id)
        if operation is None:
            raise NotFound(f"There is no operation {operation_id!r}, or none any more.")
        conditions = await self.persister.conditions()
        return KnownOperation(
            operation=operation,
            instance=await self.persister.instance(operation.instance_id),
            condition=conditions.get(operation.instance_id),
        )

    async def retry(self, operation_id: str, origin: Origin = ITSELF) -> None:
        """Let an operation that waits be tried at once; raises `NotFound` or `Conflict`."""
        await self.persister.hasten(operation_id, origin=origin)
        self._log.info("an administrator wants {operation} tried at once", operation=operation_id)

    async def cancel(self, operation_id: str, origin: Origin = ITSELF) -> None:
        """Let an operation be undone; raises `NotFound` or `Conflict`."""
        await self.persister.cancel(operation_id, origin=origin)
        self._log.info("an administrator has cancelled {operation}", operation=operation_id)
