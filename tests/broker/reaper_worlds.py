"""Random worlds for the reaper: rows, containers and volumes, and what of them must go or must stay."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any, Final

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dockerbroker.broker.reaping import Reaped, Reaper
from dockerbroker.errors import EngineUnreachable, Unavailable
from dockerbroker.model.audit import AuditEntry
from dockerbroker.model.containers import container_name, volume_name
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import (
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceInstance,
    Step,
)
from dockerbroker.model.orphans import claims_of, merged
from dockerbroker.model.world import HostSight, Place, Sight, VolumeSight, place_of
from tests.model.values import CLUSTER, EXISTING, instance

HOSTS: Final = [
    DockerHost(key=HostKey(service_host=f"10.0.0.{number}", docker_host=f"d-{number}", docker_port=2375))
    for number in range(3)
]
#: A container's id, or a volume's name with the place of its host.
Thing = str | tuple[str, Place]


def seeded(seed: int) -> Random:
    """Return random numbers that are the same every time."""
    return Random(seed)  # noqa: S311 (nothing secret is made of them)


@define(eq=False)
class Docker:
    """The part of `IEngine` that removes, on a host of a random world."""

    world: RandomWorld
    host: DockerHost
    reachable: bool = True

    async def remove(self, container_id: str, *, grace: float) -> None:
        """Remove a container, if it is there."""
        assert grace >= 0
        self._require()
        self.world.removed.append(container_id)
        self.world.containers[place_of(self.host.key)].pop(container_id, None)

    async def remove_volume(self, name: str) -> None:
        """Remove a volume, if it is there."""
        self._require()
        self.world.removed.append((name, place_of(self.host.key)))
        self.world.volumes[place_of(self.host.key)].pop(name, None)

    def _require(self) -> None:
        if not self.reachable:
            raise EngineUnreachable("The host went away.")


@define(eq=False)
class RandomWorld:
    """What the database and the hosts hold; it is the part of `IPersister` that the reaper asks.

    `doomed` is what must go once it is old enough, `sacred` what must stay whatever happens.
    """

    random: Random
    cluster: str = CLUSTER
    clock: Clock = field(factory=Clock)
    rows: dict[str, ServiceInstance] = field(factory=dict)
    last: dict[str, Operation] = field(factory=dict)
    known: set[str] = field(factory=set)
    containers: dict[Place, dict[str, Sight]] = field(factory=dict)
    volumes: dict[Place, dict[str, str]] = field(factory=dict)
    users: dict[str, set[str]] = field(factory=dict)
    doomed: set[Thing] = field(factory=set)
    sacred: set[Thing] = field(factory=set)
    removed: list[Thing] = field(factory=list)
    told: list[AuditEntry] = field(factory=list)
    is_deaf: bool = False
    _numbers: int = 0

    async def write_audit(self, entry: AuditEntry) -> None:
        """Remember what is told of a removal."""
        if self.is_deaf:
            raise Unavailable("The database is away.")
        self.told.append(entry)

    def __attrs_post_init__(self) -> None:
        """Give the world its hosts, which have nothing yet."""
        for host in HOSTS:
            self.containers[place_of(host.key)] = {}
            self.volumes[place_of(host.key)] = {}

    def reaper(self, **options: Any) -> Reaper:
        """Return a reaper of this world."""
        dockers: Any = lambda host: Docker(self, host)  # noqa: E731 (a callable, as the real one)
        persister: Any = self
        return Reaper(persister, dockers, self.clock, **options)

    # What it is made of.

    def name(self, prefix: str) -> str:
        """Return a name that nothing else has."""
        self._numbers += 1
        return f"{prefix}-{self._numbers}"

    def row(self, host: DockerHost, **members: Any) -> ServiceInstance:
        """Add an instance without a container."""
        settings = {"id": self.name("i"), "host": host.key, "container_id": None, "ports": {}}
        row = instance(**{**settings, **members})
        self.rows[row.id] = row
        return row

    def container(self, host: DockerHost, instance_id: str, generation: int = 1, **members: Any) -> str:
        """Add a container of an instance, made by an operation that the database knows; return its id."""
        operation = self.name("o")
        self.known.add(operation)
        name = container_name(CLUSTER, instance_id, generation)
        sight = Sight(
            id=self.name("c"),
            name=name,
            instance_id=instance_id,
            operation_id=operation,
            generation=generation,
            running=True,
        )
        sight = evolve(sight, **members)
        self.containers[place_of(host.key)][sight.id] = sight
        return sight.id

    def volume(self, host: DockerHost, instance_id: str, user: str | None = None) -> tuple[str, Place]:
        """Add a volume of an instance, which that container uses; return what it is known by."""
        name = volume_name(CLUSTER, instance_id, "data")
        self.volumes[place_of(host.key)][name] = instance_id
        self.users.setdefault(name, set()).update({user} if user else ())
        return name, place_of(host.key)

    def ended(self, instance_id: str, kind: OperationKind, phase: Phase) -> None:
        """Let this be the last operation of the instance."""
        self.last[instance_id] = Operation(
            id=self.name("o"), kind=kind, instance_id=instance_id, step=Step.REMOVE, phase=phase
        )

    def gone(self) -> str:
        """Return the id of an instance of whose end the database tells."""
        instance_id = self.name("i")
        ends = [(OperationKind.DEPROVISION, Phase.SUCCEEDED), (OperationKind.PROVISION, Phase.FAILED)]
        self.ended(instance_id, *self.random.choice(ends))
        return instance_id

    # What happens.

    def look(self, silent: Iterable[DockerHost] = ()) -> dict[Place, HostSight]:
        """Return what is seen of the hosts; the silent ones do not answer."""
        quiet = {place_of(host.key) for host in silent}
        world = {}
        for host in HOSTS:
            place = place_of(host.key)
            there = self.containers[place]
            volumes = tuple(
                VolumeSight(
                    name=name,
                    instance_id=owner,
                    users=frozenset(self.users.get(name, set()) & set(there)),
                )
                for name, owner in self.volumes[place].items()
            )
            world[place] = HostSight(host=host, containers=dict(there), volumes=volumes)
            if place in quiet:
                world[place] = HostSight(host=host, complaint="It sleeps.")
        return world

    def reap(self, reaper: Reaper, after: float = 30.0, silent: Iterable[DockerHost] = ()) -> Reaped:
        """Do a pass."""
        self.clock.advance(after)
        return self.reap_seen(reaper, self.look(silent))

    def reap_seen(self, reaper: Reaper, world: dict[Place, HostSight]) -> Reaped:
        """Do a pass now, on what was seen."""
        rows = list(self.rows.values())
        claims = merged(claims_of(page, frozenset(), world) for page in (rows[:4], rows[4:]))
        outcome: list[Reaped] = []
        Deferred.fromCoroutine(reaper.reap(world, claims, CLUSTER)).addCallback(outcome.append)
        return outcome[0]

    # What the database says.

    async def cluster_id(self) -> str:
        """Return the database's identifier."""
        return self.cluster

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the row."""
        return self.rows.get(instance_id)

    async def last_operation(self, instance_id: str) -> Operation | None:
        """Return the last operation."""
        return self.last.get(instance_id)

    async def known_operations(self, operation_ids: Iterable[str]) -> frozenset[str]:
        """Return those that are known."""
        return frozenset(self.known.intersection(operation_ids))


def random_world(random: Random) -> RandomWorld:
    """Return a world of up to forty things."""
    world = RandomWorld(random)
    makers = (
        [_owned] * 4
        + [_gone] * 3
        + [_stale, _moved, _moving, _updating, _copy, _failed, _lost, _nameless, _existing]
    )
    for _ in range(random.randrange(12)):
        random.choice(makers)(world, random.choice(HOSTS))
    return world


def _owned(world: RandomWorld, host: DockerHost) -> None:
    row = world.row(host)
    container = world.container(host, row.id)
    world.rows[row.id] = evolve(row, container_id=container)
    world.sacred |= {container, world.volume(host, row.id, container)}


def _gone(world: RandomWorld, host: DockerHost) -> None:
    instance_id = world.gone()
    container = None
    if world.random.random() < 0.8:
        container = world.container(host, instance_id, world.random.randrange(1, 4))
        world.doomed.add(container)
    if container is None or world.random.random() < 0.5:
        world.doomed.add(world.volume(host, instance_id, container))


def _stale(world: RandomWorld, host: DockerHost) -> None:
    row = world.row(host, generation=3)
    own = world.container(host, row.id, 3)
    world.rows[row.id] = evolve(row, container_id=own)
    world.sacred |= {own, world.volume(host, row.id, own)}
    world.doomed.add(world.container(world.random.choice(HOSTS), row.id, 2))


def _moved(world: RandomWorld, host: DockerHost) -> None:
    """An instance that has moved, and left what it had on a host that did not answer."""
    row = world.row(host, generation=2, moves=1)
    own = world.container(host, row.id, 2)
    world.rows[row.id] = evolve(row, container_id=own)
    world.sacred |= {own, world.volume(host, row.id, own)}
    former = world.random.choice([one for one in HOSTS if one is not host])
    left = world.container(former, row.id, 1, running=False)
    world.doomed |= {left, world.volume(former, row.id, left)}


def _moving(world: RandomWorld, host: DockerHost) -> None:
    """An instance on its way: nothing of it is touched on either host."""
    row = world.row(host, operation_id=world.name("o"), state=InstanceState.UPDATING)
    other = world.random.choice([one for one in HOSTS if one is not host])
    own, its = world.container(host, row.id, 1), world.container(other, row.id, 2)
    successor = evolve(row, generation=2, host=other.key, container_id=world.random.choice([None, its]))
    world.rows[row.id] = evolve(row, container_id=own, successor=successor)
    world.sacred |= {own, its, world.volume(host, row.id, own), world.volume(other, row.id, its)}


def lives_elsewhere(world: RandomWorld, owner: str, place: Place) -> bool:
    """Whether the owner of a volume is an instance that is well on another host."""
    row = world.rows[owner]
    there = world.containers[place_of(row.host)].get(row.container_id or "")
    is_well = row.operation_id is None and row.state is InstanceState.READY and row.owns_container
    return there is not None and there.running and is_well and place_of(row.host) != place


def _updating(world: RandomWorld, host: DockerHost) -> None:
    row = world.row(host, operation_id=world.name("o"), state=InstanceState.UPDATING)
    own, other = world.container(host, row.id, 1), world.container(host, row.id, 2)
    successor = evolve(row, generation=2, container_id=world.random.choice([None, other]))
    world.rows[row.id] = evolve(row, container_id=own, successor=successor)
    world.sacred |= {own, other, world.container(host, row.id, 7), world.volume(host, row.id)}


def _copy(world: RandomWorld, host: DockerHost) -> None:
    """Somebody runs an image that was made of a container: it has the labels, but not the name."""
    instance_id = world.random.choice([*world.rows, world.gone()])
    copy = world.container(host, instance_id, name=world.name("jolly_turing"))
    world.sacred |= {copy, world.volume(host, instance_id, copy)}


def _failed(world: RandomWorld, host: DockerHost) -> None:
    row = world.row(host, state=InstanceState.FAILED)
    world.sacred |= {world.container(host, row.id, 1), world.container(host, row.id, 2)}
    world.sacred.add(world.volume(host, row.id))


def _lost(world: RandomWorld, host: DockerHost) -> None:
    """The container that the row names is missing; what else there is of the instance stays."""
    row = world.row(host, container_id="c-lost", generation=2)
    world.sacred |= {world.container(host, row.id, 1), world.volume(host, row.id)}


def _nameless(world: RandomWorld, host: DockerHost) -> None:
    """A label is missing, so that the name says nothing."""
    instance_id = world.gone()
    container = world.container(host, instance_id)
    there = world.containers[place_of(host.key)]
    missing: dict[str, Any] = world.random.choice([{"generation": None}, {"instance_id": ""}])
    there[container] = evolve(there[container], **missing)
    world.sacred.add(container)


def _existing(world: RandomWorld, host: DockerHost) -> None:
    row = world.row(host, definition=EXISTING)
    container = world.container(host, row.id)
    world.rows[row.id] = evolve(row, container_id=container)
    world.sacred |= {container, world.container(host, row.id, 2)}
