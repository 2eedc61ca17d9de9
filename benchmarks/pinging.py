"""Agents that ping at their times, whatever becomes of their earlier pings, and what became of all."""

import time
from collections.abc import Awaitable, Callable
from random import Random
from statistics import median, quantiles
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from benchmarks.filling import docker_hosts
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.vitals import Ping, Vitals
from dockerbroker.persisters.interfaces import IPersister

#: By it each ping tells its turn.
_FIRST_PORT: Final = 20000
_GIB: Final = 1024**3

#: Sends a ping of the agent with that number, and returns when it was answered.
Send = Callable[[int, Ping], Awaitable[object]]


@frozen(kw_only=True)
class Crowd:
    """So many agents, each of which pings once in an interval for so long, both in seconds.

    The interval that they tell may be longer, so that no host is dead after a pause between two rounds.
    """

    agents: int = 1000
    keep_alive: float = 1.0
    seconds: float = 5.0
    told_keep_alive: float = 86400.0

    @property
    def pings(self) -> int:
        """How many pings all of them send."""
        return round(self.agents * self.seconds / self.keep_alive)


@frozen(kw_only=True)
class Pinged:
    """Milliseconds than which half and 99 of 100 pings were faster, and seconds of a processor for each.

    The processor's time is that of the process that was to be measured. `lost` counts the hosts of which
    something older is stored than the last acknowledged ping. It may be newer: a ping that was given up may
    still have been stored.
    """

    middle: float
    slow: float
    processor: float
    failed: int
    lost: int = 0

    @property
    def verdict(self) -> str:
        """Whether all pings were stored."""
        return verdict(self.failed, self.lost)


def verdict(failed: int, lost: int) -> str:
    """Say whether all pings were stored."""
    return "all stored" if not failed and not lost else f"{failed} failed, {lost} lost"


def told(host: DockerHost, session: str, turn: int, random: Random) -> Ping:
    """Return a ping that tells as much as an agent does, and of the host something new at each turn."""
    return Ping(
        host=evolve(host, portbind_min=_FIRST_PORT + turn, portbind_max=30000),
        vitals=Vitals(
            session=session,
            sequence=turn,
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


@define(eq=False)
class _Agents:
    """What became of the pings: how long each took, and the last turn of each host that was acknowledged."""

    crowd: Crowd
    send: Send
    hosts: list[DockerHost] = field(init=False)
    session: str = field(factory=lambda: uuid4().hex)
    taken: list[float] = field(factory=list)
    failed: int = 0
    acknowledged: dict[HostKey, int] = field(factory=dict)
    _random: Random = field(factory=lambda: Random(1))  # noqa: S311 (nothing secret)

    def __attrs_post_init__(self) -> None:
        """Make the hosts."""
        hosts = docker_hosts(self.crowd.agents)
        self.hosts = [evolve(host, keep_alive=self.crowd.told_keep_alive) for host in hosts]

    async def ping(self, number: int, turn: int) -> None:
        """Let an agent ping."""
        ping = told(self.hosts[number], self.session, turn, self._random)
        started = perf_counter()
        try:
            await self.send(number, ping)
        except Exception as error:  # noqa: BLE001 (whatever it is, the agent has no answer)
            self.failed += 1
            print(f"a ping failed: {error}")
            return
        self.taken.append(perf_counter() - started)
        key = ping.host.key
        self.acknowledged[key] = max(turn, self.acknowledged.get(key, -1))

    async def lost(self, persister: IPersister) -> int:
        """Return of how many hosts something older is stored than what was acknowledged last."""
        stored = {report.host.key: _turn(report.host) for report in await persister.hosts()}
        return sum(stored.get(key, -1) < turn for key, turn in self.acknowledged.items())


async def ping_all(
    reactor: Any,
    crowd: Crowd,
    send: Send,
    persister: IPersister | None,
    spent: Callable[[], float] = time.process_time,
) -> Pinged:
    """Let all agents ping; with a persister it is looked what is stored then.

    `spent` returns the processor's time of the process that is measured, in seconds.
    """
    agents, processor, started = _Agents(crowd, send), spent(), reactor.seconds()
    sent = []
    for count in range(crowd.pings):
        if (wait := started + count * crowd.keep_alive / crowd.agents - reactor.seconds()) > 0:
            await deferLater(reactor, wait)
        turn, number = divmod(count, crowd.agents)
        sent.append(Deferred.fromCoroutine(agents.ping(number, turn)))
    await gatherResults(sent)
    processor = spent() - processor
    return Pinged(
        middle=1000 * median(agents.taken),
        slow=1000 * quantiles(agents.taken, n=100)[-1],
        processor=processor / len(sent),
        failed=agents.failed,
        lost=0 if persister is None else await agents.lost(persister),
    )


def _turn(host: DockerHost) -> int:
    return host.portbind_min - _FIRST_PORT
