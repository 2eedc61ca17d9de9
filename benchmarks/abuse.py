"""What a well-behaved client notices while others do harm, beside a quiet time in the same run."""

import http.client
import os
import signal
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from attrs import define, field, frozen

from benchmarks.attackers import drips, forms, handshakes, idle
from benchmarks.memory_broker import filled_broker
from benchmarks.sides import Sides
from benchmarks.stalls import VARIABLE
from dockerbroker.model.connections import DEFAULT_PER_PEER
from tests.polling import poll
from tests.running import PASSWORD, USER, RunningBroker

#: What is done over HTTP and over HTTPS, by its name in the table.
ATTACKS: Final[dict[bool, dict[str, Callable[[int, float], int]]]] = {
    False: {
        "forms of 15 MB, 4 at once": forms,
        "200 clients byte by byte": drips,
        "2,000 idle connections": idle,
    },
    True: {
        "200 handshakes byte by byte": handshakes,
        "2,000 connections without a handshake": idle,
    },
}
#: Seconds of each attack, and of quiet before it.
SECONDS: Final = 6.0
#: Seconds between two requests of the well-behaved client, and until an attack is in full swing.
_BETWEEN: Final = 0.02
_BEGINNING: Final = 1.5
_INSTANCES: Final = 100


@frozen(kw_only=True)
class Abuse:
    """Milliseconds of the reactor's worst stall, and of the slowest answer, under attack and in quiet.

    `computed` is what the reactor has computed at most without looking at anything else.
    """

    stall: Sides
    computed: Sides
    slowest: Sides


def measure(rounds: int) -> dict[str, Abuse]:
    """Measure each attack after a quiet time, so often."""
    found: dict[str, list[tuple[Seen, Seen]]] = {}
    for tls, attacks in ATTACKS.items():
        with filled_broker(_INSTANCES, connections=DEFAULT_PER_PEER, stalls="stalls", tls=tls) as running:
            client = Client(running)
            for _ in range(rounds):
                for name, attack in attacks.items():
                    quiet = client.ask()
                    found.setdefault(name, []).append((_attacked(client, attack), quiet))
    return {name: _abuse(pairs) for name, pairs in found.items()}


@frozen
class Seen:
    """Seconds of the worst stall, of the longest computing, and of the slowest answer."""

    stall: float
    computed: float
    slowest: float


@define(eq=False)
class Client:
    """Asks for the catalog again and again, each time over a new connection."""

    running: RunningBroker
    _stalls: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Know where the broker writes its stalls."""
        self._stalls = self.running.folder / "stalls"

    def ask(self, seconds: float = SECONDS) -> Seen:
        """Ask for so many seconds; every answer must be good."""
        self._worst_stalls()
        end, slowest = monotonic() + seconds, 0.0
        while monotonic() < end:
            begin = monotonic()
            self._get()
            slowest = max(slowest, monotonic() - begin)
            sleep(_BETWEEN)
        return Seen(*self._worst_stalls(), slowest)

    def _get(self) -> None:
        token = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
        headers = {"Authorization": f"Basic {token}", "X-Broker-API-Version": "2.17"}
        connection = self.running.connection()
        connection.request("GET", "/v2/catalog", headers=headers)
        response = connection.getresponse()
        assert response.status == http.client.OK, response.read()
        response.read()
        connection.close()

    def _worst_stalls(self) -> tuple[float, float]:
        assert self.running.broker is not None
        self._stalls.unlink(missing_ok=True)
        os.kill(self.running.broker.pid, signal.SIGUSR1)
        poll(self._stalls.exists, lambda: f"the broker does not write {VARIABLE}")
        late, computed = self._stalls.read_text("utf-8").split()
        return float(late), float(computed)


def _attacked(client: Client, attack: Callable[[int, float], int]) -> Seen:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        attacking = pool.submit(attack, client.running.port, _BEGINNING + SECONDS)
        sleep(_BEGINNING)
        seen = client.ask()
        assert attacking.result() > 0
    return seen


def _abuse(pairs: list[tuple[Seen, Seen]]) -> Abuse:
    attacked, quiet = zip(*pairs, strict=True)
    return Abuse(
        stall=Sides(*[[1000 * one.stall for one in side] for side in (attacked, quiet)]),
        computed=Sides(*[[1000 * one.computed for one in side] for side in (attacked, quiet)]),
        slowest=Sides(*[[1000 * one.slowest for one in side] for side in (attacked, quiet)]),
    )
