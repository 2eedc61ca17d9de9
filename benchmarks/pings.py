"""A thousand agents that ping once a second: how long they wait for answers, and whether all is stored."""

import json
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from itertools import cycle
from statistics import quantiles
from time import perf_counter
from typing import Any, Final, cast

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from benchmarks.backends import Section, apart, backend, opened, with_reactor
from benchmarks.memory_broker import filled_broker
from benchmarks.processes import cpu_seconds
from benchmarks.sides import Sides
from dockerbroker.broker.pings import Pings
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.pings import encode_ping
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters.interfaces import IPersister
from tests.pinging import ping
from tests.running import PASSWORD, USER

AGENTS: Final = 1000
#: How long they ping in a round, in seconds; one second is each agent's interval.
_SECONDS: Final = 5
#: By it each ping tells its turn.
_FIRST_PORT: Final = 20000

#: Sends a ping of a host, and returns when it was answered.
Send = Callable[[Ping], Awaitable[object]]


@frozen
class Pinged:
    """What 99 of 100 pings were faster than, in milliseconds, and seconds of the processor for one of them.

    `lost` counts the hosts of which something older is stored than the last acknowledged ping. It may be
    newer: a ping that was given up may still have been stored.
    """

    slow: float
    processor: float
    failed: int
    lost: int

    @property
    def verdict(self) -> str:
        """Whether all pings were stored."""
        return _verdict(self.failed, self.lost)


@frozen
class Together:
    """Pings that are stored together beside those that are each a write of its own."""

    slow: Sides
    processor: Sides
    failed: int
    lost: int

    @property
    def verdict(self) -> str:
        """Whether all pings were stored that are stored together."""
        return _verdict(self.failed, self.lost)


def _verdict(failed: int, lost: int) -> str:
    return "all stored" if not failed and not lost else f"{failed} failed, {lost} lost"


def measure(driver: str, rounds: int) -> Together | None:
    """Measure a persister; None when there is no such server."""
    with backend(driver) as new_database:
        if new_database is None:
            return None
        return apart(_compare, new_database(), rounds)


def measure_http(instances: int = 100) -> Pinged:
    """Measure a broker's process, to which the agents keep their connections."""
    with filled_broker(instances) as running:
        assert running.broker is not None
        before = cpu_seconds(running.broker.pid)
        database = {"driver": "sqlite", "database": str(running.folder / "broker.db")}
        pinged = apart(_over_http, running.port, database)
        spent = cpu_seconds(running.broker.pid) - before
    return evolve(pinged, processor=spent / (AGENTS * _SECONDS))


def _compare(section: Section, rounds: int) -> Together:
    async def work(reactor: Any) -> Together:
        persister = await opened(reactor, section)
        sides: tuple[list[Pinged], list[Pinged]] = ([], [])
        for number in range(rounds):
            both = [(sides[0], Pings(persister).record), (sides[1], _alone(persister))]
            for pinged, send in both if number % 2 else reversed(both):
                pinged.append(await _ping_all(reactor, send, persister))
        ours, theirs = sides
        return Together(
            slow=Sides([one.slow for one in ours], [one.slow for one in theirs]),
            processor=Sides([one.processor for one in ours], [one.processor for one in theirs]),
            failed=sum(one.failed for one in ours),
            lost=sum(one.lost for one in ours),
        )

    return cast("Together", with_reactor(work))


def _alone(persister: IPersister) -> Send:
    return lambda ping: persister.record_pings([ping])


@define(eq=False)
class _Agents:
    """What became of the pings: how long each took, and the last turn of each host that was acknowledged."""

    send: Send
    taken: list[float] = field(factory=list)
    failed: int = 0
    acknowledged: dict[HostKey, int] = field(factory=dict)

    async def ping(self, number: int, turn: int) -> None:
        """Let an agent ping; what it tells of its host is new at each turn."""
        name = f"agent-{number}.example.org"
        key = HostKey(service_host=name, docker_host=name, docker_port=2375)
        host = DockerHost(key=key, keep_alive=1.0, portbind_min=_FIRST_PORT + turn, portbind_max=30000)
        started = perf_counter()
        try:
            await self.send(ping(host))
        except Exception as error:  # noqa: BLE001 (whatever it is, the agent has no answer)
            self.failed += 1
            print(f"a ping failed: {error}")
            return
        self.taken.append(perf_counter() - started)
        self.acknowledged[key] = max(turn, self.acknowledged.get(key, -1))


async def _ping_all(reactor: Any, send: Send, persister: IPersister) -> Pinged:
    """Let all agents ping at their times, whatever becomes of earlier pings."""
    agents, processor, started = _Agents(send), time.process_time(), reactor.seconds()
    sent = []
    for count in range(AGENTS * _SECONDS):
        if (wait := started + count / AGENTS - reactor.seconds()) > 0:
            await deferLater(reactor, wait)
        sent.append(Deferred.fromCoroutine(agents.ping(count % AGENTS, count // AGENTS)))
    await gatherResults(sent)
    return Pinged(
        slow=1000 * quantiles(agents.taken, n=100)[-1],
        processor=(time.process_time() - processor) / len(sent),
        failed=agents.failed,
        lost=await _lost(persister, agents),
    )


def _turn(host: DockerHost) -> int:
    return host.portbind_min - _FIRST_PORT


async def _lost(persister: IPersister, agents: _Agents) -> int:
    stored = {report.host.key: _turn(report.host) for report in await persister.hosts()}
    return sum(stored.get(key, -1) < turn for key, turn in agents.acknowledged.items())


def _over_http(port: int, section: Section) -> Pinged:
    async def work(reactor: Any) -> Pinged:
        persister = await opened(reactor, section)
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port)
        connected = [await endpoint.connect(Factory.forProtocol(_Connection)) for _ in range(AGENTS)]
        connections = cycle(cast("list[_Connection]", connected))

        async def send(ping: Ping) -> None:
            connection = next(connections)
            # An agent has one request under way.
            await connection.turns.run(connection.ping, ping)

        return await _ping_all(reactor, send, persister)

    return cast("Pinged", with_reactor(work))


_HEAD: Final = (
    "POST /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Broker-API-Version: 2.17\r\n"
    "Content-Type: application/json\r\nAuthorization: Basic {token}\r\nContent-Length: {length}\r\n\r\n"
)


class _Connection(Protocol):
    """An agent's connection, over which it has one request under way."""

    def __init__(self) -> None:
        self.turns = DeferredLock()
        self._received = b""
        self._answered: Deferred[None] | None = None

    def ping(self, ping: Ping) -> Deferred[None]:
        """Send a ping; the Deferred fires when it was acknowledged, and fails when it was refused."""
        token = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
        body = json.dumps(encode_ping(ping, "2026-01-01T00:00:00Z")).encode()
        self._answered = Deferred()
        assert self.transport is not None, "it is connected"
        self.transport.write(_HEAD.format(token=token, length=len(body)).encode() + body)
        return self._answered

    def dataReceived(self, data: bytes) -> None:
        """Take what is received; an answer ends with its body, in one piece or in several."""
        self._received += data
        if not self._received.endswith((b"}", b"\r\n0\r\n\r\n")) or self._answered is None:
            return
        answer, self._received = self._received, b""
        answered, self._answered = self._answered, None
        if answer.startswith(b"HTTP/1.1 200 "):
            answered.callback(None)
        else:
            answered.errback(AssertionError(answer.decode(errors="replace")))
