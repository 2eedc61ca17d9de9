"""What the calls of a persister cost in a large database, beside what they cost in a small one."""

from collections.abc import Awaitable, Callable, Mapping
from itertools import count, islice
from random import Random
from statistics import median
from time import perf_counter
from typing import Any, Final, cast

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, gatherResults

from benchmarks.backends import Section, apart, backend, opened, with_reactor
from benchmarks.filling import made_instances, provision_of
from benchmarks.sides import Sides
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Change, Operation, OperationKind, Phase, ServiceInstance, Step
from dockerbroker.persisters.interfaces import IPersister

#: How many instances the two databases have, each with its last operation and a port.
SMALL: Final = 100
LARGE: Final = 100_000
#: How often each call is made in a round.
_CALLS: Final = 30
#: Instances of a host that both databases have, and operations under way.
_HERE: Final = 50
_UNDER_WAY: Final = 10
_PAGE: Final = 100
_FILLING_AT_ONCE: Final = 32
_OWNER: Final = "benchmark/1"
_HOST: Final = HostKey(service_host="here", docker_host="here", docker_port=2375)
#: Longer than the benchmark takes, in seconds.
_LONG: Final = 1e6

Queries = Mapping[str, Sides]


def measure(driver: str, rounds: int) -> Queries | None:
    """Measure seconds of each call; None when there is no such server."""
    with backend(driver) as new_database:
        if new_database is None:
            return None
        return apart(_compare, new_database(), new_database(), rounds)


def _compare(large: Section, small: Section, rounds: int) -> Queries:
    async def work(reactor: Any) -> Queries:
        sides = [
            await _filled(await opened(reactor, section), size)
            for section, size in ((large, LARGE), (small, SMALL))
        ]
        return {name: await _in_turn(sides, name, rounds) for name in sides[0].calls}

    return cast("Queries", with_reactor(work))


async def _in_turn(sides: list["_Filled"], name: str, rounds: int) -> Sides:
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        both = list(zip(taken, sides, strict=True))
        for seconds, side in both if number % 2 else reversed(both):
            one = await side.seconds(name)
            if number:  # the first round warms both up
                seconds.append(one)
    return Sides(*taken)


async def _filled(persister: IPersister, size: int) -> "_Filled":
    ids = await _fill(persister, size)
    for number in range(_HERE):
        await persister.begin(_over(_here(number)), owner=_OWNER, ttl=_LONG, within=_LONG)
    for number in range(_UNDER_WAY):
        await persister.begin(_begun(f"under way {number}"), owner=_OWNER, ttl=_LONG, within=_LONG)
    return _Filled(persister, ids)


async def _fill(persister: IPersister, size: int) -> list[str]:
    """Let there be so many instances, each by an operation that is over at once; returns some ids."""
    ids: list[str] = []
    instances = made_instances(size)

    async def client() -> None:
        for instance in instances:
            await persister.begin(_over(instance), owner=_OWNER, ttl=_LONG, within=_LONG)
            ids.append(instance.id)

    await gatherResults([Deferred.fromCoroutine(client()) for _ in range(_FILLING_AT_ONCE)])
    return Random(1).sample(ids, min(SMALL, size))  # noqa: S311 (nothing secret)


def _over(instance: ServiceInstance) -> Change:
    return Change(operation=provision_of(instance), instance=instance)


def _here(number: int) -> ServiceInstance:
    [plain] = islice(made_instances(1), 1)
    return evolve(
        plain,
        id=f"here-{number}",
        host=_HOST,
        ports={"1/tcp": 20000 + number},
        last_operation_id=f"here-{number}",
    )


def _begun(name: str) -> Change:
    [plain] = islice(made_instances(1), 1)
    operation = Operation(
        id=name, kind=OperationKind.PROVISION, instance_id=name, binding_id=None, step=Step.CREATE
    )
    return Change(operation=operation, instance=evolve(plain, id=name, host=_HOST, ports={}))


@define(eq=False)
class _Filled:
    """A database with instances, some of whose ids are known, and calls of its persister by their names."""

    persister: IPersister
    _ids: list[str]
    _random: Random = field(factory=lambda: Random(2))  # noqa: S311 (nothing secret)
    _numbers: Any = field(factory=count)

    async def seconds(self, name: str) -> float:
        """Return the seconds of one call, the median of many."""
        taken = []
        for _ in range(_CALLS):
            await self._prepare(name)
            started = perf_counter()
            await self.calls[name]()
            taken.append(perf_counter() - started)
        return median(taken)

    @property
    def calls(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """The calls whose cost is measured."""
        persister = self.persister
        return {
            "instance": lambda: persister.instance(self._some()),
            "last_operation": lambda: persister.last_operation(self._some()),
            "instances, a page": lambda: persister.instances("8", _PAGE),
            "leased_ports": lambda: persister.leased_ports(_HOST),
            "operations, unfinished": lambda: persister.operations(unfinished=True, limit=100),
            "claim, one": lambda: persister.claim("another/1", ttl=_LONG),
            "renew": lambda: persister.renew(_OWNER, ttl=_LONG),
            "forget, two": lambda: persister.forget(1e12, 2),
        }

    def _some(self) -> str:
        return self._random.choice(self._ids)

    async def _prepare(self, name: str) -> None:
        """Let there be what the call is to find."""
        new = f"{name} {next(self._numbers)}"
        if name == "claim, one":
            await self.persister.begin(_begun(new), owner="nobody/1", ttl=-1, within=_LONG)
        elif name == "forget, two":
            begun = await self.persister.begin(_begun(new), owner=_OWNER, ttl=_LONG, within=_LONG)
            await self.persister.commit(Change(operation=begun.over(Phase.FAILED, 1.0), remove_instance=True))
            begun = await self.persister.begin(_begun(f"{new} again"), owner=_OWNER, ttl=_LONG, within=_LONG)
            await self.persister.commit(Change(operation=begun.over(Phase.FAILED, 1.0), remove_instance=True))
