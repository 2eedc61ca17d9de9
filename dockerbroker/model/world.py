"""Rows compared with what was observed of Docker: what is to be started, and what is to be told.

Nothing in here knows a clock: `now` is the comparing broker's own monotonic time, in seconds.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final

from attrs import evolve, field, frozen

from dockerbroker.model.containers import (
    LABEL_GENERATION,
    LABEL_INSTANCE,
    LABEL_OPERATION,
    Container,
    Volume,
)
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import InstanceState, ServiceInstance

#: In how many passes in succession something must be seen before anything is done about it.
PASSES: Final = 2
#: How often a container that does not stay up is started before it is left alone.
MOST_STARTS: Final = 5
#: How long to wait after the first start of such a container, in seconds; it doubles from start to start.
START_PAUSE: Final = 30.0
#: How long a container must be seen to run until its starts are forgotten, in seconds.
WELL_AFTER: Final = 600.0

#: What a container ends with that was killed: by the kernel when it needs more memory than its plan gives it.
KILLED: Final = 137

#: Where a Docker Engine is reached; hosts of several names may share one.
Place = tuple[str, int]


def place_of(key: HostKey) -> Place:
    """Return where the host's Docker is reached."""
    return key.docker_host, key.docker_port


@frozen(kw_only=True)
class Sight:
    """What a pass remembers of a container that bears the cluster's label.

    The ids are what its labels say, empty or None where they say nothing that can be read.
    """

    id: str
    name: str
    instance_id: str = ""
    operation_id: str = ""
    generation: int | None = None
    running: bool = False
    paused: bool = False
    exit_code: int = 0


@frozen(kw_only=True)
class VolumeSight:
    """What a pass remembers of a volume that bears the cluster's label; `users` are ids of containers."""

    name: str
    instance_id: str = ""
    users: frozenset[str] = frozenset()


@frozen(kw_only=True)
class HostSight:
    """What was seen of one host; `complaint` tells why it did not answer, and then nothing was seen."""

    host: DockerHost
    containers: Mapping[str, Sight] = field(factory=dict)
    volumes: tuple[VolumeSight, ...] = ()
    complaint: str | None = None


#: What was seen of all hosts, by where their Docker is reached.
World = Mapping[Place, HostSight]


def host_sight(host: DockerHost, containers: Iterable[Container], volumes: Iterable[Volume]) -> HostSight:
    """Return what a pass remembers of a host that has answered."""
    users: dict[str, set[str]] = {}
    sights = {}
    for container in containers:
        sights[container.id] = sight_of(container)
        for name in container.volumes.values():
            users.setdefault(name, set()).add(container.id)
    remembered = tuple(
        VolumeSight(
            name=volume.name,
            instance_id=volume.labels.get(LABEL_INSTANCE, ""),
            users=frozenset(users.get(volume.name, ())),
        )
        for volume in volumes
    )
    return HostSight(host=host, containers=sights, volumes=remembered)


def sight_of(container: Container) -> Sight:
    """Return what a pass remembers of a container."""
    generation = container.labels.get(LABEL_GENERATION, "")
    return Sight(
        id=container.id,
        name=container.name,
        instance_id=container.labels.get(LABEL_INSTANCE, ""),
        operation_id=container.labels.get(LABEL_OPERATION, ""),
        generation=int(generation) if generation.isascii() and generation.isdigit() else None,
        running=container.running,
        paused=container.paused,
        exit_code=container.exit_code,
    )


class Trouble(Enum):
    """How an instance is not as it should be; the sentence is for operators, after the host's name."""

    NO_HOST = "The Docker host {host} is not known: its agent has never reached this broker."
    SILENT = "The Docker host {host} does not answer."
    MISSING = "Its container is missing on the Docker host {host}: somebody has removed it."
    STOPPED = (
        "Its container on the Docker host {host} has stopped with status {status}, and does not stay up when "
        "it is started."
    )
    PAUSED = "Its container on the Docker host {host} is paused."


@frozen(kw_only=True)
class Standing:
    """What a broker remembers of an instance from pass to pass.

    `passes` counts how often in succession the trouble was seen; `starts` how often its container was
    started, at last at `started_at`. What is well, since `well_since`, has no trouble, but may have starts.
    """

    trouble: Trouble | None = None
    passes: int = 0
    starts: int = 0
    started_at: float = 0.0
    well_since: float | None = None


@frozen(kw_only=True)
class Start:
    """Start the instance's container."""

    instance_id: str
    host: DockerHost
    container_id: str


@frozen(kw_only=True)
class Note:
    """Record what was observed of the instance; None when it is as it should be."""

    instance_id: str
    condition: str | None


Action = Start | Note


@frozen(kw_only=True)
class Judgement:
    """What is to be done about some instances, and what to remember of them."""

    actions: tuple[Action, ...] = ()
    standings: Mapping[str, Standing] = field(factory=dict)


def plan_rows(
    rows: Iterable[ServiceInstance],
    busy: AbstractSet[str],
    world: World,
    standings: Mapping[str, Standing],
    conditions: Mapping[str, str],
    now: float,
) -> Judgement:
    """Return what is to be done about these instances, of which the world was seen before they were read.

    `busy` are the ids of instances that an operation holds; they, and all that are not ready, are left alone.
    `conditions` are the sentences on record.
    """
    actions: list[Action] = []
    remembered: dict[str, Standing] = {}
    for instance in rows:
        if not is_settled(instance, busy):
            continue
        before = standings.get(instance.id, Standing())
        standing = _stood(before, trouble_of(instance, world), now)
        if _is_to_start(instance, standing, world, now):
            standing = evolve(standing, starts=standing.starts + 1, started_at=now)
            actions.append(_start(instance, world))
        if standing != Standing():
            remembered[instance.id] = standing
        note = _note(instance, before, standing, world, conditions.get(instance.id))
        actions += [] if note is None else [note]
    return Judgement(actions=tuple(actions), standings=remembered)


def is_settled(instance: ServiceInstance, busy: AbstractSet[str]) -> bool:
    """Whether the instance is ready and no operation is changing it, so that it can be compared."""
    held = instance.operation_id is not None or instance.id in busy
    return instance.state is InstanceState.READY and not held


def trouble_of(instance: ServiceInstance, world: World) -> Trouble | None:
    """Return how the instance differs from what was seen, None if it does not.

    Of a container that is not the broker's own nothing is seen, and nothing is asked.
    """
    sight = world.get(place_of(instance.host))
    if sight is None:
        return Trouble.NO_HOST
    if sight.complaint is not None:
        return Trouble.SILENT
    if not instance.owns_container:
        return None
    container = sight.containers.get(instance.container_id or "")
    if container is None:
        return Trouble.MISSING
    if container.paused:
        return Trouble.PAUSED
    return None if container.running else Trouble.STOPPED


def _stood(before: Standing, trouble: Trouble | None, now: float) -> Standing:
    if trouble is not None:
        passes = before.passes + 1 if before.trouble is trouble else 1
        return evolve(before, trouble=trouble, passes=passes, well_since=None)
    since = now if before.well_since is None else before.well_since
    if before.starts == 0 or now - since >= WELL_AFTER:
        return Standing()
    return evolve(before, trouble=None, passes=0, well_since=since)


def _is_to_start(instance: ServiceInstance, standing: Standing, world: World, now: float) -> bool:
    if standing.trouble is not Trouble.STOPPED or standing.passes < PASSES:
        return False
    if not _is_meant_to_run(instance, world) or standing.starts >= MOST_STARTS:
        return False
    return standing.starts == 0 or now - standing.started_at >= START_PAUSE * 2 ** (standing.starts - 1)


def _is_meant_to_run(instance: ServiceInstance, world: World) -> bool:
    """Whether the plan leaves it to Docker that the container runs, which ends when somebody stops it."""
    policy = instance.plan.options.restart
    if policy == "on-failure":
        return world[place_of(instance.host)].containers[instance.container_id or ""].exit_code != 0
    return policy != "no"


def _start(instance: ServiceInstance, world: World) -> Start:
    assert instance.container_id is not None, "what was seen has an id"
    host = world[place_of(instance.host)].host
    return Start(instance_id=instance.id, host=host, container_id=instance.container_id)


def _note(
    instance: ServiceInstance, before: Standing, standing: Standing, world: World, told: str | None
) -> Note | None:
    trouble = standing.trouble
    if trouble is None:
        return None if told is None else Note(instance_id=instance.id, condition=None)
    if standing.passes < PASSES:
        return None
    if trouble is Trouble.STOPPED and before.starts == 0 and _is_meant_to_run(instance, world):
        # It is started now; whether that helps, the next pass tells.
        return None
    sentence = _sentence(trouble, instance, world)
    return None if sentence == told else Note(instance_id=instance.id, condition=sentence)


def _sentence(trouble: Trouble, instance: ServiceInstance, world: World) -> str:
    sentence: str = trouble.value
    host = instance.host.service_host
    if trouble is not Trouble.STOPPED:
        return sentence.format(host=host)
    status = world[place_of(instance.host)].containers[instance.container_id or ""].exit_code
    why = " It was killed, as for want of memory." if status == KILLED else ""
    return sentence.format(host=host, status=status) + why
