"""Removes containers and volumes without an owner, or says why it does not."""

from collections.abc import Sequence
from typing import ClassVar

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.broker.steps import STOP_GRACE
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import BrokerError
from dockerbroker.model.audit import ITSELF, AuditEntry, Origin, Result
from dockerbroker.model.orphans import (
    DOUBTS,
    GRACE,
    Claims,
    Evidence,
    Kind,
    Orphan,
    Removal,
    Sightings,
    Verdict,
    confirmed,
    excess,
    orphans,
    ripe,
    sighted,
    verdict,
)
from dockerbroker.model.world import World, place_of
from dockerbroker.persisters.interfaces import IPersister

#: After so many containers the reactor gets its turn.
_BREATH = 5000


@frozen(kw_only=True)
class Reaped:
    """What came of a pass: what was removed, how many wait for their time, and why nothing was removed."""

    removals: tuple[Removal, ...] = ()
    waiting: int = 0
    refusal: str | None = None


@define(eq=False)
class Reaper:
    """Removes what nobody owns; it remembers since when, by this process's monotonic clock.

    What it may remove is decided in `dockerbroker.model.orphans`. `forced` is an operator's word: the orphans
    may be many, and the database need not know how they came to be.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    clock: IReactorTime
    grace: float = GRACE
    forced: bool = False
    origin: Origin = ITSELF
    _sightings: Sightings = field(factory=dict, init=False)

    def begin_again(self) -> None:
        """Forget what was seen, since a pass has failed and the next does not follow on the last."""
        self._sightings = {}

    async def reap(self, world: World, claims: Claims, cluster_id: str) -> Reaped:
        """Remove what may be removed; the claims were read after the world was seen."""
        found = await self.find(world, claims, cluster_id)
        now = self.clock.seconds()
        self._sightings = sighted(found, self._sightings, now)
        known = confirmed(found, self._sightings)
        old = ripe(known, self._sightings, now, self.grace)
        refusal = await self._refusal(known, old, world, claims, cluster_id) if old else None
        if refusal is not None:
            self._log.error(
                "nothing is removed: {refusal}. After a restore run `dockerbroker adopt`; else compare with "
                "`dockerbroker reap --dry-run`, and if it is right, run `dockerbroker reap --force`",
                refusal=refusal,
            )
            return Reaped(waiting=len(found), refusal=refusal)
        removals = await self._remove(old, world)
        return Reaped(removals=tuple(removals), waiting=len(found) - len(removals))

    async def find(self, world: World, claims: Claims, cluster_id: str) -> list[Orphan]:
        """Return all that has no owner, be it ever so young."""
        found: list[Orphan] = []
        looked_at = 0
        for sight in world.values():
            found += orphans(sight, claims, cluster_id)
            looked_at += len(sight.containers)
            if looked_at > _BREATH:
                looked_at = 0
                await deferLater(self.clock, 0)
        return found

    async def examine(self, found: Sequence[Orphan], claims: Claims) -> list[Verdict]:
        """Return what the database says when it is asked once more about each of the orphans."""
        operations = [orphan.operation_id for orphan in found if orphan.kind is Kind.CONTAINER]
        known = await self.persister.known_operations(operations)
        verdicts = []
        for orphan in found:
            evidence = Evidence(
                instance=await self.persister.instance(orphan.instance_id),
                last=await self.persister.last_operation(orphan.instance_id),
                is_known=orphan.operation_id in known,
            )
            verdicts.append(verdict(orphan, evidence, claims))
        return verdicts

    async def _refusal(
        self, known: list[Orphan], old: list[Orphan], world: World, claims: Claims, cluster_id: str
    ) -> str | None:
        """Return why nothing may be removed in this pass."""
        if not self.forced and (why := excess(known, world.values())) is not None:
            return why
        # All that are confirmed are examined: one that is still young may show that the database is wrong.
        examined = old if self.forced else known
        for orphan, found in zip(examined, await self.examine(examined, claims), strict=True):
            if found is Verdict.REMOVE or (self.forced and found in DOUBTS):
                continue
            return f"the {orphan.kind.value} {orphan.id} on {_name(orphan)} {found.value}"
        if await self.persister.cluster_id() != cluster_id:
            return "the database is not the one that it was"
        return None

    async def _remove(self, old: list[Orphan], world: World) -> list[Removal]:
        removals = []
        # Volumes last, since the containers that use them go first.
        for orphan in sorted(old, key=lambda one: one.kind is Kind.VOLUME):
            try:
                await self._tell(orphan, Result.BEGUN)
                await self._remove_one(orphan)
            except BrokerError as error:
                self._log.warn("removing {what}: {why}", what=orphan.id, why=error.description)
                await self._tell_end(orphan, Result.FAILED, error.description)
                continue
            await self._tell_end(orphan, Result.SUCCEEDED)
            removal = self._removal(orphan, old, world)
            removals.append(removal)
            self._log.info(
                "removed the {kind} {what} of {instance} on {host}, which nobody owns",
                kind=orphan.kind.value,
                what=orphan.id,
                instance=orphan.instance_id,
                host=_name(orphan),
                removal=removal,
            )
        return removals

    async def _tell(self, orphan: Orphan, result: Result, detail: str = "") -> None:
        """Write into the audit log what is removed."""
        name = f"{orphan.kind.value} {orphan.id} on {_name(orphan)}"
        entry = AuditEntry(
            action="reap",
            subject=orphan.instance_id,
            origin=self.origin,
            result=result,
            detail=f"{name}: {detail}" if detail else name,
        )
        await self.persister.write_audit(entry)

    async def _tell_end(self, orphan: Orphan, result: Result, detail: str = "") -> None:
        """Write into the audit log what has come of it, which must not keep the others from being removed."""
        try:
            await self._tell(orphan, result, detail)
        except BrokerError as error:
            self._log.warn("the audit log misses {what}: {why}", what=orphan.id, why=error.description)

    async def _remove_one(self, orphan: Orphan) -> None:
        engine = self.engines(orphan.host)
        if orphan.kind is Kind.CONTAINER:
            # By its id, never by its name: that may belong to another one by now.
            await engine.remove(orphan.id, grace=STOP_GRACE)
        else:
            await engine.remove_volume(orphan.id)

    def _removal(self, orphan: Orphan, old: list[Orphan], world: World) -> Removal:
        is_container = orphan.kind is Kind.CONTAINER
        sight = world[place_of(orphan.host.key)]
        totals = [len(one.containers if is_container else one.volumes) for one in world.values()]
        return Removal(
            orphan=orphan,
            name=sight.containers[orphan.id].name if is_container else orphan.id,
            generation=sight.containers[orphan.id].generation if is_container else None,
            sighting=self._sightings[orphan.key],
            at=self.clock.seconds(),
            count=sum(one.kind is orphan.kind for one in old),
            total=sum(totals),
            forced=self.forced,
        )


def _name(orphan: Orphan) -> str:
    return orphan.host.key.service_host
