"""The time of a provision through the broker, against Docker alone."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter
from typing import Any
from uuid import uuid4

import docker

from benchmarks.sides import Sides
from tests.ports import free_port
from tests.real_engine import RealEngine
from tests.running import RunningBroker

SERVICE: dict[str, Any] = {"name": "redis", "plan": "100", "image": "dockerbroker/redis", "numinstances": 1}
#: What the service itself needs done, which is the image's own work.
_PROVISION = ["/bin/sh", "-c", "echo '{}' | /provision"]


def measure(engine: RealEngine, running: RunningBroker, concurrency: int, rounds: int) -> Sides:
    """Measure seconds per provision, the medians of rounds in which both are measured in turn.

    What was made is removed outside the measured time.
    """
    raw: list[float] = []
    broker: list[float] = []
    for number in range(rounds + 1):
        # Whoever goes first finds the engine idle, so they take turns in that, too.
        sides: list[tuple[list[float], _Raw | _Broker]] = [(raw, _Raw(engine)), (broker, _Broker(running))]
        for times, side in sides if number % 2 else reversed(sides):
            taken = _at_once(concurrency, side.make)
            side.remove()
            if number:  # the first round warms both up
                times.append(median(taken))
    return Sides(broker, raw)


def _at_once(concurrency: int, make: Callable[[], None]) -> Sequence[float]:
    def timed(_: int) -> float:
        start = perf_counter()
        make()
        return perf_counter() - start

    with ThreadPoolExecutor(concurrency) as pool:
        return list(pool.map(timed, range(concurrency)))


class _Raw:
    """Create, start, the test of the image's HEALTHCHECK until it passes, and the image's `/provision`."""

    def __init__(self, engine: RealEngine) -> None:
        self._engine = engine
        self._made: list[str] = []

    def make(self) -> None:
        client = self._engine.client()
        image = client.inspect_image(SERVICE["image"])["Config"]
        config = client.create_host_config(port_bindings={"6379/tcp": free_port()})
        container = client.create_container(SERVICE["image"], host_config=config, ports=["6379/tcp"])
        self._made.append(container["Id"])
        client.start(container["Id"])
        while not _passes(client, container["Id"], image["Healthcheck"]["Test"]):
            pass
        assert _succeeds(client, container["Id"], _PROVISION)
        client.close()

    def remove(self) -> None:
        client = self._engine.client()
        for container_id in self._made:
            client.remove_container(container_id, v=True, force=True)
        client.close()


def _passes(client: docker.APIClient, container_id: str, test: Sequence[str]) -> bool:
    command: Any = ["/bin/sh", "-c", test[1]] if test[0] == "CMD-SHELL" else list(test[1:])
    return _succeeds(client, container_id, command)


def _succeeds(client: docker.APIClient, container_id: str, command: Any) -> bool:
    exec_id = client.exec_create(container_id, command)["Id"]
    client.exec_start(exec_id)
    return bool(client.exec_inspect(exec_id)["ExitCode"] == 0)


class _Broker:
    """A PUT, until its answer."""

    def __init__(self, running: RunningBroker) -> None:
        self._running = running
        self._made: list[str] = []

    def make(self) -> None:
        instance_id = str(uuid4())
        self._made.append(instance_id)
        answer = self._running.provision(instance_id, SERVICE["name"])
        assert answer.status == 201, answer.document

    def remove(self) -> None:
        for instance_id in self._made:
            answer = self._running.deprovision(instance_id, SERVICE["name"])
            assert answer.status == 200, answer.document
