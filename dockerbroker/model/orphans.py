"""What bears the cluster's label and belongs to nobody, and when that may be removed.

Removing cannot be undone, so everything in here asks why not. The reasons stand in
docs/decisions/0011-the-reaper.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final

from attrs import field, frozen

from dockerbroker.model.containers import container_name, is_volume_name
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Operation, OperationKind, Phase, ServiceInstance
from dockerbroker.model.world import PASSES, HostSight, Place, Sight, VolumeSight, World, is_settled, place_of

#: How long something must have been seen without an owner before it is removed, in seconds.
GRACE: Final = 60.0
#: What may be removed in one pass: so many, or this share of what there is, whichever is more.
LEAST_CAP: Final = 3
SHARE: Final = 0.1


#: By what an orphan is known from pass to pass.
OrphanKey = tuple[str, Place | None]


class Kind(Enum):
    """What can be without an owner."""

    CONTAINER = "container"
    VOLUME = "volume"


@frozen(kw_only=True)
class Orphan:
    """A container or volume without an owner; `id` is the container's id or the volume's name.

    `operation_id` is what the container's label names, `users` are the containers that use the volume.
    """

    kind: Kind
    id: str
    host: DockerHost
    instance_id: str
    operation_id: str = ""
    users: frozenset[str] = frozenset()

    @property
    def key(self) -> OrphanKey:
        """What it is known by: ids of containers are unique everywhere, names of volumes on one host."""
        return self.id, None if self.kind is Kind.CONTAINER else place_of(self.host.key)


@frozen(kw_only=True)
class Sighting:
    """Since when, by the broker's own clock, and in how many passes in succession an orphan was seen."""

    first: float
    passes: int


#: What is remembered of orphans from pass to pass.
Sightings = Mapping[OrphanKey, Sighting]


@frozen(kw_only=True)
class Claims:
    """What rows lay claim to.

    `instances` are the ids of all rows, `containers` all containers that rows name. `settled` are the
    instances that no operation changes, and whose own container was seen. `homes` are the places of those of
    them whose container runs: what volumes they have elsewhere a move has left.
    """

    instances: AbstractSet[str] = frozenset()
    containers: AbstractSet[str] = frozenset()
    settled: AbstractSet[str] = frozenset()
    homes: Mapping[str, Place] = field(factory=dict)


def claims_of(rows: Iterable[ServiceInstance], busy: AbstractSet[str], world: World) -> Claims:
    """Return what these rows lay claim to; `busy` are the instances that an operation holds."""
    instances, containers, settled = set(busy), set(), set()
    homes: dict[str, Place] = {}
    for instance in rows:
        instances.add(instance.id)
        containers |= _named(instance)
        sight = world.get(place_of(instance.host))
        own = None if sight is None else sight.containers.get(instance.container_id or "")
        if own is not None and instance.owns_container and is_settled(instance, busy):
            settled.add(instance.id)
            if own.running:
                homes[instance.id] = place_of(instance.host)
    return Claims(instances=instances, containers=containers, settled=settled, homes=homes)


def merged(parts: Iterable[Claims]) -> Claims:
    """Return all that these lay claim to."""
    every = list(parts)
    return Claims(
        instances=frozenset().union(*(one.instances for one in every)),
        containers=frozenset().union(*(one.containers for one in every)),
        settled=frozenset().union(*(one.settled for one in every)),
        homes={instance_id: place for one in every for instance_id, place in one.homes.items()},
    )


def _named(instance: ServiceInstance) -> set[str]:
    """Return the ids of the containers that the row names: its own, and that of an update in progress."""
    both = (instance, instance.successor)
    return {one.container_id for one in both if one is not None and one.container_id is not None}


def orphans(sight: HostSight, claims: Claims, cluster_id: str) -> list[Orphan]:
    """Return what the host has without an owner.

    A container must bear the name that its labels give it, and no row may name it. When its instance exists,
    that must be settled, with its own container there: what is beside it is left over. So is a volume of an
    instance whose container runs elsewhere, which it does not where that is seen, too: one engine may have
    several addresses.
    """
    own = {one.instance_id for one in sight.containers.values() if one.id in claims.containers}
    found = [
        Orphan(
            kind=Kind.CONTAINER,
            id=one.id,
            host=sight.host,
            instance_id=one.instance_id,
            operation_id=one.operation_id,
        )
        for one in sight.containers.values()
        if one.id not in claims.containers and bears_its_name(one, cluster_id) and _is_free(one, claims)
    ]
    return found + [
        Orphan(kind=Kind.VOLUME, id=one.name, host=sight.host, instance_id=one.instance_id, users=one.users)
        for one in sight.volumes
        if one.instance_id and _is_left(one, sight, claims, own) and is_volume_name(one.name, cluster_id)
    ]


def _is_left(volume: VolumeSight, sight: HostSight, claims: Claims, own: AbstractSet[str]) -> bool:
    """Whether the volume's instance is gone, or lives on another host; `own` are those that live here."""
    if volume.instance_id not in claims.instances:
        return True
    home = claims.homes.get(volume.instance_id)
    return volume.instance_id not in own and home is not None and home != place_of(sight.host.key)


def bears_its_name(sight: Sight, cluster_id: str) -> bool:
    """Whether the container has the name that the broker gives to this instance's generation.

    One that was made from a copy of a container bears the labels, but cannot bear the name.
    """
    if not sight.instance_id or sight.generation is None:
        return False
    return sight.name == container_name(cluster_id, sight.instance_id, sight.generation)


def _is_free(sight: Sight, claims: Claims) -> bool:
    return sight.instance_id not in claims.instances or sight.instance_id in claims.settled


def sighted(found: Iterable[Orphan], before: Sightings, now: float) -> Sightings:
    """Return what is to be remembered of these orphans; whatever was not seen this time is forgotten."""
    seen: dict[OrphanKey, Sighting] = {}
    for orphan in found:
        earlier = before.get(orphan.key, Sighting(first=now, passes=0))
        seen[orphan.key] = Sighting(first=earlier.first, passes=earlier.passes + 1)
    return seen


def confirmed(found: Iterable[Orphan], sightings: Sightings) -> list[Orphan]:
    """Return each of the orphans once that was seen in enough passes in succession."""
    unique = {orphan.key: orphan for orphan in found}
    return [orphan for key, orphan in unique.items() if sightings[key].passes >= PASSES]


def ripe(found: Iterable[Orphan], sightings: Sightings, now: float, grace: float) -> list[Orphan]:
    """Return those of the confirmed orphans that are older than the grace by first sight.

    A volume must be used by nobody but containers that go in the same pass.
    """
    old = [orphan for orphan in found if now - sightings[orphan.key].first > grace]
    going = {orphan.id for orphan in old if orphan.kind is Kind.CONTAINER}
    return [orphan for orphan in old if orphan.users <= going]


def cap(total: int) -> int:
    """Return how many of so many containers, or volumes, may be removed in one pass."""
    return max(LEAST_CAP, int(total * SHARE))


def excess(found: Sequence[Orphan], world: Iterable[HostSight]) -> str | None:
    """Return why so many orphans are suspicious, None when they are few enough.

    Those whose grace has not passed count as well, or a database that is wrong would empty the hosts slowly.
    """
    sights = list(world)
    totals = {
        Kind.CONTAINER: len({one for sight in sights for one in sight.containers}),
        Kind.VOLUME: sum(len(sight.volumes) for sight in sights),
    }
    for kind, total in totals.items():
        count = sum(orphan.kind is kind for orphan in found)
        if count > cap(total):
            return (
                f"{count} of {total} {kind.value}s have no owner in the database, "
                f"and at most {cap(total)} would be removed at once"
            )
    return None


@frozen(kw_only=True)
class Evidence:
    """What the database says when it is asked once more about an orphan.

    `instance` is the instance that the labels name, if it exists, and `last` the operation that was begun on
    it last. `is_known` is whether the database knows the operation that the container's label names.
    """

    instance: ServiceInstance | None
    last: Operation | None
    is_known: bool = True


class Verdict(Enum):
    """Whether an orphan may be removed, or how the database contradicts itself or the world."""

    REMOVE = "may be removed"
    CHANGED = "was told of differently when the database was asked twice"
    UNKNOWN = "was made by an operation of which the database knows nothing"
    UNTOLD = "belonged to an instance of whose end the database knows nothing"


#: What nobody but an operator can answer.
DOUBTS: Final = (Verdict.UNKNOWN, Verdict.UNTOLD)


def verdict(orphan: Orphan, evidence: Evidence, claims: Claims) -> Verdict:
    """Return whether the orphan may be removed by what the database says when it is asked once more.

    A database that was restored from a copy, emptied or exchanged does not know the operation that made the
    container, or does not know how its instance ended.
    """
    instance = evidence.instance
    if (instance is None) == (orphan.instance_id in claims.instances):
        return Verdict.CHANGED
    if instance is not None and (orphan.id in _named(instance) or not is_settled(instance, frozenset())):
        return Verdict.CHANGED
    if instance is not None and orphan.kind is Kind.VOLUME and place_of(instance.host) == orphan.key[1]:
        return Verdict.CHANGED
    if orphan.kind is Kind.CONTAINER and not evidence.is_known:
        return Verdict.UNKNOWN
    if instance is None and not tells_the_end(evidence.last):
        return Verdict.UNTOLD
    return Verdict.REMOVE


def tells_the_end(last: Operation | None) -> bool:
    """Whether this is the operation by which an instance ended."""
    if last is None:
        return False
    ends = {(OperationKind.DEPROVISION, Phase.SUCCEEDED), (OperationKind.PROVISION, Phase.FAILED)}
    return (last.kind, last.phase) in ends


@frozen(kw_only=True)
class Removal:
    """A removal that was done, for the log and for whoever checks it.

    `sighting` is since when the orphan was seen, `at` the time of the removal by the same clock. `name` and
    `generation` are the container's. `count` of `total` containers, or volumes, went in that pass; `forced`
    is whether an operator has said so.
    """

    orphan: Orphan
    name: str
    generation: int | None
    sighting: Sighting
    at: float
    count: int
    total: int
    forced: bool
