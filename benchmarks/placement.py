"""How long it takes to decide on which of many hosts an instance is made, in large databases."""

from random import Random
from time import perf_counter
from typing import Any, Final, cast

from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults

from benchmarks.backends import Section, apart, backend, opened, with_reactor
from benchmarks.filling import docker_hosts, made_instances, provision_of
from benchmarks.sides import Sides
from dockerbroker.broker.placing import Placing
from dockerbroker.model.dispatchers import SpreadDispatcher
from dockerbroker.model.instances import Change
from dockerbroker.model.placement import Overcommit
from dockerbroker.model.plans import ContainerOptions
from dockerbroker.model.vitals import Ping, Vitals
from dockerbroker.persisters.interfaces import IPersister
from tests.asking import REDIS

#: How many hosts there are, and instances on them.
HOSTS: Final = 1000
LARGE: Final = 100_000
SMALL: Final = 1000
#: So many hosts have pinged again since the last placement, as they do in a second.
_PINGED: Final = HOSTS // 5
_CALLS: Final = 20
_FILLING_AT_ONCE: Final = 32
_GIB: Final = 1024**3
[_PLAN] = REDIS.plans
_LIMITED: Final = evolve(REDIS, plans=(evolve(_PLAN, options=ContainerOptions(memory=_GIB // 4, cpus=0.1)),))


def measure(driver: str, rounds: int) -> Sides | None:
    """Measure seconds until the first Docker would be asked; None when there is no such server."""
    with backend(driver) as new_database:
        if new_database is None:
            return None
        return apart(_compare, new_database(), new_database(), rounds)


def _compare(large: Section, small: Section, rounds: int) -> Sides:
    async def work(reactor: Any) -> Sides:
        persisters = [await opened(reactor, section) for section in (large, small)]
        for persister, size in zip(persisters, (LARGE, SMALL), strict=True):
            await _fill(persister, size)
        taken: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds + 1):
            for seconds, persister in zip(taken, persisters, strict=True):
                one = await _seconds(reactor, persister, number)
                if number:  # the first round warms both up
                    seconds.append(one)
        return Sides(*taken)

    return cast("Sides", with_reactor(work))


async def _seconds(reactor: Any, persister: IPersister, number: int) -> float:
    placing = Placing(
        persister,
        cast("Any", None),
        SpreadDispatcher(),
        Random(number).sample,  # noqa: S311
        reactor,
        Overcommit(),
    )
    total = 0.0
    for call in range(_CALLS):
        await persister.record_pings(_pings(number * _CALLS + call)[:_PINGED])
        started = perf_counter()
        _, found = await placing.hosts(_LIMITED, "space")
        total += perf_counter() - started
        assert len(found) == HOSTS, "every host has room"
    return total / _CALLS


def _pings(sequence: int) -> list[Ping]:
    random = Random(sequence)  # noqa: S311
    hosts = docker_hosts(HOSTS)
    random.shuffle(hosts)
    return [
        Ping(
            host=host,
            vitals=Vitals(
                session="benchmark",
                sequence=sequence,
                engine_id=host.key.service_host,
                engine_version="28.5.1",
                api_version="1.51",
                memory_total=256 * _GIB,
                memory_free=random.randrange(64 * _GIB, 200 * _GIB),
                cpus=64.0,
                load=random.uniform(0, 32),
                disk_total=1024 * _GIB,
                disk_free=512 * _GIB,
                containers=100,
            ),
        )
        for host in hosts
    ]


async def _fill(persister: IPersister, size: int) -> None:
    """Let all hosts ping, and so many instances be on them."""
    await persister.record_pings(_pings(0))
    await persister.observe()
    made = made_instances(size, HOSTS)

    async def client() -> None:
        for instance in made:
            change = Change(operation=provision_of(instance), instance=instance)
            await persister.begin(change, owner="benchmark", ttl=15, within=600)

    await gatherResults([Deferred.fromCoroutine(client()) for _ in range(_FILLING_AT_ONCE)])
