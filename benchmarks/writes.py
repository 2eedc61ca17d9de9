"""How many writes of operations a database takes, many at once, beside what its bare driver writes."""

from collections.abc import Callable, Sequence
from itertools import count
from time import perf_counter
from typing import Any, Final, cast
from uuid import UUID, uuid4

from attrs import define, frozen
from twisted.internet.defer import Deferred, gatherResults

from benchmarks.backends import Section, apart, backend, configuration_of, opened, with_reactor
from benchmarks.bare_writes import Bare, Timing, bare
from benchmarks.filling import HOSTS
from benchmarks.sides import Sides
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Change, Operation, OperationKind, Phase, ServiceInstance, Step
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.sql import SqlPersister
from tests.asking import REDIS

#: How many clients write at once, and how many pairs of writes each of them makes in a round.
CLIENTS: Final = 16
_PAIRS: Final = 40

_numbers = count()
#: Of this process alone, so that its ports are free.
_HOST: Final = uuid4().hex


@frozen
class Writes:
    """Writes per second, and the milliseconds that one of a hundred exceeds."""

    rate: Sides
    slow: Sides


def measure(driver: str, rounds: int) -> Writes | None:
    """Measure the broker's persister and the bare driver in turn; None when there is no such server."""
    with backend(driver) as new_database:
        if new_database is None:
            return None
        return apart(_compare, new_database(), rounds)


def measure_groups(rounds: int) -> Writes:
    """Measure SQLite as it is, and the same when each write is a transaction of its own."""
    with backend("sqlite") as new_database:
        assert new_database is not None
        return apart(_compare_groups, new_database(), rounds)


def _compare(section: Section, rounds: int) -> Writes:
    async def work(reactor: Any) -> Writes:
        persister = await opened(reactor, section)
        driver: Bare = bare(reactor, configuration_of(section), CLIENTS)
        return await _in_turn(rounds, lambda: _write(persister), lambda: driver.write(CLIENTS, _PAIRS))

    return cast("Writes", with_reactor(work))


def _compare_groups(section: Section, rounds: int) -> Writes:
    async def work(reactor: Any) -> Writes:
        persister = cast("SqlPersister", await opened(reactor, section))
        alone = SqlPersister(cast("Any", _OneByOne(persister.database)), persister.run)
        return await _in_turn(rounds, lambda: _write(persister), lambda: _write(alone))

    return cast("Writes", with_reactor(work))


@define(eq=False)
class _OneByOne:
    """A database that does not write anything together."""

    _database: Any
    write_all: None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


async def _in_turn(rounds: int, ours: Callable[[], Any], theirs: Callable[[], Any]) -> Writes:
    timings: tuple[list[Timing], list[Timing]] = ([], [])
    for number in range(rounds + 1):
        sides = [(timings[0], ours), (timings[1], theirs)]
        for taken, write in sides if number % 2 else reversed(sides):
            timing = await write()
            if number:  # the first round warms both up
                taken.append(timing)
    return Writes(*(Sides(*[[read(one) for one in taken] for taken in timings]) for read in (_rate, _slow)))


def _rate(timing: Timing) -> float:
    return timing.rate


def _slow(timing: Timing) -> float:
    return timing.slow


async def _write(persister: IPersister) -> Timing:
    prepared = [[_provision() for _ in range(_PAIRS)] for _ in range(CLIENTS)]
    started = perf_counter()
    each: Sequence[list[float]] = await gatherResults(
        [Deferred.fromCoroutine(_client(persister, changes)) for changes in prepared]
    )
    return Timing(perf_counter() - started, [one for some in each for one in some])


async def _client(persister: IPersister, changes: Sequence[Change]) -> list[float]:
    """Begin and end operations, as a broker does that provisions."""
    each = []
    for change in changes:
        started = perf_counter()
        begun = await persister.begin(change, owner="benchmark/1", ttl=15, within=600)
        each.append(perf_counter() - started)
        over = Change(operation=begun.over(Phase.SUCCEEDED, begun.created_at))
        started = perf_counter()
        await persister.commit(over)
        each.append(perf_counter() - started)
    return each


def _provision() -> Change:
    number = next(_numbers)
    name = f"{_HOST}-{number % HOSTS}"
    instance = ServiceInstance(
        id=str(uuid4()),
        definition=REDIS,
        organization_guid=str(UUID(int=1)),
        space_guid=str(UUID(int=2)),
        host=HostKey(service_host=name, docker_host=name, docker_port=2375),
        context={"platform": "cloudfoundry", "instance_name": f"redis-{number}"},
        ports={"6379/tcp": 20000 + number // HOSTS},
    )
    operation = Operation(
        id=uuid4().hex,
        kind=OperationKind.PROVISION,
        instance_id=instance.id,
        binding_id=None,
        step=Step.CREATE,
    )
    return Change(operation=operation, instance=instance)
