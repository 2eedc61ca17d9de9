"""Looks at once at the Docker hosts whose engine was restarted, where containers may have stopped."""

from typing import ClassVar, Final

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.broker.comparing import LONGEST, PASS_DEADLINE, SHARE, Comparer
from dockerbroker.errors import BrokerError
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.vitals import Ping
from dockerbroker.model.world import PASSES, World, place_of

#: Seconds between two looks at a host.
BETWEEN: Final = 2.0
#: How often a host is looked at, at most: until what has stopped is started, and once more.
LOOKS: Final = PASSES + 1


@define(eq=False)
class Restarts:
    """Hears from pings that an engine was restarted, and compares its host with the database, several times.

    What has stopped is then started again, as the comparer does it, but long before its next two passes. Only
    a session that follows another one tells of a restart: what happened before this broker was started is the
    comparer's.
    """

    _log: ClassVar[Logger] = Logger()

    comparer: Comparer
    clock: IReactorTime
    is_paused: bool = field(default=False, init=False)
    _sessions: dict[HostKey, str] = field(factory=dict, init=False)
    _restarted: set[HostKey] = field(factory=set, init=False)
    _spent: float = field(default=0.0, init=False)
    _not_before: float = field(default=0.0, init=False)
    _looking: Deferred[None] | None = field(default=None, init=False)
    _is_stopped: bool = field(default=False, init=False)

    def heard(self, ping: Ping) -> None:
        """Note what a ping tells of the engine, which may be that it was restarted."""
        key, session = ping.host.key, ping.vitals.engine_session
        if ping.vitals.trouble or not session or self._is_stopped:
            return
        before = self._sessions.get(key, session)
        self._sessions[key] = session
        if session != before:
            self._restarted.add(key)
            if self._looking is None:
                looking = Deferred.fromCoroutine(self._look())
                self._looking = None if looking.called else looking

    def stop(self) -> None:
        """End; what was asked of Docker may still be done, and nothing else is asked."""
        self._is_stopped = True
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        try:
            while self._restarted:
                # So that it takes little of a processor's time, whatever the agents say.
                await deferLater(self.clock, max(0.0, self._not_before - self.clock.seconds()))
                await self._compare_all()
        except CancelledError:
            return
        finally:
            self._looking = None

    async def _compare_all(self) -> None:
        """Compare all that have been restarted by now, with one reading of the rows for all of them."""
        keys, self._restarted = self._restarted, set()
        self._spent = 0.0
        try:
            await Deferred.fromCoroutine(self._compare(keys)).addTimeout(PASS_DEADLINE, self.clock)
        except BrokerError as error:
            self._log.warn("looking at the engines that were restarted: {why}", why=error.description)
        except DeadlinePassed:
            self._log.warn("looking at the engines that were restarted took too long")
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 (the next restart must be heard of)
            self._log.failure("looking at the engines that were restarted")
        self._not_before = self.clock.seconds() + min(self._spent / SHARE, LONGEST)

    async def _compare(self, keys: set[HostKey]) -> None:
        for number in range(LOOKS):
            if number:
                await deferLater(self.clock, BETWEEN)
            if self.is_paused:
                return
            world = await self._seen(keys)
            before = self.comparer.spent()
            is_well = await self.comparer.compare_hosts(world, are_restarted=number == 0)
            self._spent += self.comparer.spent() - before
            if is_well and len(world) == len({place_of(key) for key in keys}):
                return

    async def _seen(self, keys: set[HostKey]) -> World:
        """Return what is seen of the hosts that answer; of the others the comparer's passes tell."""
        cluster_id = await self.comparer.known_cluster()
        reports = await self.comparer.persister.hosts()
        hosts = [report.host for report in reports if report.host.key in keys]
        seen = await self.comparer.observer.look_at_all(hosts, cluster_id)
        return {place: sight for place, sight in seen.items() if sight.complaint is None}
