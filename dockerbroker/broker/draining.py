"""Empties Docker hosts that an administrator wants drained: their instances move, a few at a time.

The wish stands in the database, and so does what has become of each move: whichever broker looks goes on.
"""

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dockerbroker.broker.comparing import pages
from dockerbroker.broker.moving import Moving
from dockerbroker.errors import BrokerError
from dockerbroker.model.hosts import HostReport
from dockerbroker.model.instances import Operation, OperationKind, ServiceInstance
from dockerbroker.model.moving import stays
from dockerbroker.model.standing import host_id
from dockerbroker.model.world import is_settled
from dockerbroker.persisters.interfaces import IPersister

#: Seconds between two looks.
PERIOD: Final = 5.0
#: How many instances of a host, and of all hosts, move at once.
MOST_OF_HOST: Final = 2
MOST_AT_ONCE: Final = 6
#: How long to wait until an instance is tried again that could not be moved, in seconds.
AGAIN: Final = 30.0
#: Within how many seconds what could not be moved has been tried again, if brokers are there.
TRIED_WITHIN: Final = AGAIN + 3 * PERIOD
_MOST_OPERATIONS: Final = 10_000


@define(eq=False, kw_only=True)
class Drainer:
    """Looks periodically whether there is something to move, and begins to move it."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    moving: Moving
    clock: IReactorTime
    #: Whether the database is another deployment's.
    is_paused: bool = field(default=False, init=False)
    _loop: LoopingCall = field(init=False)
    _not_before: dict[str, float] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the loop on the broker's own clock."""
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._pass()))
        self._loop.clock = self.clock

    def start(self) -> None:
        """Begin; the first look comes after a period."""
        self._loop.start(PERIOD, now=False)

    def stop(self) -> None:
        """Begin no more moves; those that were begun are carried on."""
        if self._loop.running:
            self._loop.stop()

    async def _pass(self) -> None:
        # One uncaught error would end the loop for ever.
        if self.is_paused:
            return
        try:
            await self.look()
        except BrokerError as error:
            self._log.warn("draining: {why}", why=error.description)
        except Exception:  # noqa: BLE001
            self._log.failure("draining")

    async def look(self) -> None:
        """Begin as many moves as there may be; raises `Unavailable`."""
        hosts = [one for one in await self.persister.hosts() if one.is_draining and one.is_heard]
        if not hosts:
            self._not_before.clear()
            return
        moves = await self._moves()
        for report in hosts:
            await self._drain(report, moves)

    async def _moves(self) -> Counter[str]:
        """Return from which host how many moves are under way."""
        unfinished = await self.persister.operations(unfinished=True, limit=_MOST_OPERATIONS)
        return Counter(_former_hosts(unfinished))

    async def _drain(self, report: HostReport, moves: Counter[str]) -> None:
        name = host_id(report.host.key)
        async for page in pages(self.persister, set()):
            for instance in page:
                if moves[name] >= MOST_OF_HOST or moves.total() >= MOST_AT_ONCE:
                    return
                if instance.host != report.host.key or not self._is_due(instance):
                    continue
                self._not_before[instance.id] = self.clock.seconds() + AGAIN
                if await self.moving.move(instance.id) is not None:
                    moves[name] += 1

    def _is_due(self, instance: ServiceInstance) -> bool:
        is_movable = is_settled(instance, frozenset()) and stays(instance) is None
        return is_movable and self.clock.seconds() >= self._not_before.get(instance.id, 0.0)


def _former_hosts(operations: Iterable[Operation]) -> Iterable[str]:
    return (one.former_host or "" for one in operations if one.kind is OperationKind.MOVE)
