"""Which containers are made service instances again after a database was lost, and what their records become.

What Docker knows of an instance is its container: ids and generation are in its labels, ports and volumes in
its configuration. Who asked for it, with what parameters, and what `/provision` answered, nobody knows.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum

from attrs import evolve, frozen

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.audit import command
from dockerbroker.model.catalog import LONGEST_NAME, ImageDefinition, chosen
from dockerbroker.model.containers import (
    LABEL_PLAN,
    LABEL_SERVICE,
    LABEL_SPEC,
    Container,
    container_spec,
    is_volume_name,
    spec_hash,
)
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import (
    Change,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceInstance,
    Step,
)
from dockerbroker.model.orphans import bears_its_name, tells_the_end
from dockerbroker.model.world import Sight, is_settled, place_of, sight_of


@frozen(kw_only=True)
class Seen:
    """A container that bears the cluster's label, and the host that has it."""

    host: DockerHost
    container: Container

    @property
    def sight(self) -> Sight:
        """What its labels say."""
        return sight_of(self.container)

    @property
    def instance_id(self) -> str:
        """The instance that its labels name, empty if none."""
        return self.sight.instance_id

    @property
    def operation_id(self) -> str:
        """The operation that has made it, empty if none."""
        return self.sight.operation_id

    @property
    def generation(self) -> int:
        """The generation that its labels name, 0 if none."""
        return self.sight.generation or 0


@frozen(kw_only=True)
class Record:
    """What the database says of an instance; `last` is the operation that was begun on it last."""

    instance: ServiceInstance | None = None
    last: Operation | None = None


class Reason(Enum):
    """Why a container is left as it is."""

    COPY = "does not bear the name that follows from its labels: it is a copy, or somebody's own"
    ENDED = "belonged to an instance that was deleted; brokers remove it"
    BESIDE = "stands beside the container of its instance; brokers remove it, or dockerbroker reap --force"
    CHANGING = "belongs to an instance on which an operation is at work or has failed; wait or delete it"
    ELSEWHERE = "belongs to an instance that has its record on another host"
    OLDER = "is older than the container of its instance, which is gone"
    EXISTING = "has a plan whose service is now a container that exists already"


#: Those by which an instance is left without a record, or with a wrong one.
LOSSES = frozenset({Reason.CHANGING, Reason.ELSEWHERE, Reason.OLDER, Reason.EXISTING})


@frozen(kw_only=True)
class Left:
    """A container that is not adopted, and why, as the end of a sentence.

    `is_loss` is whether its instance goes without a record for that, or with one that is wrong.
    """

    seen: Seen
    why: str
    is_loss: bool

    @classmethod
    def because(cls, seen: Seen, reason: Reason) -> "Left":
        """Return that the container is left for this reason."""
        return cls(seen=seen, why=reason.value, is_loss=reason in LOSSES)


@frozen(kw_only=True)
class Candidates:
    """What may be adopted, one container for each instance, and what is left."""

    wanted: tuple[Seen, ...] = ()
    left: tuple[Left, ...] = ()


def candidates(
    seen: Iterable[Seen], records: Mapping[str, Record], known: AbstractSet[str], cluster_id: str
) -> Candidates:
    """Return which containers may be adopted.

    `records` has one for each instance that the labels name; `known` are the operations that the database
    knows, of those that the labels name.

    Of several containers of an instance it is the highest generation that runs, and if none runs the lowest:
    an update that came to its end has removed that one.
    """
    everything = list(seen)
    present = {one.container.id for one in everything}
    groups: dict[str, list[Seen]] = {}
    left = []
    for one in everything:
        if _is_at_work(one, records.get(one.instance_id, Record())):
            continue
        if bears_its_name(one.sight, cluster_id) and len(one.instance_id) <= LONGEST_NAME:
            groups.setdefault(one.instance_id, []).append(one)
        else:
            left.append(Left.because(one, Reason.COPY))
    wanted = []
    for instance_id, group in sorted(groups.items()):
        record = records.get(instance_id, Record())
        first, *others = sorted(group, key=_preference)
        named = _named(record.instance) & present
        if named:
            left += [Left.because(one, Reason.BESIDE) for one in group if one.container.id not in named]
            continue
        reason = _obstacle(first, record, known)
        if reason is None:
            wanted.append(first)
        else:
            others.insert(0, first)
        left += [Left.because(one, reason or Reason.BESIDE) for one in others]
    return Candidates(wanted=tuple(wanted), left=tuple(left))


def _preference(seen: Seen) -> tuple[bool, int, object]:
    running = seen.container.running
    return (not running, -seen.generation if running else seen.generation, seen.host.key)


def _is_at_work(seen: Seen, record: Record) -> bool:
    """Whether the container was made by the operation that holds the instance now, which knows about it."""
    return record.instance is not None and seen.operation_id == record.instance.operation_id


def _named(instance: ServiceInstance | None) -> set[str | None]:
    """Return the containers that the record names: the instance's own, and that of an update in progress."""
    both = (instance, instance.successor if instance is not None else None)
    return {one.container_id for one in both if one is not None}


def _obstacle(seen: Seen, record: Record, known: AbstractSet[str]) -> Reason | None:
    instance = record.instance
    if instance is None:
        is_told = seen.operation_id in known and tells_the_end(record.last)
        return Reason.ENDED if is_told else None
    if not is_settled(instance, frozenset()):
        return Reason.CHANGING
    is_elsewhere = place_of(instance.host) != place_of(seen.host.key)
    if is_elsewhere and not (seen.container.running and seen.generation > instance.generation):
        # One that has moved runs in a container of a later generation.
        return Reason.ELSEWHERE
    return Reason.OLDER if seen.generation < instance.generation else None


@frozen(kw_only=True)
class Adoption:
    """An instance that gets a record again, or a new one that fits its container.

    `remark` tells what is strange about it, as the end of a sentence.
    """

    seen: Seen
    instance: ServiceInstance
    is_renewal: bool = False
    remark: str = ""


def adopted(
    seen: Seen, former: ServiceInstance | None, images: Iterable[ImageDefinition], cluster_id: str
) -> Adoption | Left:
    """Return what becomes of a container that was looked at by itself, by what the catalog offers now.

    `former` is the record that the instance has, of which is kept what Docker does not know.
    """
    labels, container = seen.container.labels, seen.container
    try:
        definition = chosen(images, labels.get(LABEL_SERVICE, ""), labels.get(LABEL_PLAN, ""))
    except InvalidRequest as error:
        why = f"has a plan that is not in the catalog; put it there and run this again. {error.description}"
        return Left(seen=seen, why=why, is_loss=True)
    if definition.container_name is not None:
        return Left.because(seen, Reason.EXISTING)
    former_or_new = former or _blank(seen, definition)
    has_moved = place_of(former_or_new.host) != place_of(seen.host.key)
    instance = evolve(
        former_or_new,
        definition=definition,
        host=seen.host.key if has_moved else former_or_new.host,
        moves=former_or_new.moves + (1 if has_moved else 0),
        generation=seen.generation,
        container_id=container.id,
        ports=container.configured,
        volumes=_volumes(container, cluster_id),
        state=InstanceState.READY,
        successor=None,
    )
    return Adoption(
        seen=seen,
        instance=instance,
        is_renewal=former is not None,
        remark="" if _is_as_described(seen, instance, cluster_id) else _CHANGED,
    )


def _blank(seen: Seen, definition: ImageDefinition) -> ServiceInstance:
    """Return the record of an instance of which only Docker knows."""
    return ServiceInstance(
        id=seen.instance_id,
        definition=definition,
        organization_guid="",
        space_guid="",
        host=seen.host.key,
        created_at=seen.container.created_at,
    )


_CHANGED = "its plan is not what it was when the container was made"


def _volumes(container: Container, cluster_id: str) -> dict[str, str]:
    """Return the container's volumes that outlive it: the others have no name of ours."""
    found = sorted(container.volumes.items())
    return {path: name for path, name in found if is_volume_name(name, cluster_id)}


def _is_as_described(seen: Seen, instance: ServiceInstance, cluster_id: str) -> bool:
    """Whether the container is what would be made of the record."""
    described = container_spec(cluster_id, instance, recorded(instance, seen.operation_id, 0.0).operation)
    return seen.container.labels.get(LABEL_SPEC) == spec_hash(described)


def recorded(instance: ServiceInstance, operation_id: str, now: float, *, is_renewal: bool = False) -> Change:
    """Return the change that records the instance, by an operation that is over; `now` is since 1970."""
    operation = Operation(
        id=operation_id,
        kind=OperationKind.UPDATE if is_renewal else OperationKind.PROVISION,
        instance_id=instance.id,
        step=Step.KEEP,
        phase=Phase.SUCCEEDED,
        created_at=now,
        step_at=now,
        finished_at=now,
        origin=command("adopt"),
    )
    return Change(operation=operation, instance=instance)
