"""Which hosts may take an instance, why others may not, and which ports it gets there."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from attrs import define, field, frozen

from dockerbroker.errors import NoCapacity, NoPort
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.dispatchers import Candidate
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport, HostState
from dockerbroker.model.plans import PlacementRules
from dockerbroker.model.reservations import NOTHING, THOUSANDTHS, UNLIMITED, Most, Reserved, reserved_by
from dockerbroker.model.vitals import Vitals

T = TypeVar("T")

#: Returns a random selection of that many of the items, in random order (`random.Random.sample`).
Sample = Callable[[Sequence[T], int], list[T]]

#: Nothing is placed on a host that has less of its disk left, in bytes.
LEAST_DISK: Final = 256 * 1024**2
#: How many hosts' own words are told when all have refused.
_MOST_WORDS: Final = 3
_MIB: Final = 1024**2

#: What stands in the way, of one host and of several.
Hindrance = tuple[str, str]
_RETURNING: Final = ("is being checked after its return", "are being checked after their return")
_SILENT: Final = ("sent no ping lately", "sent no ping lately")
_INACTIVE: Final = ("is set inactive", "are set inactive")
_CORDONED: Final = ("is cordoned", "are cordoned")
_CONTENDED: Final = ("is claimed by two agents", "are claimed by two agents")
_TROUBLE: Final = ("has trouble with its Docker", "have trouble with their Docker")
_NEIGHBOUR: Final = (
    "has an instance of the service for this space",
    "have an instance of the service for this space",
)
_NO_DISK: Final = ("has no disk space left", "have no disk space left")
#: What a host may answer when it is asked.
NO_PORT: Final = ("has no free port", "have no free port")
NO_ANSWER: Final = ("does not answer", "do not answer")
REFUSED: Final = ("refused it", "refused it")
#: What a host is no other than.
SAME: Final = ("is the one that it is on", "are the one that it is on")


@frozen(kw_only=True)
class Overcommit:
    """How many times a host's memory and its processors may be reserved."""

    memory: float = 1.0
    cpus: float = 4.0

    def most(self, vitals: Vitals) -> Most:
        """Return what may be reserved on a host in all; without limit what its agent does not tell."""
        return Most(memory=self.most_memory(vitals), cpus=self.most_cpus(vitals))

    def most_memory(self, vitals: Vitals) -> int:
        """Return how much memory may be reserved, in bytes."""
        return UNLIMITED if vitals.memory_total is None else int(vitals.memory_total * self.memory)

    def most_cpus(self, vitals: Vitals) -> int:
        """Return how many processors may be reserved, in thousandths."""
        return UNLIMITED if vitals.cpus is None else int(vitals.cpus * self.cpus * THOUSANDTHS)


@define(eq=False)
class Hindrances:
    """Why hosts do not take an instance: each is counted once, the first thing that stands in its way."""

    hosts: int
    _counts: Counter[Hindrance] = field(factory=Counter, init=False)
    _words: list[str] = field(factory=list, init=False)

    def add(self, hindrance: Hindrance, words: str = "") -> None:
        """Count one more host, with its own words, if it has any."""
        self._counts[hindrance] += 1
        if words and words not in self._words:
            self._words.append(words)

    def refusal(self) -> NoCapacity:
        """Return the error that tells how many hosts there are, and what stands in the way of how many."""
        if not self.hosts:
            return NoCapacity("No Docker host is available: no agent has registered with the broker yet.")
        counts = [f"{count} {words[count > 1]}" for words, count in self._counts.items()]
        hosts = "host" if self.hosts == 1 else "hosts"
        sentences = [f"No Docker host is available: of {self.hosts} Docker {hosts} {_listed(counts)}."]
        sentences += self._words[:_MOST_WORDS]
        if len(self._words) > _MOST_WORDS:
            sentences.append(f"{len(self._words) - _MOST_WORDS} more say something else.")
        return NoCapacity(" ".join(sentences))


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


@frozen(kw_only=True)
class Demand:
    """What an instance wants of its host: what it will reserve but for its ports, labels, and distance."""

    reserved: Reserved = NOTHING
    labels: Mapping[str, str] = field(factory=dict)
    rules: PlacementRules = field(factory=PlacementRules)


def demand(definition: ImageDefinition) -> Demand:
    """Return what an instance of the definition's plan wants of its host."""
    exists = definition.container_name is not None
    return Demand(
        reserved=NOTHING if exists else reserved_by(definition.plan.options),
        labels=definition.wanted_labels,
        rules=definition.plan.placement,
    )


@frozen(kw_only=True)
class Place:
    """A Docker host as a place for instances, as far as it is the same for all of them.

    `hindrance` is why nothing at all may be placed on it. One that is `is_doubtful` is tried after all
    others: a ping of it is missing, its Docker could not be used lately, or it has no free port. What is left
    of its memory (bytes) and its processors (thousandths) may be negative.
    """

    candidate: Candidate
    hindrance: Hindrance | None = None
    is_doubtful: bool = False
    memory_left: float = UNLIMITED
    cpus_left: float = UNLIMITED


def place_at(report: HostReport, reserved: Reserved, overcommit: Overcommit) -> Place:
    """Return what place a host is that is so, and of which that is reserved."""
    host, vitals = report.host, report.vitals or Vitals()
    return Place(
        candidate=Candidate(host=host, vitals=vitals, reserved=reserved),
        hindrance=_hindrance(report),
        is_doubtful=report.is_doubtful or reserved.ports >= len(host.ports),
        memory_left=_memory_left(vitals, reserved, overcommit),
        cpus_left=_cpus_left(vitals, reserved, overcommit),
    )


def candidates(
    places: Iterable[Place], wanted: Demand, neighbours: Mapping[HostKey, int], hindrances: Hindrances
) -> list[Place]:
    """Return the places that may take an instance with that demand; what hinders others is counted.

    `neighbours` are the instances from which it shall be apart.
    """
    found = []
    is_particular = bool(neighbours or wanted.labels)
    for place in places:
        hindrance = place.hindrance
        if hindrance is None and is_particular:
            host = place.candidate.host
            hindrance = _mismatch(host, wanted, neighbours.get(host.key, 0))
        if hindrance is None:
            hindrance = _shortage(place, wanted.reserved)
        if hindrance is None:
            found.append(place)
        else:
            hindrances.add(hindrance)
    return found


def in_turn(
    ordered: Iterable[Candidate], doubtful: Collection[HostKey], neighbours: Mapping[HostKey, int]
) -> list[Candidate]:
    """Return the candidates in the dispatcher's order, but for those that are tried only for want of others.

    Last are those that are doubtful, and before them those with neighbours, the more the later.
    """

    def doubts(candidate: Candidate) -> tuple[bool, int]:
        key = candidate.host.key
        return key in doubtful, neighbours.get(key, 0)

    return sorted(ordered, key=doubts) if doubtful or neighbours else list(ordered)


def misfit(host: DockerHost, wanted: Demand, neighbours: int) -> str | None:
    """Return a sentence when an instance that is there may not become one with that demand."""
    hindrance = _mismatch(host, wanted, neighbours)
    return None if hindrance is None else f"The Docker host {host.key.service_host} {hindrance[0]}."


def _mismatch(host: DockerHost, wanted: Demand, neighbours: int) -> Hindrance | None:
    """Return why the host is no place for such an instance, however much is left of it."""
    for name, value in wanted.labels.items():
        if host.labels.get(name) != value:
            return f"lacks the label {name}={value}", f"lack the label {name}={value}"
    return _NEIGHBOUR if neighbours and wanted.rules.is_alone else None


def _hindrance(report: HostReport) -> Hindrance | None:
    """Return why nothing at all may be placed on the host."""
    if report.is_usable:
        return _NO_DISK if _is_disk_full(report.vitals) else None
    if report.state is HostState.RETURNING:
        return _RETURNING
    if not report.is_alive:
        return _SILENT
    if not report.host.is_active:
        return _INACTIVE
    if report.is_cordoned:
        return _CORDONED
    return _CONTENDED if report.is_contended else _TROUBLE


def _is_disk_full(vitals: Vitals | None) -> bool:
    return vitals is not None and vitals.disk_free is not None and vitals.disk_free < LEAST_DISK


def _shortage(place: Place, wanted: Reserved) -> Hindrance | None:
    """Return of what the host has not enough left."""
    if wanted.memory and place.memory_left < wanted.memory:
        amount = f"less than {wanted.memory / _MIB:.4g} MB of memory left"
        return f"has {amount}", f"have {amount}"
    if wanted.cpus and place.cpus_left < wanted.cpus:
        amount = f"less than {wanted.cpus / THOUSANDTHS:g} processors left"
        return f"has {amount}", f"have {amount}"
    return None


def _memory_left(vitals: Vitals, reserved: Reserved, overcommit: Overcommit) -> float:
    left: float = overcommit.most_memory(vitals) - reserved.memory
    if vitals.memory_free is None:
        return left
    return min(left, vitals.memory_free * overcommit.memory)


def _cpus_left(vitals: Vitals, reserved: Reserved, overcommit: Overcommit) -> float:
    """Return how many thousandths of a processor one container can have; no more than there are."""
    left = overcommit.most_cpus(vitals) - reserved.cpus
    return left if vitals.cpus is None else min(left, vitals.cpus * THOUSANDTHS)


def choose_ports(
    host: DockerHost,
    wanted: Sequence[str],
    leased: Collection[int],
    sample: Sample[int],
    blocked: Collection[int] = (),
    resting: Sequence[int] = (),
) -> dict[str, int]:
    """Return a free port of the host for each container port such as `6379/tcp`, at random.

    On those that are `blocked` something else listens. Those that are `resting` were given back lately, and a
    stale client of the former instance would reach the new one: they are chosen only for want of others, from
    the beginning. Raises `NoPort` when the range has too few free ports.
    """
    taken = {*leased, *blocked}.intersection(host.ports)
    if (free := len(host.ports) - len(taken)) < len(wanted):
        others = sum(port in blocked for port in host.ports)
        why = f", and {others} in use by something else than service instances" if others else ""
        raise NoPort(
            f"The Docker host {host.key.service_host} has no free port: {len(wanted)} wanted, "
            f"{free} of {host.ports.start} to {host.ports.stop - 1} free{why}."
        )
    passed_over = taken.union(resting)
    # Nothing is listed where all are free: the range may have thousands.
    fresh = [port for port in host.ports if port not in passed_over] if passed_over else host.ports
    chosen = sample(fresh, min(len(wanted), len(fresh)))
    rested = [port for port in resting if port in host.ports and port not in taken]
    chosen += rested[: len(wanted) - len(chosen)]
    return dict(zip(wanted, chosen, strict=True))
