"""Pings of agents, which are stored together when many come at once."""

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from dockerbroker.model.hosts import DockerHost
from dockerbroker.persisters.interfaces import IPersister

#: How many pings are stored together at most, so that none waits long and no transaction is large.
MOST = 250


@frozen
class _Ping:
    host: DockerHost
    stored: Deferred[None]


@define(eq=False)
class Pings:
    """Stores pings: those that come while others are being stored go together, in one write.

    Of several pings of one host the last one is stored. When a write fails, so do the pings that have come
    meanwhile: an agent is to hear within seconds that the database is away, and tries another broker.
    """

    _persister: IPersister
    _waiting: list[_Ping] = field(factory=list, init=False)
    _is_writing: bool = field(default=False, init=False)

    async def record(self, host: DockerHost) -> None:
        """Return when this ping of the host is stored, or a later one; raises what the write raises."""
        ping = _Ping(host, Deferred())
        self._waiting.append(ping)
        if not self._is_writing:
            Deferred.fromCoroutine(self._write())
        await ping.stored

    async def _write(self) -> None:
        """Store what waits until nothing does."""
        self._is_writing = True
        while self._waiting:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            newest = {ping.host.key: ping.host for ping in group}
            try:
                await self._persister.record_pings(newest.values())
            except Exception:  # noqa: BLE001 (it belongs to whoever waits)
                self._fail(group, Failure())
            else:
                for ping in group:
                    ping.stored.callback(None)
        self._is_writing = False

    def _fail(self, group: list[_Ping], failure: Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for ping in group + waiting:
            ping.stored.errback(failure)
