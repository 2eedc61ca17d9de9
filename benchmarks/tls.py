"""What a request over a kept TLS connection costs the broker's processor, beside one over plain HTTP."""

import http.client
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from benchmarks.processes import cpu_seconds
from benchmarks.sides import Sides
from tests.running import PASSWORD, USER, RunningBroker

CONNECTIONS: Final = 4
_IMAGE: Final[dict[str, Any]] = {"name": "redis", "plan": "100"}
REQUESTS: Final = 4000


def measure(rounds: int) -> Sides:
    """Measure a broker with TLS and one without in turn: seconds of the processor for a catalog request."""
    with ExitStack() as stack:
        encrypted = stack.enter_context(_broker({"tls": {"selfsigned": True}}))
        plain = stack.enter_context(_broker({}))
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(rounds + 1):
            sides = [(ours, encrypted), (theirs, plain)]
            for seconds, running in sides if number % 2 else reversed(sides):
                one = _seconds(running)
                if number:  # the first round warms both up
                    seconds.append(one)
    return Sides(ours, theirs)


@contextmanager
def _broker(settings: dict[str, Any]) -> Iterator[RunningBroker]:
    running = RunningBroker([_IMAGE], "", settings)
    try:
        running.restart_broker()
        yield running
    finally:
        running.stop()


def _seconds(running: RunningBroker) -> float:
    assert running.broker is not None
    connections = [running.connection() for _ in range(CONNECTIONS)]
    for connection in connections:
        _ask(connection, 1)
    before = cpu_seconds(running.broker.pid)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda connection: _ask(connection, REQUESTS // CONNECTIONS), connections))
    used = cpu_seconds(running.broker.pid) - before
    for connection in connections:
        connection.close()
    return used / REQUESTS


def _ask(connection: http.client.HTTPConnection, times: int) -> None:
    token = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
    headers = {"Authorization": f"Basic {token}", "X-Broker-API-Version": "2.17"}
    for _ in range(times):
        connection.request("GET", "/v2/catalog", headers=headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == http.client.OK, body
