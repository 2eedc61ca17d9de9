"""Compares a Docker host that has returned with the database, before anything is placed on it."""

from typing import ClassVar

from attrs import define
from twisted.logger import Logger

from dockerbroker.broker.comparing import Comparer, read_claims
from dockerbroker.broker.hosts import known_host
from dockerbroker.broker.steps import STOP_GRACE
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.orphans import Kind, Orphan, Verdict
from dockerbroker.model.world import World, place_of
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Returning:
    """First removes what was deleted while the host was away, then compares its rows with it.

    That something was deleted is told by the record of the deletion, which is the tombstone of what it could
    not remove. What only looks as if it belonged to nobody is left to the reaper, which takes its time.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    comparer: Comparer

    async def welcome(self, key: HostKey) -> None:
        """Compare the host; raises `EngineError` when its Docker does not answer, or `Unavailable`."""
        host = await known_host(self.persister, key)
        cluster_id = await self.comparer.known_cluster()
        sight = await self.comparer.observer.look_at(host, cluster_id)
        if sight.complaint is not None:
            raise EngineUnreachable(sight.complaint)
        world = {place_of(key): sight}
        for orphan in await self._deleted(world, cluster_id):
            await self._remove(orphan)
        await self.comparer.compare_hosts(world)

    async def _deleted(self, world: World, cluster_id: str) -> list[Orphan]:
        """Return what has no owner since its instance was deleted, volumes last."""
        claims = await read_claims(self.persister, world)
        reaper = self.comparer.reaper
        found = await reaper.find(world, claims, cluster_id)
        verdicts = await reaper.examine(found, claims)
        deleted = [
            orphan
            for orphan, verdict in zip(found, verdicts, strict=True)
            if verdict is Verdict.REMOVE and orphan.instance_id not in claims.instances
        ]
        going = {orphan.id for orphan in deleted if orphan.kind is Kind.CONTAINER}
        return sorted(
            (orphan for orphan in deleted if orphan.users <= going), key=lambda one: one.kind is Kind.VOLUME
        )

    async def _remove(self, orphan: Orphan) -> None:
        engine = self.engines(orphan.host)
        if orphan.kind is Kind.CONTAINER:
            await engine.remove(orphan.id, grace=STOP_GRACE)
        else:
            await engine.remove_volume(orphan.id)
        self._log.info(
            "removed the {kind} {what} of {instance} on {host}, which was deleted while the host was away",
            kind=orphan.kind.value,
            what=orphan.id,
            instance=orphan.instance_id,
            host=orphan.host.key.service_host,
        )
