"""How long it takes to decide on which of many hosts an instance is made, in large databases."""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from random import Random
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final, cast

from attrs import evolve, frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, gatherResults

from benchmarks.backends import Section, apart, backend, opened, with_reactor
from benchmarks.filling import docker_hosts, insert_instances, insert_sums, made_instances, provision_of
from benchmarks.pinging import told
from benchmarks.sides import Sides
from dockerbroker.broker.fleet import FleetView
from dockerbroker.broker.placing import Placing
from dockerbroker.model.dispatchers import SpreadDispatcher
from dockerbroker.model.instances import Change
from dockerbroker.model.plans import ContainerOptions
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.sql import SqlPersister
from tests.asking import REDIS

#: How many hosts there are, and instances on them.
HOSTS: Final = 1000
LARGE: Final = 100_000
SMALL: Final = 1000
#: So many hosts have pinged again between two looks of a broker, twice a second, with an interval of 5 s.
_PINGED: Final = HOSTS // 10
_CALLS: Final = 20
_ROWS_AT_ONCE: Final = 2000
_LONG: Final = 60.0
_FILLING_AT_ONCE: Final = 32
_GIB: Final = 1024**3
[_PLAN] = REDIS.plans
_LIMITED: Final = evolve(REDIS, plans=(evolve(_PLAN, options=ContainerOptions(memory=_GIB // 4, cpus=0.1)),))


@frozen(kw_only=True)
class Placements:
    """Seconds to choose a host by what was seen lately, to look at all hosts, and to choose after a look.

    The first are given of the processor, too.
    """

    choosing: Sides
    processor: Sides
    looking: Sides
    anew: Sides


def measure(driver: str, rounds: int, sizes: tuple[int, int] = (LARGE, SMALL)) -> Placements | None:
    """Measure a large database beside a small one; None when there is no such server."""
    with backend(driver) as new_database:
        if new_database is None:
            return None
        return apart(_compare, [new_database() for _ in sizes], sizes, rounds)


def _compare(sections: list[Section], sizes: tuple[int, int], rounds: int) -> Placements:
    async def work(reactor: Any) -> Placements:
        placings = [_placing(reactor, await opened(reactor, section)) for section in sections]
        for placing, size in zip(placings, sizes, strict=True):
            await _fill(placing.persister, size)
        taken: list[list[_Seconds]] = [[], []]
        for number in range(rounds + 1):
            for seconds, placing in zip(taken, placings, strict=True):
                one = await _seconds(placing, number)
                if number:  # the first round warms both up
                    seconds.append(one)
        return Placements(
            choosing=Sides(*[[one.choosing for one in side] for side in taken]),
            processor=Sides(*[[one.processor for one in side] for side in taken]),
            looking=Sides(*[[one.looking for one in side] for side in taken]),
            anew=Sides(*[[one.anew for one in side] for side in taken]),
        )

    return cast("Placements", with_reactor(work))


def _placing(reactor: Any, persister: IPersister) -> Placing:
    sample = Random(1).sample  # noqa: S311 (nothing secret)
    view = FleetView(persister, reactor)
    return Placing(persister, view, cast("Any", None), SpreadDispatcher(), sample, reactor)


@frozen(kw_only=True)
class _Seconds:
    choosing: float
    processor: float
    looking: float
    anew: float


async def _seconds(placing: Placing, number: int) -> _Seconds:
    """Return the middle of many calls; before each, agents have pinged as they do between two looks."""
    choosing, processor, looking, anew = [], [], [], []
    for call in range(1, _CALLS + 1):
        turn = 2 * (number * _CALLS + call)
        await placing.persister.record_pings(_pings(turn)[:_PINGED])
        looking.append(await _taken(placing.view.look()))
        spent = process_time()
        choosing.append(await _taken(_choose(placing)))
        processor.append(process_time() - spent)
        await placing.persister.record_pings(_pings(turn + 1)[:_PINGED])
        placing.view.distrust()
        anew.append(await _taken(_choose(placing)))
    return _Seconds(
        choosing=median(choosing), processor=median(processor), looking=median(looking), anew=median(anew)
    )


async def _choose(placing: Placing) -> None:
    _, found = await placing.hosts(_LIMITED, "space")
    assert len(found) == HOSTS, "every host has room"


async def _taken(work: Awaitable[object]) -> float:
    started = perf_counter()
    await work
    return perf_counter() - started


def _pings(turn: int) -> list[Ping]:
    random = Random(turn)  # noqa: S311 (nothing secret)
    hosts = docker_hosts(HOSTS)
    random.shuffle(hosts)
    return [told(host, "benchmark", turn, random) for host in hosts]


async def _write(persister: SqlPersister, query: Callable[[Connection], None]) -> None:
    deadline = persister.database.seconds() + _LONG
    await persister.run(partial(persister.database.write, query, deadline=deadline))


async def _fill(persister: IPersister, size: int) -> None:
    """Let all hosts ping, and so many instances be on them."""
    await persister.record_pings(_pings(0))
    await persister.observe()
    made = made_instances(size, HOSTS)
    if isinstance(persister, SqlPersister):
        while some := list(islice(made, _ROWS_AT_ONCE)):
            await _write(persister, partial(insert_instances, some=some))
        await _write(persister, partial(insert_sums, count=size, places=HOSTS))
        return

    async def client() -> None:
        for instance in made:
            change = Change(operation=provision_of(instance), instance=instance)
            await persister.begin(change, owner="benchmark", ttl=15, within=600)

    await gatherResults([Deferred.fromCoroutine(client()) for _ in range(_FILLING_AT_ONCE)])
