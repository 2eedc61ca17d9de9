"""How many agents a broker can hear, over HTTP and HTTPS, and how long they wait while instances are made."""

import http.client
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from attrs import frozen

from benchmarks.agent_connections import ping_brokers
from benchmarks.backends import apart
from benchmarks.memory_broker import another_broker, filled_broker
from benchmarks.pinging import Crowd, Pinged, verdict
from benchmarks.sides import Sides
from tests.asking import REDIS
from tests.engine_transport import ThrowawayAuthority
from tests.polling import poll
from tests.ports import free_port
from tests.running import RunningBroker

#: The agents of whose pings it is measured what they cost, and those of a large fleet.
BUSY: Final = Crowd(agents=1000, keep_alive=1.0, seconds=5.0)
FLEET: Final = Crowd(agents=1000, keep_alive=5.0, seconds=15.0, told_keep_alive=5.0)
_INSTANCES: Final = 100
#: How many clients provision and deprovision at each broker, one after the other.
_CLIENTS: Final = 1


@frozen(kw_only=True)
class Heard:
    """How many agents one core of a broker hears, beside a bare Klein application, and what was stored."""

    agents: Sides
    slow: float
    failed: int
    lost: int

    @property
    def verdict(self) -> str:
        """Whether all pings were stored."""
        return verdict(self.failed, self.lost)


@frozen(kw_only=True)
class Fleet:
    """Milliseconds of pings while instances are made, beside those while none are, and how many were made."""

    middle: Sides
    slow: Sides
    failed: int
    lost: int
    instances: int

    @property
    def verdict(self) -> str:
        """Whether all pings were stored."""
        return verdict(self.failed, self.lost)


def measure(rounds: int, *, is_encrypted: bool, crowd: Crowd = BUSY) -> Heard:
    """Measure a broker's process and a bare one in turn, by the processor's time that pings take there."""
    with ExitStack() as stack:
        certificates = stack.enter_context(_certificates()) if is_encrypted else None
        authority = None if certificates is None else certificates / "ca.pem"
        port, endpoint = _endpoint(certificates)
        running = stack.enter_context(filled_broker(_INSTANCES, hosts=crowd.agents, endpoints=[endpoint]))
        bare = stack.enter_context(_bare(certificates))
        assert running.broker is not None
        ours: list[Pinged] = []
        theirs: list[Pinged] = []
        for number in range(rounds + 1):
            broker = (running.broker.pid, port)
            sides = [(ours, broker, _section(running)), (theirs, bare, None)]
            for pinged, server, section in sides if number % 2 else reversed(sides):
                one = apart(ping_brokers, crowd, [server], authority, section)
                if number:  # the first round warms both up
                    pinged.append(one)
    return Heard(
        agents=Sides(*[[crowd.keep_alive / one.processor for one in side] for side in (ours, theirs)]),
        slow=max(one.slow for one in ours),
        failed=sum(one.failed for one in ours),
        lost=sum(one.lost for one in ours),
    )


def measure_fleet(rounds: int, crowd: Crowd = FLEET) -> Fleet:
    """Measure two brokers on one database, while instances are made and while none are, in turn."""
    with filled_broker(_INSTANCES, hosts=crowd.agents) as first, another_broker(first) as second:
        brokers, section = [first, second], _section(first)
        servers = [(one.broker.pid, one.port) for one in brokers if one.broker is not None]
        busy, idle, made = [], [], 0
        for _ in range(rounds):
            with _provisions(brokers) as instances:
                busy.append(apart(ping_brokers, crowd, servers, None, section))
            made += len(instances)
            idle.append(apart(ping_brokers, crowd, servers, None, section))
    return Fleet(
        middle=Sides([one.middle for one in busy], [one.middle for one in idle]),
        slow=Sides([one.slow for one in busy], [one.slow for one in idle]),
        failed=sum(one.failed for one in busy),
        lost=sum(one.lost for one in busy),
        instances=made,
    )


def _section(running: RunningBroker) -> dict[str, str]:
    return {"driver": "sqlite", "database": str(running.folder / "broker.db")}


@contextmanager
def _provisions(brokers: list[RunningBroker]) -> Iterator[list[str]]:
    """Let clients make instances and delete them; the list has those that were made."""
    made: list[str] = []
    is_over = threading.Event()

    def client(broker: RunningBroker) -> None:
        while not is_over.is_set():
            instance_id = str(uuid4())
            assert broker.provision(instance_id, REDIS.name).status == http.client.CREATED
            made.append(instance_id)
            assert broker.deprovision(instance_id, REDIS.name).status == http.client.OK

    threads = [threading.Thread(target=client, args=(one,)) for one in brokers for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@contextmanager
def _certificates() -> Iterator[Path]:
    """Return a folder with an authority's certificate, and with a certificate and key for this machine."""
    material = ThrowawayAuthority().server()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ca.pem").write_bytes(material.ca)
        (folder / "server.pem").write_bytes(material.key + material.certificate)
        yield folder


def _endpoint(certificates: Path | None) -> tuple[int, str]:
    """Return a free port and the description of an endpoint there, as Twisted reads it."""
    port = free_port()
    if certificates is None:
        return port, f"tcp:{port}:interface=127.0.0.1"
    return port, f"ssl:{port}:interface=127.0.0.1:privateKey={certificates / 'server.pem'}"


@contextmanager
def _bare(certificates: Path | None) -> Iterator[tuple[int, int]]:
    port, endpoint = _endpoint(certificates)
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.bare_klein", endpoint])
    try:
        poll(lambda: _listens(port), lambda: "the bare application does not answer")
        yield server.pid, port
    finally:
        server.terminate()
        server.wait(30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
